//! The load: 16 connections, 16 sessions in turn on each, one request at a time.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;

const CONNECTIONS: usize = 16;

const SESSIONS: usize = 256;

pub(crate) struct Load {
    connections: Vec<Connection>,
    cookies: Rc<[String]>,
}

impl Load {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            connections.push(Connection { stream, buffer: vec![0; 4096] });
        }
        Ok(Self { connections, cookies: Rc::new([]) })
    }

    /// Starts the sessions of the requests that follow.
    pub(crate) async fn start_sessions(&mut self, path: &str) -> Result<()> {
        let mut cookies = Vec::new();
        for _ in 0..SESSIONS {
            let response = self.connections[0].send(&request(path, "")).await?;
            let cookie = header(response, "set-cookie: ").ok_or("the session was given no cookie")?;
            cookies.push(cookie.split(';').next().unwrap_or_default().to_owned());
        }
        self.cookies = cookies.into();
        Ok(())
    }

    /// Sends one request, of the first session if there is one, and returns the body of the response.
    pub(crate) async fn get(&mut self, path: &str) -> Result<String> {
        let cookie = self.cookies.first().map_or("", String::as_str);
        let response = self.connections[0].send(&request(path, cookie)).await?;
        Ok(response.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }

    /// Sends requests for a while, and returns how many.
    pub(crate) async fn run(&mut self, path: &str, time: Duration) -> Result<u32> {
        let until = Instant::now() + time;
        self.run_while(path, move |_| Instant::now() < until).await
    }

    /// Sends so many requests.
    pub(crate) async fn run_times(&mut self, path: &str, times: u32) -> Result<()> {
        self.run_while(path, move |sent| sent < times).await.map(drop)
    }

    /// Sends requests as long as the number of those that were sent says so, and returns it.
    async fn run_while(&mut self, path: &str, more: impl Fn(u32) -> bool + Copy + 'static) -> Result<u32> {
        let requests: Rc<[_]> = self.cookies.iter().map(|cookie| request(path, cookie)).collect();
        let sent = Rc::new(Cell::new(0_u32));
        let tasks = tokio::task::LocalSet::new();
        let mut running = Vec::new();
        for (number, mut connection) in self.connections.drain(..).enumerate() {
            let (requests, sent) = (Rc::clone(&requests), Rc::clone(&sent));
            running.push(tasks.spawn_local(async move {
                // Each connection has sessions of its own, so that no two requests of one overlap.
                let mut own = requests.iter().skip(number).step_by(CONNECTIONS).cycle();
                while let Some(request) = own.next().filter(|_| more(sent.get())) {
                    sent.set(sent.get() + 1);
                    connection.send(request).await?;
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(connection)
            }));
        }
        tasks.await;
        for connection in running {
            self.connections.push(connection.await??);
        }
        Ok(sent.get())
    }
}

fn request(path: &str, cookie: &str) -> Vec<u8> {
    let cookie = if cookie.is_empty() { String::new() } else { format!("cookie: {cookie}\r\n") };
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64)\r\naccept: */*\r\n{cookie}\r\n")
        .into_bytes()
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads its response, which is a success.
    async fn send(&mut self, request: &[u8]) -> Result<&str> {
        self.stream.write_all(request).await?;
        let mut len = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[len..]).await?;
            if read == 0 {
                return Err("the server closed the connection, or said too much".into());
            }
            len += read;
            if let Some(whole) = whole(std::str::from_utf8(&self.buffer[..len])?)? {
                return Ok(std::str::from_utf8(&self.buffer[..whole])?);
            }
        }
    }
}

/// Returns the length of a response, once all of it is there.
fn whole(response: &str) -> Result<Option<usize>> {
    let Some(head) = response.find("\r\n\r\n") else { return Ok(None) };
    if !response.starts_with("HTTP/1.1 200 ") {
        return Err(format!("unexpected response: {response}").into());
    }
    let body: usize = header(&response[..head + 2], "content-length: ").unwrap_or("0").parse()?;
    Ok((response.len() >= head + 4 + body).then_some(head + 4 + body))
}

fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    response.split("\r\n").find_map(|line| line.strip_prefix(name))
}
