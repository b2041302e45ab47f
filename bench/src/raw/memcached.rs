//! Memcached: meta commands on one connection that all requests share.
//!
//! The driver's client is a part of the library and can't be called from outside, so this is one of its own,
//! of the same kind: requests that come together leave together, and replies come in their order. It trusts
//! the server where the driver checks.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::{Key, LEASE, Raw};
use crate::Result;

/// Most requests that leave in one write.
const BATCH: usize = 64;

/// Room for what arrives in one read.
const ROOM: usize = 16 * 1_024;

pub(crate) struct Memcached(mpsc::Sender<Asked>);

/// A request and who waits for its replies.
struct Asked {
    bytes: Vec<u8>,
    waits: Waits,
}

struct Waits {
    replies: usize,
    answer: oneshot::Sender<Vec<Reply>>,
}

/// The code of a reply, and its value if it has one.
struct Reply {
    code: [u8; 2],
    value: Bytes,
}

impl Memcached {
    /// Sends commands in one go, and returns the value of the last reply. Each must have succeeded.
    async fn ask(&self, bytes: Vec<u8>, replies: usize) -> Result<Bytes> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { bytes, waits: Waits { replies, answer } };
        self.0.send(asked).await.map_err(|_| "the connection has ended")?;
        let mut replies = answered.await?;
        if replies.iter().any(|reply| !matches!(&reply.code, b"HD" | b"VA")) {
            return Err("the server did not do it".into());
        }
        Ok(replies.pop().ok_or("a request without commands")?.value)
    }
}

impl Raw for Memcached {
    async fn connect(dsn: &str) -> Result<Self> {
        let address = dsn.strip_prefix("memcached://").ok_or("no address of a server")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (incoming, outgoing) = stream.into_split();
        let (asks, asked) = mpsc::channel(BATCH);
        let (waits, waiting) = mpsc::unbounded_channel();
        tokio::spawn(send(outgoing, asked, waits));
        tokio::spawn(receive(incoming, waiting));
        Ok(Self(asks))
    }

    async fn create(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        self.write(key, blob).await
    }

    async fn read(&self, key: Key) -> Result<Vec<u8>> {
        let mut request = Vec::with_capacity(32);
        get(&mut request, &key);
        Ok(self.ask(request, 1).await?.into())
    }

    async fn write(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        let mut request = Vec::with_capacity(48 + blob.len());
        set(&mut request, &key, &blob);
        self.ask(request, 1).await.map(drop)
    }

    async fn acquire(&self, key: Key, token: u64) -> Result<Vec<u8>> {
        let mut request = Vec::with_capacity(96);
        command(&mut request, "ms l", &key, format_args!(" 8 ME T{}", LEASE.as_secs()));
        request.extend_from_slice(&token.to_le_bytes());
        request.extend_from_slice(b"\r\n");
        get(&mut request, &key);
        Ok(self.ask(request, 2).await?.into())
    }

    async fn release(&self, key: Key, _token: u64, blob: Vec<u8>) -> Result<()> {
        let mut request = Vec::with_capacity(80 + blob.len());
        set(&mut request, &key, &blob);
        command(&mut request, "md l", &key, format_args!(""));
        self.ask(request, 2).await.map(drop)
    }
}

fn get(request: &mut Vec<u8>, key: &Key) {
    command(request, "mg ", key, format_args!(" v"));
}

fn set(request: &mut Vec<u8>, key: &Key, blob: &[u8]) {
    command(request, "ms ", key, format_args!(" {}", blob.len()));
    request.extend_from_slice(blob);
    request.extend_from_slice(b"\r\n");
}

fn command(request: &mut Vec<u8>, begin: &str, key: &Key, end: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    request.extend_from_slice(begin.as_bytes());
    request.extend_from_slice(key);
    write!(request, "{end}\r\n").expect("a vector takes all that is written");
}

/// Sends what waits, as much as there is at one go.
async fn send(
    mut outgoing: OwnedWriteHalf,
    mut asked: mpsc::Receiver<Asked>,
    waits: mpsc::UnboundedSender<Waits>,
) {
    let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), Vec::new());
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        bytes.clear();
        for Asked { bytes: request, waits: wait } in batch.drain(..) {
            bytes.extend_from_slice(&request);
            // Nobody is answered any more once the other half has ended.
            let _ = waits.send(wait);
        }
        if outgoing.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Hands out what arrives. Whoever waits learns of an end by the loss of its sender.
async fn receive(mut incoming: OwnedReadHalf, mut waiting: mpsc::UnboundedReceiver<Waits>) {
    let mut arrived = BytesMut::with_capacity(ROOM);
    while let Some(Waits { replies, answer }) = waiting.recv().await {
        let mut got = Vec::with_capacity(replies);
        while got.len() < replies {
            match parse(&mut arrived) {
                Some(reply) => got.push(reply),
                None if matches!(incoming.read_buf(&mut arrived).await, Ok(1..)) => {}
                None => return,
            }
        }
        // The caller may have gone.
        let _ = answer.send(got);
        arrived.reserve(ROOM / 4);
    }
}

/// Takes a reply once all of it is there: two letters, the length of a value and flags, then the value.
fn parse(arrived: &mut BytesMut) -> Option<Reply> {
    let end = arrived.iter().position(|byte| *byte == b'\n')?;
    let line = &arrived[..end];
    let code = *line.first_chunk()?;
    let digits = line[3.min(end)..].split(|byte| !byte.is_ascii_digit()).next()?;
    let length = if code == *b"VA" { str::from_utf8(digits).ok()?.parse().ok()? } else { 0 };
    let ends = if code == *b"VA" { end + 1 + length + 2 } else { end + 1 };
    if arrived.len() < ends {
        return None;
    }
    let mut reply = arrived.split_to(ends).freeze();
    reply.advance(end + 1);
    reply.truncate(length);
    Some(Reply { code, value: reply })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_taken_whole_and_in_their_order() {
        let mut arrived = BytesMut::from("HD\r\nVA 2 c7\r\n\r\n\r\nVA 3\r\nab");
        let taken = parse(&mut arrived).unwrap();
        assert_eq!((taken.code, &taken.value[..]), (*b"HD", &b""[..]));
        let taken = parse(&mut arrived).unwrap();
        assert_eq!((taken.code, &taken.value[..]), (*b"VA", &b"\r\n"[..]));
        assert!(parse(&mut arrived).is_none());
    }
}
