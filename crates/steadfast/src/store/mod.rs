//! Where records are kept: the contract of a driver, and its outcomes.
//!
//! A driver knows bytes, versions and deadlines; it knows no codec, no cookie and no policy. What it
//! must do is written at [`Store`] and checked by the public conformance suite (feature `conformance`).

pub(crate) mod by_key;
mod erased;
#[cfg(all(unix, feature = "files"))]
pub mod files;
pub(crate) mod guard;
#[cfg(feature = "memcached")]
pub mod memcached;
pub mod memory;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "php")]
pub mod php;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "memcached", all(feature = "php", feature = "redis")))]
mod recent;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "php")]
mod shared_name;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "network")]
mod tls;
#[cfg(any(
    feature = "memcached",
    feature = "mysql",
    feature = "postgres",
    feature = "sqlite",
    all(feature = "php", feature = "redis")
))]
mod waits;

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Result;
use crate::random;
use crate::time::Timestamp;

#[cfg(feature = "sealed")]
pub use crate::seal::SealedStore;
pub use erased::SharedStore;
#[cfg(feature = "php")]
pub use shared_name::SharedName;
#[cfg(feature = "network")]
pub use tls::Tls;

/// Names a record in a store: a digest of the key in the cookie, so a leaked store opens no session.
///
/// Uniformly distributed, 16 bytes. Safe as a file name in the form of [`StoreKey::to_hex`].
///
/// In a layout that is shared with PHP the key carries the literal name, too, because PHP finds
/// records by the id in the cookie; it still is one key like any other, by the digest of that name.
#[derive(Clone, Copy)]
pub struct StoreKey {
    digest: [u8; 16],
    // Six times as large as the digest, and carried through every call: only where somebody needs it.
    #[cfg(feature = "php")]
    shared: Option<SharedName>,
}

/// Names a user in the index of a store: a digest of the application's user id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey([u8; 16]);

impl StoreKey {
    /// Takes the 16 bytes of the digest.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 16]) -> Self {
        Self {
            digest,
            #[cfg(feature = "php")]
            shared: None,
        }
    }

    /// Returns the 16 bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.digest
    }

    /// Returns the name that PHP knows the record by, in a layout that is shared with it.
    #[cfg(feature = "php")]
    #[must_use]
    pub const fn shared(&self) -> Option<&SharedName> {
        self.shared.as_ref()
    }
}

impl PartialEq for StoreKey {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for StoreKey {}

impl PartialOrd for StoreKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for StoreKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.digest.cmp(&other.digest)
    }
}

impl std::hash::Hash for StoreKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl UserKey {
    /// Takes the 16 bytes of the digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

macro_rules! digest_key {
    ($name:ident) => {
        impl $name {
            /// Returns the digest as 32 lower-case hexadecimal digits.
            #[must_use]
            pub fn to_hex(&self) -> String {
                crate::hex::encode(self.as_bytes())
            }

            /// Reads what [`to_hex`](Self::to_hex) wrote; `None` for anything else.
            #[must_use]
            pub fn from_hex(hex: &str) -> Option<Self> {
                crate::hex::decode(hex).map(Self::from_bytes)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}
digest_key!(StoreKey);
digest_key!(UserKey);

/// A version of a record: an opaque tag, made anew for every write and never used twice.
///
/// The writer chooses it, so that after an error of unknown effect a load tells whether the write
/// arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Version(u64);

impl Version {
    /// Makes a version that no write has had before.
    #[must_use]
    pub fn fresh() -> Self {
        Self(random::unique())
    }

    /// Takes a version as a driver stored it.
    #[must_use]
    pub const fn from_u64(tag: u64) -> Self {
        Self(tag)
    }

    /// Returns the version of bytes that carry no tag of their own, as in a layout that is shared with PHP:
    /// the same for the same bytes.
    #[must_use]
    pub fn of_content(bytes: &[u8]) -> Self {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
        Self(u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes")))
    }

    /// Returns the version as a driver stores it.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A record: what a store holds under a [`StoreKey`]. The payload is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The bytes, which the driver must not interpret.
    pub payload: Bytes,
    /// The tag of the write that stored them.
    pub version: Version,
    /// When the record may be purged. Whether a session has expired is decided by the caller.
    pub expires_at: Timestamp,
    /// The user in whose index the record is listed.
    pub user: Option<UserKey>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payload, version, expires_at, user } = self;
        f.debug_struct("Record")
            .field("payload_len", &payload.len())
            .field("version", version)
            .field("expires_at", expires_at)
            .field("user", user)
            .finish()
    }
}

/// A record that was found, with the store's time of finding it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The record.
    pub record: Record,
    /// The present time by the clock that decides about this store's deadlines: the server's for a
    /// networked store, the node's for an embedded one.
    pub now: Timestamp,
}

/// Asks for a lease: the right to be the only one who works on a record, for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Who holds it. An acquire with the token of the present holder succeeds and starts the time anew.
    pub token: LeaseToken,
    /// How long it is held without a renewal, by the store's clock.
    pub ttl: Duration,
}

/// Tells the holder of a lease from everybody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LeaseToken(u64);

impl LeaseToken {
    /// Makes a token that nobody has had before.
    #[must_use]
    pub fn fresh() -> Self {
        Self(random::unique())
    }

    /// Takes a token as a driver stored it.
    #[must_use]
    pub const fn from_u64(tag: u64) -> Self {
        Self(tag)
    }

    /// Returns the token as a driver stores it. Never zero, so zero can mean "no lease".
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// What an [`update`](Store::update) does with the writer's lease, in the same step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseEnd {
    /// The writer holds none.
    None,
    /// Ends it if the token still holds it; somebody else's lease is left alone.
    Release(LeaseToken),
    /// Starts its time anew if the token still holds it; somebody else's lease is left alone.
    Renew(Lease),
}

/// What an acknowledged write of an embedded driver survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process, by `kill -9` too; not the loss of power. The default.
    #[default]
    Process,
    /// The loss of power too: every write waits for the disk. `durability=fsync`.
    Fsync,
}

/// What [`Store::load`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Loaded {
    /// The record. It may have expired.
    Found(Found),
    /// There is none.
    Missing,
}

/// What [`Store::acquire`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Acquired {
    /// The lease is held and this is the record.
    Held(Found),
    /// Somebody else holds the lease.
    Busy,
    /// There is no record; nothing was created.
    Missing,
}

/// What [`Store::create`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Created {
    /// The record was stored.
    Stored,
    /// There is a record under this key already; it was left alone.
    IdTaken,
}

/// What [`Store::update`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Updated {
    /// The record was stored.
    Stored,
    /// The version is not the one that was seen; nothing was written.
    Stale,
    /// There is no record; nothing was written.
    Missing,
}

/// What [`Store::replace`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Replaced {
    /// Both sides were stored.
    Stored,
    /// The old record's version is not the one that was seen; nothing is left of the new one.
    Stale,
    /// There is no old record; nothing is left of the new one.
    Missing,
    /// There is a record under the new key already; nothing was written.
    IdTaken,
}

/// What happens to the old record in a [`Store::replace`].
#[derive(Clone, Debug)]
pub enum Predecessor<'a> {
    /// It is deleted.
    Delete,
    /// It is updated to this.
    Update(&'a Record),
}

/// What [`Store::touch`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Touched {
    /// The deadline was moved.
    Moved,
    /// There is no record.
    Missing,
}

/// What [`Store::renew`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Renewed {
    /// The lease lasts its full time from now.
    Extended,
    /// The token does not hold the lease (any more), or there is no record.
    Lost,
}

/// What [`Store::delete`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Deleted {
    /// The record is gone.
    Gone,
    /// The version is not the one that was seen; nothing was deleted.
    Stale,
    /// There was none.
    Missing,
}

/// How much of what there is an answer covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Coverage {
    /// All of it.
    Complete,
    /// What the store still knows: it may forget what it was told to keep, as Memcached does when its
    /// memory is full.
    BestEffort,
}

/// A record with its key, as [`Store::of_user`] and [`Store::page`] list it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its key.
    pub key: StoreKey,
    /// The record. It may have expired.
    pub record: Record,
}

/// Keeps records. Implemented by drivers; applications configure one and never call it.
///
/// # Contract
///
/// - Keys are uniformly distributed digests of untrusted input. Payloads are secret and opaque.
/// - A write is atomic: a reader sees the old record or the new one, never a mixture, also after a
///   crash in the middle of it.
/// - Every write is conditional. An update of a missing record never creates it: that is how
///   signed-out sessions would come back to life.
/// - Acquiring a lease never creates a record. A lease ends by [`release`](Self::release), by the
///   [`LeaseEnd`] of an update, by deletion of its record, or by its time; a crashed holder needs
///   nothing else to be cleared away. A lease keeps nobody from writing: the version does.
/// - `touch`, `renew`, `release` and `acquire` leave the version as it is.
/// - A store may return an expired record (the caller decides expiry), never one it deleted.
/// - Expected outcomes are in the `Ok` type. `Err` means that the system failed; after a write, its
///   effect is then unknown. Every call ends in bounded time.
/// - The index of a user lists a record no later than the write that bound it was acknowledged.
/// - Stored bytes that are damaged are an error of kind [`Corrupt`](crate::ErrorKind::Corrupt) until
///   [`set_aside`](Self::set_aside) has moved them away.
///
/// # Cancel safety
///
/// A call whose future is dropped has happened or has not, as after an `Err`; it is never half done.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Returns the driver's name, as in the connection string: `memory`, `files`, …
    fn driver(&self) -> &'static str;

    /// Returns the present time by the clock that decides about this store's deadlines, as [`Found::now`].
    fn now(&self) -> impl Future<Output = Result<Timestamp>> + Send;

    /// Reports how much of what was bound to a user the answers of [`of_user`](Self::of_user) cover.
    ///
    /// Most stores list everything. One that may evict what it was told to keep says so here.
    fn coverage(&self) -> Coverage {
        Coverage::Complete
    }

    /// Reports whether calls go to another process or machine, which may be slow or gone.
    ///
    /// Such a store is guarded: a deadline for each call, a second try where that is safe, a circuit breaker.
    /// Only embedded drivers say no.
    fn is_remote(&self) -> bool {
        true
    }

    /// Reports whether the calls of one process take effect in the order in which they were made, as on a
    /// single connection.
    ///
    /// Where they don't, a release could overtake the call that takes the lease, if that call was given up.
    fn keeps_order(&self) -> bool {
        false
    }

    /// Returns by how much the present time may differ from [`Found::now`], where a server tells whole seconds only.
    ///
    /// A node whose own clock fits what was told orders requests by that, so that those of several nodes are in
    /// the order in which they came.
    fn clock_slack(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns a number that stands for the server in charge of a record: those that may fail without the
    /// others have different ones. One circuit breaker serves each.
    fn fault_domain(&self, key: &StoreKey) -> usize {
        let _ = key;
        0
    }

    /// Returns when the acknowledged writes to `key` are as safe as this store was set up to make them: on
    /// as many replicas as asked for.
    ///
    /// Called after what must not come undone: the end of a session, a revocation, a change of privilege.
    /// A store whose acknowledgement says it all returns at once.
    fn settle(&self, key: &StoreKey) -> impl Future<Output = Result<()>> + Send {
        let _ = key;
        std::future::ready(Ok(()))
    }

    /// Reads a record.
    fn load(&self, key: &StoreKey) -> impl Future<Output = Result<Loaded>> + Send;

    /// Takes the lease of a record and reads it, in one round trip.
    ///
    /// An expired lease, and the caller's own (same token), are taken; anybody else's is `Busy`.
    fn acquire(&self, key: &StoreKey, lease: Lease) -> impl Future<Output = Result<Acquired>> + Send;

    /// Stores a record under a key that has none.
    fn create(&self, key: &StoreKey, record: &Record) -> impl Future<Output = Result<Created>> + Send;

    /// Stores a record over the version that was seen, and ends or renews the writer's lease with it.
    ///
    /// The index entries follow `record.user` in the same step.
    fn update(
        &self,
        key: &StoreKey,
        seen: Version,
        record: &Record,
        lease: LeaseEnd,
    ) -> impl Future<Output = Result<Updated>> + Send;

    /// Stores a new record under a new key, and updates or deletes the old one over the version that
    /// was seen (ending its lease).
    ///
    /// Where an engine can't do both at once, the new record comes first, and is deleted again unless
    /// the old one then has the version that was seen.
    fn replace(
        &self,
        old: &StoreKey,
        seen: Version,
        predecessor: Predecessor<'_>,
        new: &StoreKey,
        record: &Record,
    ) -> impl Future<Output = Result<Replaced>> + Send;

    /// Moves the deadline of a record, later or earlier, without rewriting its bytes.
    fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> impl Future<Output = Result<Touched>> + Send;

    /// Starts the time of a held lease anew.
    fn renew(&self, key: &StoreKey, lease: Lease) -> impl Future<Output = Result<Renewed>> + Send;

    /// Ends a lease if the token still holds it; otherwise does nothing.
    fn release(&self, key: &StoreKey, token: LeaseToken) -> impl Future<Output = Result<()>> + Send;

    /// Returns when a lease on `key` may have ended, after `wait` at the latest.
    ///
    /// Called after [`Acquired::Busy`], and followed by another `acquire`. A driver that can't be woken
    /// sleeps for its poll interval.
    fn released(&self, key: &StoreKey, wait: Duration) -> impl Future<Output = ()> + Send;

    /// Deletes a record, with its lease and index entries: over the version that was seen, or whatever its
    /// version with `None`.
    fn delete(&self, key: &StoreKey, seen: Option<Version>) -> impl Future<Output = Result<Deleted>> + Send;

    /// Moves damaged bytes away, to where an operator can look at them, so that the key is missing.
    ///
    /// Does nothing if the record is gone or can't be kept.
    fn set_aside(&self, key: &StoreKey) -> impl Future<Output = Result<()>> + Send;

    /// Lists at most `limit` records of a user, in the order of their keys, after a key.
    ///
    /// A damaged record is left out, not an error: it must not hide the others.
    fn of_user(
        &self,
        user: &UserKey,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> impl Future<Output = Result<Vec<Listed>>> + Send;

    /// Deletes at most `limit` records whose deadline has passed, and returns how many.
    ///
    /// A call does bounded work: fewer than `limit` does not mean that none is left.
    fn purge(&self, limit: NonZeroUsize) -> impl Future<Output = Result<usize>> + Send;

    /// Counts the records, expired ones that are still there included.
    fn count(&self) -> impl Future<Output = Result<u64>> + Send;

    /// Lists at most `limit` records after a key, in an order that stays the same while paging.
    fn page(
        &self,
        after: Option<&StoreKey>,
        limit: NonZeroUsize,
    ) -> impl Future<Output = Result<Vec<Listed>>> + Send;

    /// Lists at most `limit` records, whichever cost least; none, where even that is dear.
    ///
    /// A start looks at them, to tell whether it has the keys of sealed ones.
    fn sample(&self, limit: NonZeroUsize) -> impl Future<Output = Result<Vec<Listed>>> + Send {
        self.page(None, limit)
    }
}
