//! A client of HTTP/1.1 that can be impolite: it sends what it is told and hangs up when it is told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes, so that a hang fails a test rather than the whole run.
const PATIENCE: Duration = Duration::from_secs(60);

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Returns the body, which is JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the kind of the error that it answers.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("no error: {}", self.text())).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the `name=value` of the cookie that it sets; an empty value removes it.
    pub(crate) fn cookie(&self) -> Option<&str> {
        let cookies = self.headers.iter().filter(|(name, _)| name == "set-cookie").count();
        assert!(cookies <= 1, "a response sets the session's cookie once");
        self.header("set-cookie").and_then(|line| line.split(';').next())
    }
}

/// A request that was sent and not answered yet. Dropping it hangs up.
#[derive(Debug)]
pub(crate) struct Pending(TcpStream);

/// Sends a request.
pub(crate) fn send(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Pending> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    Ok(Pending(stream))
}

impl Pending {
    /// Waits for the whole answer.
    pub(crate) fn reply(mut self) -> std::io::Result<Reply> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        parse(&bytes).ok_or_else(|| std::io::Error::other("the connection closed before the answer ended"))
    }

    /// Waits for the first bytes of the answer, and leaves the rest.
    pub(crate) fn head(&mut self) -> std::io::Result<String> {
        let mut bytes = [0; 4_096];
        let len = self.0.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
    }
}

fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let body = &bytes[end + 4..];
    let header = |name| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let body = match (header("transfer-encoding"), header("content-length")) {
        (Some("chunked"), _) => unchunk(body)?,
        (_, Some(len)) => body.get(..len.parse().ok()?)?.to_vec(),
        _ => body.to_vec(),
    };
    Some(Reply { status, headers, body })
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        let rest = &bytes[end + 2..];
        body.extend_from_slice(rest.get(..len)?);
        if len == 0 {
            return Some(body);
        }
        bytes = rest.get(len + 2..)?;
    }
}

/// Escapes a text for a query string.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
