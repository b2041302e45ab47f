//! A proxy for TCP that does harm: it delays, swallows, cuts and resets.
//!
//! Each connection has four threads: a reader and a writer for either direction, with a queue between
//! them, so that a delay does not slow down what follows.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::connect_unspec;
use rustix::net::sockopt::set_socket_linger;

use crate::{Result, free_port};

/// Largest piece that is passed on at once, in bytes.
const PIECE: usize = 16 * 1_024;

/// A proxy on a loopback port in front of one server. Dropping it resets all connections.
#[derive(Debug)]
#[must_use]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

/// What went through a proxy so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Traffic {
    /// Connections that clients opened.
    pub connections: u64,
    /// From the clients to the server.
    pub requests: Flow,
    /// From the server to the clients.
    pub answers: Flow,
}

/// What went in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Flow {
    /// In bytes.
    pub bytes: u64,
    /// In pieces, as they were read: one for each packet while nothing piles up.
    pub packets: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Requests,
    Answers,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    harm: Mutex<Harm>,
    changed: Condvar,
    refusing: AtomicBool,
    /// Those that were open when the last one was opened.
    connections: Mutex<Vec<Weak<Connection>>>,
    opened: AtomicU64,
    requests: Counter,
    answers: Counter,
}

/// What is done to whatever goes through.
#[derive(Debug, Default)]
struct Harm {
    /// Added in each direction.
    delay: Duration,
    /// Nothing passes.
    silent: bool,
    /// How many more bytes pass in a direction before a connection is cut.
    cut: Option<(Direction, usize)>,
}

#[derive(Debug, Default)]
struct Counter {
    bytes: AtomicU64,
    packets: AtomicU64,
}

/// A connection: the client's socket and the server's. Both close with the last thread that uses them.
#[derive(Debug)]
struct Connection(TcpStream, TcpStream);

impl Proxy {
    /// Starts a proxy in front of a server, which need not be there yet.
    ///
    /// # Errors
    ///
    /// If it can't listen.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let shared = Arc::new(Shared {
            target,
            harm: Mutex::default(),
            changed: Condvar::new(),
            refusing: AtomicBool::new(true),
            connections: Mutex::default(),
            opened: AtomicU64::new(0),
            requests: Counter::default(),
            answers: Counter::default(),
        });
        let proxy = Self { address, shared, listening: Mutex::default() };
        proxy.listen()?;
        Ok(proxy)
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a connection string that goes through it: with its address in place of the server's.
    #[must_use]
    pub fn dsn(&self, direct: &str) -> String {
        direct.replace(&self.shared.target.to_string(), &self.address.to_string())
    }

    /// Makes every round trip longer by this: half of it on the way there, half on the way back.
    pub fn latency(&self, round_trip: Duration) {
        self.change(|harm| harm.delay = round_trip / 2);
    }

    /// Resets all connections, now. New ones work.
    pub fn reset_all(&self) {
        let open = std::mem::take(&mut *self.shared.connections());
        open.iter().filter_map(Weak::upgrade).for_each(|connection| connection.reset());
    }

    /// Resets all connections and refuses new ones, as a server does that is not there.
    pub fn refuse(&self) {
        self.stop_listening();
        self.reset_all();
    }

    /// Lets nothing through, as a network does that is cut: connections stay, new ones are accepted,
    /// and what is sent arrives after [`restore`](Self::restore).
    pub fn blackhole(&self) {
        self.change(|harm| harm.silent = true);
    }

    /// Lets that many more bytes of answers through, over all connections, then resets the connection whose
    /// answer has more. Once: connections opened after that work.
    pub fn cut_after(&self, bytes: usize) {
        self.change(|harm| harm.cut = Some((Direction::Answers, bytes)));
    }

    /// Lets that many more bytes of requests through, as [`cut_after`](Self::cut_after) does with answers.
    pub fn cut_requests_after(&self, bytes: usize) {
        self.change(|harm| harm.cut = Some((Direction::Requests, bytes)));
    }

    /// Does no more harm.
    ///
    /// # Errors
    ///
    /// If its port was taken by somebody else while it refused connections.
    pub fn restore(&self) -> Result<()> {
        self.change(|harm| *harm = Harm::default());
        if self.shared.refusing.load(Ordering::SeqCst) { self.listen() } else { Ok(()) }
    }

    /// Returns what went through so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let Shared { opened, requests, answers, .. } = &*self.shared;
        let connections = opened.load(Ordering::SeqCst);
        Traffic { connections, requests: requests.flow(), answers: answers.flow() }
    }

    fn change(&self, change: impl FnOnce(&mut Harm)) {
        change(&mut self.shared.harm());
        self.shared.changed.notify_all();
    }

    fn listen(&self) -> Result<()> {
        let listener = TcpListener::bind(self.address)?;
        self.shared.refusing.store(false, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        *self.listening() = Some(thread::spawn(move || shared.accept(&listener)));
        Ok(())
    }

    /// Closes the listening socket, and returns when it is closed.
    fn stop_listening(&self) {
        self.shared.refusing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.listening().take() {
            // A connection of our own wakes the thread, which then sees that it is to end.
            drop(TcpStream::connect(self.address));
            drop(thread.join());
        }
    }

    fn listening(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.listening.lock().expect("nobody panics with the listener")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        // Whoever waits for a black hole to end learns that the connection is gone.
        self.change(|harm| *harm = Harm::default());
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            if self.refusing.load(Ordering::SeqCst) {
                return;
            }
            self.opened.fetch_add(1, Ordering::SeqCst);
            // A server that is not there refuses; so does the client's next read.
            if let Ok(server) = TcpStream::connect(self.target) {
                self.connect(&Arc::new(Connection(client, server)));
            }
        }
    }

    fn connect(self: &Arc<Self>, connection: &Arc<Connection>) {
        // Failing costs time only.
        drop(connection.0.set_nodelay(true).and_then(|()| connection.1.set_nodelay(true)));
        let mut connections = self.connections();
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
        drop(connections);
        for direction in [Direction::Requests, Direction::Answers] {
            let (queue, queued) = mpsc::channel();
            let (shared, sockets) = (Arc::clone(self), Arc::clone(connection));
            thread::spawn(move || shared.read(direction, &sockets, &queue));
            let (shared, sockets) = (Arc::clone(self), Arc::clone(connection));
            thread::spawn(move || shared.write(direction, &sockets, &queued));
        }
    }

    /// Reads pieces as they come. An empty one is the end.
    fn read(&self, direction: Direction, sockets: &Connection, queue: &mpsc::Sender<(Instant, Vec<u8>)>) {
        let mut from = sockets.from(direction);
        let mut buffer = vec![0; PIECE];
        loop {
            let len = match from.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return sockets.reset(),
            };
            self.counter(direction).count(len);
            if queue.send((Instant::now(), buffer[..len].to_vec())).is_err() || len == 0 {
                return;
            }
        }
    }

    /// Writes what was read, when its time has come.
    fn write(&self, direction: Direction, sockets: &Connection, queued: &mpsc::Receiver<(Instant, Vec<u8>)>) {
        let mut to = sockets.to(direction);
        for (read_at, piece) in queued {
            let allowed = self.pass(direction, read_at, piece.len());
            if piece.is_empty() {
                drop(to.shutdown(Shutdown::Write));
                return;
            }
            let written = to.write_all(&piece[..allowed]);
            if allowed < piece.len() || written.is_err() {
                return sockets.reset();
            }
        }
    }

    /// Waits until a piece may pass, and returns how much of it may.
    fn pass(&self, direction: Direction, read_at: Instant, len: usize) -> usize {
        let mut harm = self.harm();
        loop {
            let due = read_at + harm.delay;
            let now = Instant::now();
            harm = match (harm.silent, due.checked_duration_since(now)) {
                (true, _) => self.changed.wait(harm).expect("nobody panics with the harm"),
                (false, Some(early)) if !early.is_zero() => {
                    self.changed.wait_timeout(harm, early).expect("nobody panics with the harm").0
                }
                _ => break,
            };
        }
        match harm.cut {
            Some((cut, left)) if cut == direction => {
                let allowed = left.min(len);
                harm.cut = (allowed == len).then_some((cut, left - allowed));
                allowed
            }
            _ => len,
        }
    }

    fn harm(&self) -> MutexGuard<'_, Harm> {
        self.harm.lock().expect("nobody panics with the harm")
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.connections.lock().expect("nobody panics with the connections")
    }

    fn counter(&self, direction: Direction) -> &Counter {
        match direction {
            Direction::Requests => &self.requests,
            Direction::Answers => &self.answers,
        }
    }
}

impl Counter {
    fn count(&self, len: usize) {
        if len > 0 {
            self.bytes.fetch_add(len as u64, Ordering::SeqCst);
            self.packets.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flow(&self) -> Flow {
        Flow { bytes: self.bytes.load(Ordering::SeqCst), packets: self.packets.load(Ordering::SeqCst) }
    }
}

impl Connection {
    fn from(&self, direction: Direction) -> &TcpStream {
        let Self(client, server) = self;
        if direction == Direction::Requests { client } else { server }
    }

    fn to(&self, direction: Direction) -> &TcpStream {
        let Self(client, server) = self;
        if direction == Direction::Requests { server } else { client }
    }

    /// Ends both sides with a reset: nothing that is still under way is sent.
    fn reset(&self) {
        for socket in [&self.0, &self.1] {
            if connect_unspec(socket).is_err() {
                // Some kernels refuse that while a thread waits for bytes. The reset then follows the end.
                let _ = set_socket_linger(socket, Some(Duration::ZERO));
                drop(socket.shutdown(Shutdown::Both));
            }
        }
    }
}
