//! The load: 16 connections, 16 sessions in turn on each, one request at a time.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::Result;
use crate::http::{Cookies, Response, request};

const CONNECTIONS: usize = 16;

const SESSIONS: usize = 256;

/// How much longer than its time a measurement may take before its server counts as one that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long some thousand requests may take, at the pace of valgrind.
const UNDER_VALGRIND: Duration = Duration::from_secs(60);

pub(crate) struct Load {
    address: SocketAddr,
    connections: Vec<Connection>,
    cookies: Rc<[String]>,
}

/// What came of the requests that were sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// How long each took, in microseconds.
    pub(crate) took: Vec<f64>,
    /// How many were answered with another status than 200.
    pub(crate) refused: u32,
    pub(crate) elapsed: Duration,
}

impl Load {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let mut load = Self { address, connections: Vec::new(), cookies: Rc::new([]) };
        load.reconnect().await?;
        Ok(load)
    }

    /// Opens all connections anew.
    pub(crate) async fn reconnect(&mut self) -> Result<()> {
        self.connections.clear();
        for _ in 0..CONNECTIONS {
            self.connections.push(Connection::open(self.address).await?);
        }
        Ok(())
    }

    /// Starts the sessions of the requests that follow.
    pub(crate) async fn start_sessions(&mut self, path: &str) -> Result<()> {
        let mut cookies = Vec::new();
        for number in 0..SESSIONS {
            let connection = &mut self.connections[number % CONNECTIONS];
            let response = timeout(PATIENCE, connection.send(&request(path, ""))).await;
            let response = response.map_err(|_| "no answer to a sign-in")??;
            let mut own = Cookies::default();
            own.take(&response);
            if response.status != 200 || own.is_empty() {
                return Err(format!("a sign-in is answered with {}", response.status).into());
            }
            cookies.push(own.line());
        }
        self.cookies = cookies.into();
        Ok(())
    }

    /// Sends cookies as long as those of sessions to a server that has none.
    pub(crate) fn pretend_sessions(&mut self) {
        self.cookies = (0..SESSIONS).map(|number| format!("session={number:064}")).collect();
    }

    /// Starts many sessions, with all connections, and forgets them.
    pub(crate) async fn start_many(&mut self, path: &str, sessions: usize, time: Duration) -> Result<()> {
        let requests: Rc<[_]> = Rc::new([request(path, "")]);
        let each = sessions / CONNECTIONS;
        let done = self.on_each(requests, time, move |_, sent| sent < each).await?;
        if done.refused > 0 || done.took.len() < each * CONNECTIONS {
            return Err(format!("{} sessions started, {} refused", done.took.len(), done.refused).into());
        }
        Ok(())
    }

    /// Sends one request, of the first session if there is one, and returns status and body of the response.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(u16, String)> {
        let cookie = self.cookies.first().map_or("", String::as_str);
        let request = request(path, cookie);
        let response = timeout(PATIENCE, self.connections[0].send(&request)).await;
        let response = response.map_err(|_| format!("no answer to {path}"))??;
        Ok((response.status, response.body.to_owned()))
    }

    /// Sends requests for a while.
    pub(crate) async fn run(&mut self, path: &str, time: Duration) -> Result<Sent> {
        let requests: Rc<[_]> = self.cookies.iter().map(|cookie| request(path, cookie)).collect();
        self.on_each(requests, time + PATIENCE, move |elapsed, _| elapsed < time).await
    }

    /// Sends so many requests.
    pub(crate) async fn run_times(&mut self, path: &str, times: usize) -> Result<()> {
        let requests: Rc<[_]> = self.cookies.iter().map(|cookie| request(path, cookie)).collect();
        let each = times / CONNECTIONS;
        self.on_each(requests, UNDER_VALGRIND, move |_, sent| sent < each).await.map(drop)
    }

    /// Sends requests on each connection while `more`, told how long it has been and how many it has sent,
    /// says so. Each connection has sessions of its own, so that no two requests of one overlap.
    async fn on_each(
        &mut self,
        requests: Rc<[Vec<u8>]>,
        limit: Duration,
        more: impl Fn(Duration, usize) -> bool + Copy + 'static,
    ) -> Result<Sent> {
        let (began, tasks) = (Instant::now(), LocalSet::new());
        let mut running = Vec::new();
        for (number, mut connection) in self.connections.drain(..).enumerate() {
            let requests = Rc::clone(&requests);
            running.push(tasks.spawn_local(async move {
                let (mut took, mut refused) = (Vec::new(), 0);
                let first = number % requests.len();
                let mut own = requests.iter().skip(first).step_by(CONNECTIONS).cycle();
                let mut now = began;
                while let Some(request) = own.next().filter(|_| more(now - began, took.len())) {
                    let response = connection.send(request).await?;
                    refused += u32::from(response.status != 200);
                    let answered = Instant::now();
                    took.push((answered - now).as_secs_f64() * 1e6);
                    now = answered;
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>((connection, took, refused))
            }));
        }
        timeout(limit, tasks).await.map_err(|_| "requests are not answered any more")?;
        let mut sent = Sent { elapsed: began.elapsed(), ..Sent::default() };
        for connection in running {
            let (connection, took, refused) = connection.await??;
            self.connections.push(connection);
            sent.took.extend(took);
            sent.refused += refused;
        }
        Ok(sent)
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 8 * 1_024] })
    }

    /// Sends a request and reads its response.
    async fn send(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.stream.write_all(request).await?;
        let mut len = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[len..]).await?;
            if read == 0 {
                return Err("the server closed the connection, or said too much".into());
            }
            len += read;
            if Response::parse(&self.buffer[..len])?.is_some() {
                break;
            }
        }
        Response::parse(&self.buffer[..len])?.ok_or_else(|| "a response that is gone".into())
    }
}
