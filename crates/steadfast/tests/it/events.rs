//! What happens is told: to a listener, to `tracing`, to `metrics`.

use std::fmt::Write as _;
use std::future::ready;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::testing::{Fault, Op};
use steadfast::{ErrorKind, EventKind, Session};

use crate::site::{Site, page};

const SECOND: Duration = Duration::from_secs(1);

/// Goes through the life of a session, such that most of what can happen does.
async fn live(site: &Site) {
    let mut visitor = site.visitor();
    visitor.page(|s| s.set("a", 1)).await;
    visitor.page(|s| s.set("a", 2)).await;
    site.clock.advance(31 * SECOND);
    visitor.page(|s| s.get::<u32>("a")).await;
    let slow = visitor.hold("/exclusive", |s| s.set("a", 3)).await;
    let waiting = tokio::spawn(visitor.start(page("/exclusive"), |_: Session| ready(())));
    tokio::task::yield_now().await;
    slow.finish().await;
    waiting.await.unwrap();
    let merged = visitor.hold("/merge", |s| s.set("b", 1)).await;
    visitor.merge(|s| s.set("a", 4)).await;
    merged.finish().await;
    site.clock.advance(301 * SECOND);
    let before = visitor.clone();
    visitor.page(|_| Ok(())).await;
    before.clone().page(|_| Ok(())).await;
    visitor.page(|_| Ok(())).await;
    visitor.page(|s| s.login("alice")).await;
    site.sessions.revoke("alice").await.unwrap();
    visitor.page(|s| s.set("a", 1)).await;
    site.store.faults().fail_next(Op::Update, Fault::Refused, 1);
    visitor.reply(|s| s.set("a", 2)).await;
    visitor.page(|s| s.destroy()).await;
    visitor.page(|s| s.set("a", 1)).await;
    site.clock.advance(3_600 * SECOND);
    visitor.page(|_| Ok(())).await;
    for _ in 0..10 {
        site.sessions.purge(NonZeroUsize::new(100).unwrap()).await.unwrap();
    }
    site.sessions.shutdown().await;
}

#[tokio::test]
async fn each_thing_that_happens_is_told() {
    let site = Site::new(|p| p);
    live(&site).await;
    for kind in [
        EventKind::Loaded,
        EventKind::Created,
        EventKind::Committed,
        EventKind::Replayed,
        EventKind::Touched,
        EventKind::Waited,
        EventKind::HandedOver,
        EventKind::Rotated,
        EventKind::Forwarded,
        EventKind::Delivered,
        EventKind::Renewed,
        EventKind::Ended,
        EventKind::Revoked,
        EventKind::Expired,
        EventKind::Purged,
        EventKind::Failed(ErrorKind::Unavailable),
    ] {
        assert!(site.events.count(kind) > 0, "{kind:?}");
    }
    let strange = site.events.take().into_iter().find(|kind| matches!(kind, EventKind::Anomaly(_)));
    assert_eq!(strange, None);
}

#[tokio::test]
async fn an_event_names_the_driver_the_node_and_the_tag_and_shows_no_secret() {
    let seen = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    let policy = steadfast::Policy::builder().node("web-1").build().unwrap();
    let sessions = steadfast::Sessions::builder()
        .policy(policy)
        .on_event(move |event| writeln!(log.lock().unwrap(), "{event:?}").unwrap())
        .connect("memory:")
        .await
        .unwrap();
    let prepared = sessions.prepare(|s| s.login("alice")).await.unwrap();
    let tag = sessions.inspect(prepared.cookie()).await.unwrap().unwrap().metadata().tag;
    let log = seen.lock().unwrap().clone();
    for shown in ["Created", "Loaded", "\"memory\"", "Some(\"web-1\")", tag.as_str()] {
        assert!(log.contains(shown), "{shown}");
    }
    for private in ["alice", &prepared.cookie()[10..]] {
        assert!(!log.contains(private));
    }
}

#[cfg(feature = "tracing")]
mod to_tracing {
    use std::fmt;
    use std::process::Command;

    use tracing::field::{Field, Visit};
    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;

    /// Writes every event as a line.
    struct Lines(Arc<Mutex<String>>);

    impl Visit for Lines {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            write!(self.0.lock().unwrap(), " {field}={value:?}").unwrap();
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with("steadfast")
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            write!(self.0.lock().unwrap(), "\n{}", event.metadata().level()).unwrap();
            event.record(&mut Self(Arc::clone(&self.0)));
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    /// `tracing` decides once for all threads whether a place may ever log. Another test that gets there
    /// first, without a subscriber, would silence it: so this has a process of its own.
    #[test]
    fn a_log_line_says_what_happened_where_and_to_which_session() {
        let alone = "events::to_tracing::log_lines_of_a_process_of_its_own";
        let ran = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", alone, "--ignored", "--nocapture"])
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&ran.stdout);
        assert!(report.contains("1 passed"), "{report}{}", String::from_utf8_lossy(&ran.stderr));
    }

    #[tokio::test]
    #[ignore = "run as another process by the test above"]
    async fn log_lines_of_a_process_of_its_own() {
        let lines = Arc::new(Mutex::new(String::new()));
        let _logging = tracing::subscriber::set_default(Lines(Arc::clone(&lines)));
        live(&Site::new(|p| p)).await;
        let lines = lines.lock().unwrap().clone();
        for line in [
            "DEBUG message=session event=\"created\" driver=\"memory\"",
            "DEBUG message=session event=\"rotated\"",
            "WARN message=session failed event=\"failed\"",
        ] {
            assert!(lines.contains(line), "{line} in {lines}");
        }
        assert!(!lines.contains("alice"));
    }
}

#[cfg(feature = "metrics")]
mod to_metrics {
    use std::collections::BTreeMap;

    use metrics::{
        Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
        Unit,
    };

    use super::*;

    /// Sums up what is counted and measured.
    #[derive(Clone, Default)]
    struct Sums(Arc<Mutex<BTreeMap<String, f64>>>);

    struct Sum(Sums, String);

    impl Sum {
        fn add(&self, value: f64) {
            *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
        }
    }

    impl CounterFn for Sum {
        #[expect(clippy::cast_precision_loss, reason = "a test counts to ten")]
        fn increment(&self, value: u64) {
            self.add(value as f64);
        }

        fn absolute(&self, _: u64) {}
    }

    impl HistogramFn for Sum {
        fn record(&self, _: f64) {
            self.add(1.0);
        }
    }

    impl Sums {
        fn sum(&self, key: &Key) -> Arc<Sum> {
            let labels: Vec<_> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            Arc::new(Sum(self.clone(), format!("{} {}", key.name(), labels.join(" "))))
        }
    }

    impl Recorder for Sums {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.sum(key))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.sum(key))
        }
    }

    #[tokio::test]
    async fn what_happens_is_counted_by_kind_and_driver() {
        let sums = Sums::default();
        let recorder = sums.clone();
        let _measuring = metrics::set_default_local_recorder(&recorder);
        let site = Site::new(|p| p);
        live(&site).await;
        let sums = sums.0.lock().unwrap().clone();
        for (name, at_least) in [
            ("steadfast_events_total event=created driver=memory", 3.0),
            ("steadfast_events_total event=handed_over driver=memory", 1.0),
            ("steadfast_wait_seconds driver=memory", 1.0),
            ("steadfast_failures_total kind=unavailable driver=memory", 1.0),
        ] {
            assert!(sums.get(name).is_some_and(|sum| *sum >= at_least), "{name} in {sums:?}");
        }
    }
}
