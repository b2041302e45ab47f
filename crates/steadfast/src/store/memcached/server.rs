//! One server: a connection that is replaced when it breaks, and what is known of the server.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::ServerClock;
use super::connection::{Answers, Connection};
use super::error::{LinkError, too_large};
use super::greeting::{self, Greeting};
use super::keys::Keys;
use super::options::MemcachedOptions;
use super::packet::{CLOCK_END, MOST_COMMANDS, Packet};
use super::reply::Reply;
use super::stream::{Endpoint, Stream};
use crate::error::Result;
use crate::time::Timestamp;

/// After a connection could not be opened, calls fail at once for so long: a server that is gone costs one
/// call in a while the time to find out, not each.
const PAUSE: Duration = Duration::from_millis(100);

/// What the server adds to a key and a value in an item, and some reserve.
const ITEM_OVERHEAD: u64 = 80;

/// Longest value that is read, unless the server says how long its items may be: the most it can be set to.
const LONGEST_VALUE: usize = 1 << 30;

/// A server.
pub(in crate::store) struct Server {
    endpoint: Endpoint,
    login: Option<(String, String)>,
    /// Asks for the time in a greeting.
    ask_time: Vec<u8>,
    connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    link: Mutex<Option<Arc<Connection>>>,
    /// Held by the one who opens a connection; when that last failed, and why.
    opening: tokio::sync::Mutex<Option<(Instant, LinkError)>>,
    generations: AtomicU64,
    numbers: AtomicU32,
    clock: Mutex<ServerClock>,
    /// Largest item in bytes, by the server's own words; zero if it did not say.
    largest: AtomicU64,
}

/// The answers to a packet.
#[derive(Debug)]
pub(in crate::store) struct Told {
    pub(super) replies: std::vec::IntoIter<Reply>,
    /// The server's time when it answered.
    pub(in crate::store) now: Timestamp,
}

impl Told {
    /// Returns the reply to the next command.
    pub(in crate::store) fn next(&mut self) -> Reply {
        self.replies.next().expect("a packet is answered by as many replies as it has commands")
    }
}

impl Server {
    pub(super) fn new(endpoint: Endpoint, keys: &Keys, options: &MemcachedOptions) -> Self {
        let mut ask_time = Packet::new(keys, 0);
        ask_time.clock();
        Self {
            endpoint,
            login: options.login.clone(),
            ask_time: ask_time.seal().bytes,
            connect_timeout: options.connect_timeout,
            response_timeout: options.response_timeout,
            link: Mutex::new(None),
            opening: tokio::sync::Mutex::new(None),
            generations: AtomicU64::new(0),
            numbers: AtomicU32::new(0),
            clock: Mutex::default(),
            largest: AtomicU64::new(0),
        }
    }

    /// Starts a packet.
    pub(in crate::store) fn packet<'a>(&self, keys: &'a Keys) -> Packet<'a> {
        Packet::new(keys, self.numbers.fetch_add(MOST_COMMANDS, Ordering::Relaxed))
    }

    /// Returns the connection, and opens one if there is none.
    pub(in crate::store) async fn link(&self) -> Result<Arc<Connection>> {
        match self.open_link() {
            Some(link) => Ok(link),
            None => Ok(Box::pin(self.reconnect()).await?),
        }
    }

    /// Sends a packet and returns its answers.
    pub(in crate::store) async fn ask(&self, link: &Connection, packet: Packet<'_>) -> Result<Told> {
        let Answers { replies, arrived } = link.send(packet.seal())?.answers().await?;
        Ok(self.told(replies, arrived))
    }

    /// Sends a packet whose last command asks for the time; returns the other answers with it, and the second
    /// that the server told, from which it counts what is left of items.
    pub(in crate::store) async fn ask_with_time(
        &self,
        link: &Connection,
        mut packet: Packet<'_>,
    ) -> Result<(Told, u64)> {
        packet.clock();
        let Answers { replies, arrived } = link.send(packet.seal())?.answers().await?;
        Ok(self.told_with_time(replies, arrived))
    }

    pub(super) fn told_with_time(&self, mut replies: Vec<Reply>, arrived: Instant) -> (Told, u64) {
        // Without an answer the item has just been made, since it had been evicted. The next call has one.
        let second =
            replies.pop().and_then(|clock| clock.ttl).map(|left| u64::from(CLOCK_END.saturating_sub(left)));
        if let Some(second) = second {
            self.clock().hear(second, arrived);
        }
        let told = self.told(replies, arrived);
        let second = second.unwrap_or(told.now.as_secs());
        (told, second)
    }

    fn told(&self, replies: Vec<Reply>, arrived: Instant) -> Told {
        // A connection is in use only after its greeting, which told the time.
        let now = self.clock().at(arrived).unwrap_or(Timestamp::EPOCH);
        Told { replies: replies.into_iter(), now }
    }

    /// Returns the server's time, as far as it is known without asking.
    pub(in crate::store) fn now(&self) -> Timestamp {
        self.clock().at(Instant::now()).unwrap_or(Timestamp::EPOCH)
    }

    /// Checks that an item is not larger than the server takes. Sending it would end the one before it.
    pub(in crate::store) fn check_size(&self, key: usize, value: usize) -> Result<()> {
        let largest = self.largest.load(Ordering::Relaxed);
        let needed = key as u64 + value as u64 + ITEM_OVERHEAD;
        if largest > 0 && needed > largest { Err(too_large()) } else { Ok(()) }
    }

    /// Opens a stream and lets the server tell who it is.
    pub(super) async fn dial(&self) -> Result<(Stream, Greeting), LinkError> {
        let opening = async {
            let mut stream =
                Stream::open(&self.endpoint).await.map_err(|error| LinkError::Refused(Arc::new(error)))?;
            let greeting = greeting::exchange(&mut stream, self.login.as_ref(), &self.ask_time).await?;
            Ok((stream, greeting))
        };
        tokio::time::timeout(self.connect_timeout, opening).await.unwrap_or(Err(LinkError::ConnectTimedOut))
    }

    fn open_link(&self) -> Option<Arc<Connection>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|link| !link.is_closed())
    }

    /// Opens a connection; those who come meanwhile wait for this one.
    async fn reconnect(&self) -> Result<Arc<Connection>, LinkError> {
        let mut failed = self.opening.lock().await;
        if let Some(link) = self.open_link() {
            return Ok(link);
        }
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE) {
            return Err(error.clone());
        }
        match self.dial().await {
            Ok((stream, greeting)) => {
                *failed = None;
                Ok(self.use_stream(stream, &greeting))
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn use_stream(&self, stream: Stream, greeting: &Greeting) -> Arc<Connection> {
        self.clock().hear(greeting.second, Instant::now());
        self.largest.store(greeting.largest.unwrap_or(0), Ordering::Relaxed);
        let longest =
            greeting.largest.and_then(|largest| usize::try_from(largest).ok()).unwrap_or(LONGEST_VALUE);
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let link = Arc::new(Connection::start(stream, generation, longest, self.response_timeout));
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&link));
        link
    }

    fn clock(&self) -> MutexGuard<'_, ServerClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
