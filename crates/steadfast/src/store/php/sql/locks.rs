//! CodeIgniter's locks: a lock is the connection that took it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::{Error, ErrorKind, Result};
use crate::store::by_key::ByKey;
use crate::store::php::held::{HeldLocks, Taken};
use crate::store::{Lease, LeaseToken, StoreKey};

use super::engine::{Answer, Engine, Failure, Purpose, Step};
use super::names::{Name, RowNames};
use super::words::Words;

/// For how long a lock that was won by waiting is kept for the acquire that follows.
const KEPT_WON: Duration = Duration::from_secs(1);

/// The pause after a wait that the engine ended early: MySQL rounds its time-outs to whole seconds.
const PAUSE: Duration = Duration::from_millis(20);

/// How much longer than the engine was told to wait its answer is waited for.
const MARGIN: Duration = Duration::from_millis(500);

/// The locks of one store.
pub(super) struct Locks<E: Engine> {
    pub(super) engine: E,
    pub(super) names: RowNames,
    held: HeldLocks<E::Link>,
    won: Mutex<ByKey<Won<E::Link>>>,
    /// Rung when a lock was noted, whose time may be the next to be over.
    noted: Arc<Notify>,
    sweeper: OnceLock<AbortHandle>,
    /// How long an answer may take.
    timeout: Duration,
}

/// A lock that was won by waiting for it.
struct Won<L> {
    link: L,
    until: Instant,
}

/// A lock under which a call works.
pub(super) enum Grip<'a, L> {
    /// It is held for a lease.
    Held(Taken<'a, L>),
    /// It was taken for this call.
    Own(L),
}

impl<L> Grip<'_, L> {
    pub(super) fn link(&mut self) -> &mut L {
        match self {
            Self::Held(taken) => taken.lock(),
            Self::Own(link) => link,
        }
    }

    /// Holds the lock no more.
    pub(super) fn end(self) -> L {
        match self {
            Self::Held(taken) => taken.end(),
            Self::Own(link) => link,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }
}

impl<E: Engine> Locks<E> {
    /// Begins to give back locks whose time is over, as long as this lives.
    pub(super) fn start(engine: E, names: RowNames, timeout: Duration) -> Arc<Self> {
        let locks = Arc::new(Self {
            engine,
            names,
            held: HeldLocks::default(),
            won: Mutex::default(),
            noted: Arc::default(),
            sweeper: OnceLock::new(),
            timeout,
        });
        let sweeper = tokio::spawn(sweep(Arc::downgrade(&locks), Arc::clone(&locks.noted)));
        locks.sweeper.get_or_init(|| sweeper.abort_handle());
        locks
    }

    pub(super) fn words(&self) -> &E::Words {
        self.engine.words()
    }

    /// Runs steps. After an error the connection must not be given back.
    pub(super) async fn run(&self, link: &mut E::Link, steps: Vec<Step>) -> Result<Vec<Answer>, Failure> {
        timeout(self.timeout, self.engine.run(link, steps))
            .await
            .unwrap_or_else(|_| Err(Failure::Failed(no_answer::<E>())))
    }

    /// Runs steps on a connection that holds no lock.
    pub(super) async fn call(&self, steps: Vec<Step>) -> Result<Vec<Answer>> {
        let mut link = self.engine.lend(Purpose::Call).await?;
        let answers = self.run(&mut link, steps).await.map_err(unexpected::<E>)?;
        self.engine.give_back(link);
        Ok(answers)
    }

    /// Asks for the lock of a row without waiting, and reads the row. Somebody else has the lock if there is
    /// no connection in the answer.
    pub(super) async fn try_and_read(
        &self,
        key: &StoreKey,
        name: &Name,
    ) -> Result<Option<(E::Link, Answer)>> {
        if let Some(mut link) = self.take_won(key) {
            // A connection that has broken has lost the lock: it is asked for anew.
            if let Ok(answer) = self.read_under(&mut link, name).await {
                return Ok(Some((link, answer)));
            }
        }
        let mut link = self.engine.lend(Purpose::Lock).await?;
        let steps = [self.words().try_lock(name), self.words().read(name)].map(Step::One);
        let [locked, read] = exactly(self.run(&mut link, steps.into()).await.map_err(unexpected::<E>)?)?;
        if locked.is_yes() {
            return Ok(Some((link, read)));
        }
        self.engine.give_back(link);
        Ok(None)
    }

    /// Reads a row under its lock.
    pub(super) async fn read_under(&self, link: &mut E::Link, name: &Name) -> Result<Answer> {
        let steps = vec![Step::One(self.words().read(name))];
        let [read] = exactly(self.run(link, steps).await.map_err(unexpected::<E>)?)?;
        Ok(read)
    }

    /// Waits in the engine's queue for the lock of a row, and keeps it for the acquire that follows.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed, and the engine takes it out of the queue within `wait`.
    pub(super) async fn win(&self, key: &StoreKey, name: &Name, wait: Duration) {
        let until = Instant::now() + wait;
        // An error is left to the acquire that follows, but not asked for again and again.
        match self.wait_for(name, wait).await {
            Ok(Some(link)) => {
                self.won().insert(*key, Won { link, until: Instant::now() + KEPT_WON });
                self.noted.notify_one();
            }
            Ok(None) | Err(_) => sleep(PAUSE.min(until.saturating_duration_since(Instant::now()))).await,
        }
    }

    /// Returns a lock to write under: that of the lease, or else one of its own.
    ///
    /// # Errors
    ///
    /// `Busy` if it could not be had within `wait`.
    pub(super) async fn grip(
        &self,
        key: &StoreKey,
        name: &Name,
        token: Option<LeaseToken>,
        wait: Duration,
    ) -> Result<Grip<'_, E::Link>> {
        if let Some(token) = token
            && let Some(taken) = self.held.taken(key, token).await
        {
            return Ok(Grip::Held(taken));
        }
        self.own_grip(key, name, wait).await
    }

    /// Returns a lock to write under: that of whoever of this process holds it, or else one of its own.
    ///
    /// # Errors
    ///
    /// As [`grip`](Self::grip).
    pub(super) async fn any_grip(
        &self,
        key: &StoreKey,
        name: &Name,
        wait: Duration,
    ) -> Result<Grip<'_, E::Link>> {
        match self.held.taken_any(key).await {
            Some(taken) => Ok(Grip::Held(taken)),
            None => self.own_grip(key, name, wait).await,
        }
    }

    async fn own_grip(&self, key: &StoreKey, name: &Name, wait: Duration) -> Result<Grip<'_, E::Link>> {
        let link = match self.take_won(key) {
            Some(link) => Some(link),
            None => self.wait_for(name, wait).await?,
        };
        link.map(Grip::Own).ok_or_else(busy::<E>)
    }

    /// Takes the lock of another row, too, on a connection that holds one already, and reports whether there
    /// is such a row.
    ///
    /// # Errors
    ///
    /// As [`grip`](Self::grip).
    pub(super) async fn add(&self, link: &mut E::Link, name: &Name, wait: Duration) -> Result<bool> {
        let look = Some(Step::One(self.words().exists(name)));
        let answers = self.wait_on(link, name, wait, look).await?.ok_or_else(busy::<E>)?;
        Ok(answers.last().is_some_and(|answer| !answer.rows.is_empty()))
    }

    /// Notes a lock as held for a lease.
    pub(super) fn hold(&self, key: StoreKey, lease: Lease, link: E::Link) {
        self.held.insert(key, lease, link);
        self.noted.notify_one();
    }

    /// Returns the lock of a lease, if the token holds it.
    pub(super) async fn held(&self, key: &StoreKey, token: LeaseToken) -> Option<Taken<'_, E::Link>> {
        self.held.taken(key, token).await
    }

    /// Starts the time of a held lock anew.
    pub(super) fn renew(&self, key: &StoreKey, lease: Lease) -> bool {
        self.held.renew(key, lease)
    }

    /// Gives a lock back. If that fails, the connection is closed, which does the same.
    pub(super) async fn give_back(&self, mut link: E::Link, name: &Name) {
        let unlocked = self.run(&mut link, vec![Step::One(self.words().unlock(name))]).await;
        if matches!(unlocked, Ok(answers) if answers.last().is_some_and(Answer::is_yes)) {
            self.engine.give_back(link);
        }
    }

    async fn wait_for(&self, name: &Name, wait: Duration) -> Result<Option<E::Link>> {
        let until = Instant::now() + wait;
        let Ok(link) = timeout(wait, self.engine.lend(Purpose::Lock)).await else { return Ok(None) };
        let mut link = link?;
        let left = until.saturating_duration_since(Instant::now());
        if self.wait_on(&mut link, name, left, None).await?.is_some() {
            return Ok(Some(link));
        }
        self.engine.give_back(link);
        Ok(None)
    }

    /// Waits for a lock, then runs another step. `None` if the lock was not given in time.
    async fn wait_on(
        &self,
        link: &mut E::Link,
        name: &Name,
        wait: Duration,
        then: Option<Step>,
    ) -> Result<Option<Vec<Answer>>> {
        let then_asked = usize::from(then.is_some());
        let steps = [self.words().wait_for_lock(name, wait)].into_iter().chain(then).collect();
        match timeout(wait + MARGIN, self.engine.run(link, steps)).await {
            Ok(Ok(answers)) => {
                let locked = answers.iter().rev().nth(then_asked).is_some_and(Answer::is_yes);
                Ok(locked.then_some(answers))
            }
            Ok(Err(Failure::NotInTime)) => Ok(None),
            Ok(Err(failure)) => Err(unexpected::<E>(failure)),
            Err(_) => Err(no_answer::<E>()),
        }
    }

    fn take_won(&self, key: &StoreKey) -> Option<E::Link> {
        self.won().remove(key).map(|won| won.link)
    }

    fn won(&self) -> MutexGuard<'_, ByKey<Won<E::Link>>> {
        self.won.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the time of the next lock is over.
    fn next_end(&self) -> Option<Instant> {
        let won = self.won().values().map(|won| won.until).min();
        self.held.next_end().into_iter().chain(won).min()
    }

    /// Gives back the locks whose time is over.
    async fn give_overdue_back(&self) {
        let mut overdue = self.held.take_overdue();
        let now = Instant::now();
        overdue.extend(self.won().extract_if(|_, won| won.until <= now).map(|(key, won)| (key, won.link)));
        for (key, link) in overdue {
            if let Ok(name) = self.names.of(&key) {
                self.give_back(link, &name).await;
            }
        }
    }
}

impl<E: Engine> Drop for Locks<E> {
    fn drop(&mut self) {
        if let Some(sweeper) = self.sweeper.get() {
            sweeper.abort();
        }
    }
}

impl<E: Engine> fmt::Debug for Locks<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks")
            .field("engine", &self.engine)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

/// Gives back locks when their time is over. It holds nothing while it waits.
async fn sweep<E: Engine>(locks: Weak<Locks<E>>, noted: Arc<Notify>) {
    loop {
        let Some(next) = locks.upgrade().map(|locks| locks.next_end()) else { return };
        match next {
            None => noted.notified().await,
            Some(at) => {
                // Either way it looks again: a lock that was noted may be the next.
                let overdue =
                    timeout(at.saturating_duration_since(Instant::now()), noted.notified()).await.is_err();
                // A call that works under a lock whose time is over has it a little longer.
                if overdue && let Some(locks) = locks.upgrade() {
                    locks.give_overdue_back().await;
                    sleep_until(Instant::now() + PAUSE).await;
                }
            }
        }
    }
}

/// Takes the answers apart. Their number is that of the statements.
pub(super) fn exactly<const N: usize>(answers: Vec<Answer>) -> Result<[Answer; N]> {
    let message = "the server answered fewer statements than it was sent";
    answers.try_into().map_err(|_| Error::new(ErrorKind::Unavailable, message))
}

/// Explains a failure that has no meaning of its own where it happened.
pub(super) fn unexpected<E: Engine>(failure: Failure) -> Error {
    let (kind, message) = match failure {
        Failure::Failed(error) => return error,
        Failure::Duplicate => (ErrorKind::Unavailable, "a row of that name came in between"),
        Failure::NotInTime => (
            ErrorKind::TimedOut,
            "another transaction keeps a row or the table locked: look for one that was left open",
        ),
    };
    Error::new(kind, message).in_driver(E::Words::DRIVER)
}

fn busy<E: Engine>() -> Error {
    Error::new(ErrorKind::Busy, "somebody else held the session's lock for longer than `lock_wait`, or all `lock_connections` were in use")
        .in_driver(E::Words::DRIVER)
}

fn no_answer<E: Engine>() -> Error {
    Error::new(ErrorKind::TimedOut, "the server did not answer within `timeout`").in_driver(E::Words::DRIVER)
}
