//! One connection that all calls share: what waits is sent in one go, answers come in the order of questions.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::LinkError;
use super::packet::Sealed;
use super::reply::{Parser, Reply};
use super::stream::Stream;

/// Packets that may wait to be sent.
const QUEUE: usize = 16_384;

/// Packets that are sent in one go at most.
const BATCH: usize = 128;

/// Room for what arrives, in bytes: some hundred answers without a value, or some with one.
const ROOM: usize = 16 * 1024;

/// The answers to a packet, and when the last of them arrived.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) replies: Vec<Reply>,
    pub(super) arrived: Instant,
}

type Answered = oneshot::Sender<Result<Answers, LinkError>>;

/// A connection. It is closed when the last handle is dropped.
pub(in crate::store) struct Connection {
    /// Tells this connection from those before and after it.
    pub(in crate::store) generation: u64,
    packets: mpsc::Sender<(Sealed, Answered)>,
}

/// Answers to a packet that was handed over; dropped, they are read and forgotten.
#[must_use]
pub(super) struct Pending(oneshot::Receiver<Result<Answers, LinkError>>);

impl Connection {
    /// Starts to use a stream, on which nothing is under way.
    pub(super) fn start(stream: Stream, generation: u64, longest: usize, timeout: Duration) -> Self {
        let (packets, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(stream, queue, Parser::new(longest), timeout));
        Self { generation, packets }
    }

    /// Reports whether nothing can be sent any more.
    pub(super) fn is_closed(&self) -> bool {
        self.packets.is_closed()
    }

    /// Hands a packet over, which will be sent whether somebody waits for its answers or not.
    pub(super) fn send(&self, packet: Sealed) -> Result<Pending, LinkError> {
        let (answered, pending) = oneshot::channel();
        self.packets.try_send((packet, answered)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LinkError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        Ok(Pending(pending))
    }
}

impl Pending {
    /// Returns the answers: one for each command, in their order.
    pub(super) async fn answers(self) -> Result<Answers, LinkError> {
        self.0.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("generation", &self.generation).finish_non_exhaustive()
    }
}

fn closed() -> LinkError {
    io::Error::from(io::ErrorKind::ConnectionAborted).into()
}

/// A packet that was sent.
struct Sent {
    at: Instant,
    first: u32,
    commands: u32,
    replies: Vec<Reply>,
    answered: Answered,
}

/// The packets whose answers have not arrived yet, the oldest first.
#[derive(Default)]
struct Waiting {
    queue: Mutex<Queue>,
    /// Tells the reader that it has something to watch.
    watch: Notify,
}

#[derive(Default)]
struct Queue {
    sent: VecDeque<Sent>,
    /// Whether the reader looks at the time.
    watched: bool,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, packets: impl Iterator<Item = Sent>) {
        let mut queue = self.lock();
        queue.sent.extend(packets);
        if !std::mem::replace(&mut queue.watched, true) {
            self.watch.notify_one();
        }
    }

    /// Gives a reply to the packet that it belongs to.
    fn deliver(&self, reply: Reply) -> Result<(), LinkError> {
        let mut queue = self.lock();
        let Some(oldest) = queue.sent.front_mut() else { return Err(LinkError::OutOfStep) };
        let number = oldest.first.wrapping_add(oldest.replies.len() as u32);
        // The server's errors come without a number, and are counted.
        if reply.opaque.is_some_and(|opaque| opaque != number) || !reply.is_numbered_or_an_error() {
            return Err(LinkError::OutOfStep);
        }
        oldest.replies.push(reply);
        if oldest.replies.len() == oldest.commands as usize {
            let Some(Sent { replies, answered, .. }) = queue.sent.pop_front() else { return Ok(()) };
            // Nobody may be waiting any more.
            let _ = answered.send(Ok(Answers { replies, arrived: Instant::now() }));
        }
        Ok(())
    }

    /// Returns how long the oldest packet may still wait; stops to watch if there is none.
    fn oldest_until(&self, timeout: Duration) -> Option<Instant> {
        let mut queue = self.lock();
        let until = queue.sent.front().map(|oldest| oldest.at + timeout);
        queue.watched = until.is_some();
        until
    }

    fn fail_all(&self, error: &LinkError) {
        for sent in std::mem::take(&mut self.lock().sent) {
            let _ = sent.answered.send(Err(error.clone()));
        }
    }
}

/// Serves a connection until it is of no use; whoever waits is told why.
async fn run(
    stream: Stream,
    mut queue: mpsc::Receiver<(Sealed, Answered)>,
    parser: Parser,
    timeout: Duration,
) {
    let Stream { incoming, outgoing } = stream;
    let waiting = Arc::new(Waiting::default());
    let reader = tokio::spawn(read(incoming, Arc::clone(&waiting), parser, timeout));
    let error = {
        let write = write(outgoing, &mut queue, &waiting, timeout);
        let mut reader = AbortOnDrop(reader);
        tokio::select! {
            error = write => error,
            read = &mut reader.0 => read.unwrap_or_else(|_| closed()),
        }
    };
    queue.close();
    waiting.fail_all(&error);
    while let Ok((_, answered)) = queue.try_recv() {
        let _ = answered.send(Err(error.clone()));
    }
}

/// The reader's task, which ends with the writer.
struct AbortOnDrop(tokio::task::JoinHandle<LinkError>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends what waits, as much as there is at one go.
async fn write(
    mut outgoing: impl AsyncWrite + Unpin,
    queue: &mut mpsc::Receiver<(Sealed, Answered)>,
    waiting: &Waiting,
    timeout: Duration,
) -> LinkError {
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = Vec::new();
    loop {
        if queue.recv_many(&mut batch, BATCH).await == 0 {
            return closed();
        }
        let at = Instant::now();
        bytes.clear();
        waiting.add(batch.drain(..).map(|(Sealed { bytes: packet, first, commands }, answered)| {
            // A single packet is not copied.
            if bytes.is_empty() {
                bytes = packet;
            } else {
                bytes.extend_from_slice(&packet);
            }
            Sent { at, first, commands, replies: Vec::with_capacity(commands as usize), answered }
        }));
        let sending = async {
            outgoing.write_all(&bytes).await?;
            outgoing.flush().await
        };
        match tokio::time::timeout(timeout, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return LinkError::TimedOut,
        }
    }
}

/// Hands out what arrives, and gives up when the oldest question has waited for too long.
async fn read(
    mut incoming: impl AsyncRead + Unpin,
    waiting: Arc<Waiting>,
    mut parser: Parser,
    timeout: Duration,
) -> LinkError {
    let mut arrived = BytesMut::with_capacity(ROOM);
    // One timer for as long as the connection lasts: to make one for each read costs more than the read.
    let mut alarm = pin!(sleep_until(Instant::now()));
    let mut watched = false;
    loop {
        tokio::select! {
            read = incoming.read_buf(&mut arrived) => match read {
                Ok(0) => return io::Error::from(io::ErrorKind::UnexpectedEof).into(),
                Ok(_) => {}
                Err(error) => return error.into(),
            },
            () = waiting.watch.notified(), if !watched => {
                watched = watch(alarm.as_mut(), waiting.oldest_until(timeout));
            }
            () = alarm.as_mut(), if watched => {
                let until = waiting.oldest_until(timeout);
                if until.is_some_and(|until| until <= Instant::now()) {
                    return LinkError::TimedOut;
                }
                watched = watch(alarm.as_mut(), until);
            }
        }
        loop {
            match parser.next(&mut arrived) {
                Ok(Some(reply)) => match waiting.deliver(reply) {
                    Ok(()) => {}
                    Err(error) => return error,
                },
                Ok(None) => break,
                Err(error) => return error.into(),
            }
        }
        // Values share these bytes, so what is left of them may be small.
        arrived.reserve(ROOM / 4);
    }
}

/// Sets an alarm for a moment, if there is one.
fn watch(alarm: Pin<&mut Sleep>, until: Option<Instant>) -> bool {
    if let Some(until) = until {
        alarm.reset(until);
    }
    until.is_some()
}
