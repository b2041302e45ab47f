//! As much of Redis' protocol as setting up servers takes.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a Redis server answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// A status or a value.
    Text(String),
    /// An error, as the server words it.
    Error(String),
    /// A number.
    Number(i64),
    /// No value.
    Nothing,
    /// Several of them.
    List(Vec<Reply>),
}

impl Reply {
    /// Returns a text, or the empty one.
    #[must_use]
    pub fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// Returns the value behind a name in a list of names and values.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let Self::List(items) = self else { return None };
        let pair = items.chunks_exact(2).find(|pair| pair[0].text() == name)?;
        Some(pair[1].text())
    }
}

/// Sends one command over a connection of its own and returns the answer.
///
/// # Errors
///
/// If the server can't be reached or does not answer within five seconds.
pub fn command(server: SocketAddr, words: &[&str]) -> Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    send(&mut stream, words)
}

/// Sends one command and returns the answer.
pub(crate) fn send(stream: &mut TcpStream, words: &[&str]) -> Result<Reply> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(bytes.as_bytes())?;
    read(&mut BufReader::new(stream))
}

fn read(from: &mut BufReader<&mut TcpStream>) -> Result<Reply> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let Some((kind, rest)) = line.split_at_checked(1) else { return Err(ErrorKind::UnexpectedEof.into()) };
    let number = || rest.parse::<i64>().map_err(Error::other);
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => Ok(Reply::Number(number()?)),
        "$" => match usize::try_from(number()?) {
            Ok(len) => bulk(from, len),
            Err(_) => Ok(Reply::Nothing),
        },
        "*" => (0..number()?).map(|_| read(from)).collect::<Result<_>>().map(Reply::List),
        _ => Err(Error::other("no answer of Redis")),
    }
}

fn bulk(from: &mut BufReader<&mut TcpStream>, len: usize) -> Result<Reply> {
    let mut bytes = vec![0; len + 2];
    from.read_exact(&mut bytes)?;
    bytes.truncate(len);
    Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
}
