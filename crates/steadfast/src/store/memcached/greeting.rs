//! The first words on a connection: the login, the version, the limits and the time of the server.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::error::LinkError;
use super::stream::Stream;

/// Longest line, in bytes, that is read here. Those of the settings are far shorter.
const LONGEST_LINE: usize = 1024;

/// Most lines of settings that are read. A server has some eighty.
const MOST_LINES: usize = 1000;

/// What a server tells about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Greeting {
    /// Its time.
    pub(super) second: u64,
    /// Largest item, in bytes, if it says so.
    pub(super) largest: Option<u64>,
}

/// Logs in, and asks the server who it is: one round trip, or two with a login.
///
/// `ask_time` is the command that asks for the time, and makes what it asks if it is not there yet.
pub(super) async fn exchange(
    stream: &mut Stream,
    login: Option<&(String, String)>,
    ask_time: &[u8],
) -> Result<Greeting, LinkError> {
    if let Some((user, password)) = login {
        let login = format!("{user} {password}");
        send(stream, format!("set login 0 0 {}\r\n{login}\r\n", login.len()).as_bytes()).await?;
        if Lines::new(&mut stream.incoming).next().await? != "STORED" {
            return Err(LinkError::NotLetIn);
        }
    }
    send(stream, &[b"stats settings\r\nstats\r\n", ask_time].concat()).await?;
    let mut lines = Lines::new(&mut stream.incoming);
    let (mut second, mut largest) = (None, None);
    for _ in 0..2 {
        for (name, value) in lines.statistics().await? {
            match name.as_str() {
                "time" => second = value.parse().ok(),
                "item_size_max" => largest = value.parse().ok(),
                "cas_enabled" if value == "no" => return Err(LinkError::WithoutCas),
                _ => {}
            }
        }
    }
    // Servers older than 1.6 don't know this one.
    if !lines.next().await?.starts_with("HD") {
        return Err(LinkError::OutOfStep);
    }
    let second = second.ok_or(LinkError::OutOfStep)?;
    Ok(Greeting { second, largest })
}

pub(super) async fn send(stream: &mut Stream, bytes: &[u8]) -> Result<(), LinkError> {
    stream.outgoing.write_all(bytes).await?;
    Ok(stream.outgoing.flush().await?)
}

/// Reads lines, for what is not asked often.
pub(super) struct Lines<'a, S> {
    incoming: &'a mut S,
    arrived: Vec<u8>,
    /// How much of what arrived has been read.
    read: usize,
}

impl<'a, S: AsyncRead + Unpin> Lines<'a, S> {
    pub(super) fn new(incoming: &'a mut S) -> Self {
        Self { incoming, arrived: Vec::with_capacity(8 * 1024), read: 0 }
    }

    /// Returns the next line, without its end.
    pub(super) async fn next(&mut self) -> Result<&str, LinkError> {
        let length = loop {
            let rest = &self.arrived[self.read..];
            match rest.iter().position(|byte| *byte == b'\n') {
                Some(length) => break length,
                None if rest.len() > LONGEST_LINE => return Err(LinkError::OutOfStep),
                None => {}
            }
            self.arrived.drain(..self.read);
            self.read = 0;
            if self.incoming.read_buf(&mut self.arrived).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        };
        let line = &self.arrived[self.read..self.read + length];
        self.read += length + 1;
        let line = str::from_utf8(line).map_err(|_| LinkError::OutOfStep)?.trim_end();
        match line.split(' ').next() {
            Some("ERROR") => Err(LinkError::NotUnderstood),
            // What a server with a login says before it, or to a wrong one.
            Some("CLIENT_ERROR") if line.contains("auth") => Err(LinkError::NotLetIn),
            _ => Ok(line),
        }
    }

    /// Reads statistics up to their end.
    async fn statistics(&mut self) -> Result<Vec<(String, String)>, LinkError> {
        let mut statistics = Vec::new();
        while statistics.len() < MOST_LINES {
            let line = self.next().await?;
            if line == "END" {
                return Ok(statistics);
            }
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next()) {
                (Some("STAT"), Some(name)) => {
                    statistics.push((name.to_owned(), words.next().unwrap_or_default().to_owned()));
                }
                _ => return Err(LinkError::OutOfStep),
            }
        }
        Err(LinkError::OutOfStep)
    }
}
