//! What a [`FaultyStore`](super::FaultyStore) is told to do, and what it was asked.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An operation of a [`Store`](crate::store::Store).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Op {
            $($(#[$doc])* $name,)*
        }

        impl Op {
            /// All operations, in the order of the trait.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}
operations! {
    /// [`now`](crate::store::Store::now)
    Now,
    /// [`settle`](crate::store::Store::settle)
    Settle,
    /// [`load`](crate::store::Store::load)
    Load,
    /// [`acquire`](crate::store::Store::acquire)
    Acquire,
    /// [`create`](crate::store::Store::create)
    Create,
    /// [`update`](crate::store::Store::update)
    Update,
    /// [`replace`](crate::store::Store::replace)
    Replace,
    /// [`touch`](crate::store::Store::touch)
    Touch,
    /// [`renew`](crate::store::Store::renew)
    Renew,
    /// [`release`](crate::store::Store::release)
    Release,
    /// [`released`](crate::store::Store::released)
    Released,
    /// [`delete`](crate::store::Store::delete)
    Delete,
    /// [`set_aside`](crate::store::Store::set_aside)
    SetAside,
    /// [`of_user`](crate::store::Store::of_user)
    OfUser,
    /// [`purge`](crate::store::Store::purge)
    Purge,
    /// [`count`](crate::store::Store::count)
    Count,
    /// [`page`](crate::store::Store::page)
    Page,
}

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The call has no effect: an error of kind [`Unavailable`](ErrorKind::Unavailable).
    Refused,
    /// The call has its effect, but the caller isn't told: an error of kind
    /// [`TimedOut`](ErrorKind::TimedOut).
    AnswerLost,
    /// The record is damaged, so the call has no effect: an error of kind [`Corrupt`](ErrorKind::Corrupt).
    Damaged,
}

impl Fault {
    fn error(self) -> Error {
        match self {
            Self::Refused => Error::new(ErrorKind::Unavailable, "the store refuses, as it was told to"),
            Self::AnswerLost => Error::new(ErrorKind::TimedOut, "the answer was lost, as it was told to be"),
            Self::Damaged => Error::new(ErrorKind::Corrupt, "the record is damaged, as it was told to be"),
        }
    }
}

/// Controls a [`FaultyStore`](super::FaultyStore) and knows what it was asked. A clone controls the same
/// store.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<Vec<State>>>);

/// What is known and ordered about one operation.
#[derive(Clone, Default)]
struct State {
    calls: u64,
    /// The fault and how many calls it is still for.
    fault: Option<(Fault, u64)>,
    before: Option<Arc<Barrier>>,
    after: Option<Arc<Barrier>>,
}

/// Where calls wait.
struct Barrier {
    open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(vec![State::default(); Op::ALL.len()])))
    }

    /// Lets the next calls of an operation fail. Replaces an earlier order for this operation.
    ///
    /// [`Op::Released`] can't fail; it then returns at once.
    pub fn fail_next(&self, op: Op, fault: Fault, calls: u64) {
        self.with(op, |state| state.fault = Some((fault, calls)));
    }

    /// Lets all calls of an operation fail until [`heal`](Self::heal).
    pub fn fail_all(&self, op: Op, fault: Fault) {
        self.fail_next(op, fault, u64::MAX);
    }

    /// Lets all calls of every operation fail until [`heal`](Self::heal): the store is out.
    pub fn fail_everything(&self, fault: Fault) {
        for op in Op::ALL {
            self.fail_all(*op, fault);
        }
    }

    /// Ends all failures. Calls that wait at a gate go on waiting.
    pub fn heal(&self) {
        self.lock().iter_mut().for_each(|state| state.fault = None);
    }

    /// Stops calls of an operation before they have their effect, until the gate is opened or dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::store::memory::MemoryStore;
    /// use steadfast::store::{Store, StoreKey};
    /// use steadfast::testing::{FaultyStore, Op};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = FaultyStore::new(MemoryStore::new());
    /// let gate = store.faults().hold(Op::Load);
    /// let held = store.clone();
    /// let load = tokio::spawn(async move { held.load(&StoreKey::from_bytes([7; 16])).await });
    /// gate.arrived(1).await;
    /// assert!(!load.is_finished());
    /// gate.open();
    /// let _missing = load.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn hold(&self, op: Op) -> Gate {
        let barrier = Barrier::new();
        self.with(op, |state| state.before = Some(Arc::clone(&barrier)));
        Gate(barrier)
    }

    /// Stops calls of an operation after they had their effect, until the gate is opened or dropped.
    pub fn hold_answers(&self, op: Op) -> Gate {
        let barrier = Barrier::new();
        self.with(op, |state| state.after = Some(Arc::clone(&barrier)));
        Gate(barrier)
    }

    /// Returns how often an operation was called, failed calls and those that wait at a gate included.
    #[must_use]
    pub fn calls(&self, op: Op) -> u64 {
        self.with(op, |state| state.calls)
    }

    /// Returns how many calls there were of any operation but [`Op::Released`] and [`Op::Settle`], which
    /// only wait.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        let is_call = |op: &&Op| !matches!(op, Op::Released | Op::Settle);
        Op::ALL.iter().filter(is_call).map(|op| self.calls(*op)).sum()
    }

    /// Sets all counts of calls to zero.
    pub fn reset_calls(&self) {
        self.lock().iter_mut().for_each(|state| state.calls = 0);
    }

    /// Counts a call and holds it or lets it fail, before its effect.
    pub(super) async fn before(&self, op: Op) -> Result<()> {
        let barrier = self.with(op, |state| {
            state.calls += 1;
            state.before.clone()
        });
        pass(barrier).await;
        self.fail(op, |fault| fault != Fault::AnswerLost)
    }

    /// Holds a call or lets it fail, after its effect.
    pub(super) async fn after(&self, op: Op) -> Result<()> {
        let barrier = self.with(op, |state| state.after.clone());
        pass(barrier).await;
        self.fail(op, |fault| fault == Fault::AnswerLost)
    }

    fn fail(&self, op: Op, due: impl Fn(Fault) -> bool) -> Result<()> {
        self.with(op, |state| match &mut state.fault {
            Some((fault, left)) if *left > 0 && due(*fault) => {
                *left -= 1;
                Err(fault.error())
            }
            _ => Ok(()),
        })
    }

    fn with<T>(&self, op: Op, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.lock()[op as usize])
    }

    fn lock(&self) -> MutexGuard<'_, Vec<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = Op::ALL.iter().map(|op| (op, self.calls(*op)));
        f.debug_map().entries(calls.filter(|(_, calls)| *calls > 0)).finish()
    }
}

async fn pass(barrier: Option<Arc<Barrier>>) {
    let Some(barrier) = barrier else { return };
    let mut open = barrier.open.subscribe();
    barrier.arrived.send_modify(|arrived| *arrived += 1);
    open.wait_for(|open| *open).await.expect("the barrier, and with it the sender, is kept here");
}

impl Barrier {
    fn new() -> Arc<Self> {
        Arc::new(Self { open: watch::Sender::new(false), arrived: watch::Sender::new(0) })
    }
}

/// Holds calls back, from [`Faults::hold`]. Opens when it is dropped.
#[must_use = "a gate that is dropped is open"]
pub struct Gate(Arc<Barrier>);

impl Gate {
    /// Waits until as many calls have come to the gate, since it was put up.
    pub async fn arrived(&self, calls: usize) {
        let mut arrived = self.0.arrived.subscribe();
        arrived.wait_for(|arrived| *arrived >= calls).await.expect("the sender is kept here");
    }

    /// Lets all calls pass, those that wait and those to come.
    pub fn open(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.open.send_replace(true);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("arrived", &*self.0.arrived.borrow()).finish_non_exhaustive()
    }
}
