//! What happens to sessions, told in one place: to a listener, to `tracing`, to `metrics`.
//!
//! An event names the driver, the operation and the session's tag; never an id, a key or a value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::store::StoreKey;
use crate::token;

/// Something that happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A record was read and the request let in.
    Loaded,
    /// A first record was stored.
    Created,
    /// A record was written over the version that was read.
    Committed,
    /// A merged request did its changes again on a fresher record.
    Replayed,
    /// A deadline was moved without a write.
    Touched,
    /// A request waited for its turn.
    Waited,
    /// A waiter was handed the session by a request of the same node.
    HandedOver,
    /// A secret was replaced in time.
    Rotated,
    /// A request with the predecessor's secret was let in.
    Forwarded,
    /// Somebody came with a new secret for the first time.
    Delivered,
    /// A change of privilege started a new record.
    Renewed,
    /// A session was moved from where it was before a migration.
    Imported,
    /// A session was ended by its holder.
    Ended,
    /// A session was ended by a revocation.
    Revoked,
    /// A cookie led to no record: it was ended, purged, or never issued.
    Missing,
    /// A session was found past its deadline.
    Expired,
    /// Expired records were removed.
    Purged,
    /// The store answers again, after [`Anomaly::CircuitOpened`].
    CircuitClosed,
    /// Something worth an alarm.
    Anomaly(Anomaly),
    /// A store or a commit failed.
    Failed(ErrorKind),
}

/// Something worth an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Anomaly {
    /// A secret that is older than the direct predecessor, or was never issued.
    StaleSecret,
    /// The client is not the one the session is bound to, by address.
    OtherAddress,
    /// The client is not the one the session is bound to, by user agent.
    OtherAgent,
    /// Two cookies of the session's name opened two sessions; none was used.
    TwoSessions,
    /// More cookies of the session's name than are looked at.
    TooManyCookies,
    /// A damaged record was set aside.
    DamagedRecord,
    /// A lease was lost while its holder was at work.
    LostLease,
    /// A cookie was dropped, because the response came after its window.
    LateCookie,
    /// The clocks of the node and of the store differ by more than a second.
    ClockSkew,
    /// A record or a cookie is sealed under a key that this node does not have; it was left as it is.
    KeyMissing,
    /// A record or a cookie was changed, moved or made by somebody without a key; it was not used.
    Forged,
    /// Some of the cookies in which a session travels are missing; it was not used.
    IncompleteCookie,
    /// A session that is shared with PHP was changed under two ids at once, a rotation being between them. It
    /// keeps what was written under the newer one.
    Forked,
    /// Some values of a session have no place in the layout to which it moved; they were left behind.
    LeftBehind,
    /// The store did not answer several times in a row, so it is not asked for a moment.
    CircuitOpened,
}

impl EventKind {
    /// Returns the event's name, as in logs, metrics and the probe's event file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Created => "created",
            Self::Committed => "committed",
            Self::Replayed => "replayed",
            Self::Touched => "touched",
            Self::Waited => "waited",
            Self::HandedOver => "handed_over",
            Self::Rotated => "rotated",
            Self::Forwarded => "forwarded",
            Self::Delivered => "delivered",
            Self::Renewed => "renewed",
            Self::Imported => "imported",
            Self::Ended => "ended",
            Self::Revoked => "revoked",
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Purged => "purged",
            Self::CircuitClosed => "circuit_closed",
            Self::Anomaly(anomaly) => anomaly.as_str(),
            Self::Failed(_) => "failed",
        }
    }
}

impl Anomaly {
    /// Returns the anomaly's name, as in logs, metrics and the probe's event file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StaleSecret => "stale_secret",
            Self::OtherAddress => "other_address",
            Self::OtherAgent => "other_agent",
            Self::TwoSessions => "two_sessions",
            Self::TooManyCookies => "too_many_cookies",
            Self::DamagedRecord => "damaged_record",
            Self::LostLease => "lost_lease",
            Self::LateCookie => "late_cookie",
            Self::ClockSkew => "clock_skew",
            Self::KeyMissing => "key_missing",
            Self::Forged => "forged",
            Self::IncompleteCookie => "incomplete_cookie",
            Self::Forked => "forked",
            Self::LeftBehind => "left_behind",
            Self::CircuitOpened => "circuit_opened",
        }
    }
}

/// An event with its circumstances.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The driver of the store.
    pub driver: &'static str,
    /// The name of the node, if it has one.
    pub node: Option<&'a str>,
    /// How long it took, for waits.
    pub took: Option<Duration>,
    /// How many records it concerns: one, but for purges.
    pub count: u64,
    key: Option<StoreKey>,
}

impl Event<'_> {
    /// Returns the 8 digits that stand for the session in logs, if it concerns one. Computed on demand.
    #[must_use]
    pub fn tag(&self) -> Option<String> {
        self.key.as_ref().map(token::tag)
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, driver, node, took, count, key: _ } = self;
        f.debug_struct("Event")
            .field("kind", kind)
            .field("driver", driver)
            .field("node", node)
            .field("took", took)
            .field("count", count)
            .field("tag", &self.tag())
            .finish()
    }
}

/// Who listens to events.
pub(crate) type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// Tells events to everybody who wants to know.
#[derive(Clone)]
pub(crate) struct Observer {
    listener: Option<Listener>,
    driver: &'static str,
    node: Option<Arc<str>>,
    /// What most requests tell of, and the name under which that is counted.
    #[cfg(feature = "metrics")]
    usual: Arc<[(EventKind, metrics::Key)]>,
}

impl Observer {
    pub(crate) fn new(listener: Option<Listener>, driver: &'static str, node: Option<&str>) -> Self {
        Self {
            listener,
            driver,
            node: node.map(Arc::from),
            #[cfg(feature = "metrics")]
            usual: [EventKind::Loaded, EventKind::Committed].map(|kind| (kind, counter(kind, driver))).into(),
        }
    }

    /// Tells of something that happened to a record.
    pub(crate) fn tell(&self, kind: EventKind, key: &StoreKey) {
        self.emit(kind, Some(*key), None, 1);
    }

    /// Tells of something worth an alarm.
    pub(crate) fn alarm(&self, anomaly: Anomaly, key: Option<&StoreKey>) {
        self.emit(EventKind::Anomaly(anomaly), key.copied(), None, 1);
    }

    /// Tells of a failure, with the record if there was one; also as an anomaly, if somebody must look at it.
    pub(crate) fn failed(&self, kind: ErrorKind, key: Option<&StoreKey>) {
        match kind {
            ErrorKind::KeyMissing => self.alarm(Anomaly::KeyMissing, key),
            ErrorKind::Forged => self.alarm(Anomaly::Forged, key),
            _ => {}
        }
        self.emit(EventKind::Failed(kind), key.copied(), None, 1);
    }

    /// Tells of a wait.
    pub(crate) fn waited(&self, key: &StoreKey, took: Duration) {
        self.emit(EventKind::Waited, Some(*key), Some(took), 1);
    }

    /// Tells of something that happened to many records.
    pub(crate) fn tell_many(&self, kind: EventKind, count: u64) {
        self.emit(kind, None, None, count);
    }

    /// Measures by how many microseconds the store's clock is ahead of the node's.
    pub(crate) fn skewed(&self, micros: i64) {
        #[cfg(feature = "metrics")]
        #[expect(
            clippy::cast_precision_loss,
            reason = "a difference of clocks of 285 years is exact enough"
        )]
        metrics::gauge!("steadfast_clock_skew_seconds", "driver" => self.driver).set(micros as f64 / 1e6);
        #[cfg(not(feature = "metrics"))]
        let _ = micros;
    }

    fn emit(&self, kind: EventKind, key: Option<StoreKey>, took: Option<Duration>, count: u64) {
        let event = Event { kind, driver: self.driver, node: self.node.as_deref(), took, count, key };
        #[cfg(feature = "tracing")]
        trace(&event);
        #[cfg(feature = "metrics")]
        self.measure(&event);
        if let Some(listener) = &self.listener {
            listener(&event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("driver", &self.driver)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "tracing")]
fn trace(event: &Event<'_>) {
    let (name, driver, node, count) = (event.kind.as_str(), event.driver, event.node, event.count);
    let took_ms = event.took.map(|took| took.as_secs_f64() * 1_000.0);
    // The tag is a digest, so it is computed only where somebody listens.
    match event.kind {
        EventKind::Anomaly(_) => {
            tracing::warn!(event = name, driver, node, tag = event.tag(), "session anomaly");
        }
        EventKind::Failed(kind) => {
            tracing::warn!(
                event = name,
                driver,
                node,
                kind = kind.as_str(),
                tag = event.tag(),
                "session failed"
            );
        }
        _ if tracing::enabled!(tracing::Level::DEBUG) => {
            tracing::debug!(event = name, driver, node, count, took_ms, tag = event.tag(), "session");
        }
        _ => {}
    }
}

#[cfg(feature = "metrics")]
impl Observer {
    fn measure(&self, event: &Event<'_>) {
        let driver = event.driver;
        // Each request counts a usual one, and to make its name would cost more than to count it.
        match self.usual.iter().find(|(kind, _)| *kind == event.kind) {
            Some((_, name)) => count(name, event.count),
            None => count(&counter(event.kind, driver), event.count),
        }
        if let Some(took) = event.took {
            metrics::histogram!("steadfast_wait_seconds", "driver" => driver).record(took.as_secs_f64());
        }
        if let EventKind::Failed(kind) = event.kind {
            metrics::counter!("steadfast_failures_total", "kind" => kind.as_str(), "driver" => driver)
                .increment(1);
        }
    }
}

/// Names the counter of an event.
#[cfg(feature = "metrics")]
fn counter(kind: EventKind, driver: &'static str) -> metrics::Key {
    let labels = [("event", kind.as_str()), ("driver", driver)];
    let labels = labels.map(|(name, value)| metrics::Label::from_static_parts(name, value));
    metrics::Key::from_parts("steadfast_events_total", labels.to_vec())
}

/// Counts by whatever recorder there is by now.
#[cfg(feature = "metrics")]
fn count(counter: &metrics::Key, by: u64) {
    static METADATA: metrics::Metadata<'_> =
        metrics::Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));
    metrics::with_recorder(|recorder| recorder.register_counter(counter, &METADATA)).increment(by);
}
