//! How long calls take, as `metrics` is told.

use std::time::Duration;

macro_rules! ops {
    ($($op:ident $name:literal),* $(,)?) => {
        /// A call of the contract.
        #[derive(Clone, Copy)]
        pub(super) enum Op {
            $($op,)*
        }

        #[cfg(feature = "metrics")]
        impl Op {
            /// What they are called, in their order.
            const NAMES: &[&'static str] = &[$($name),*];
        }
    };
}

ops! {
    Now "now",
    Settle "settle",
    Load "load",
    Acquire "acquire",
    Create "create",
    Update "update",
    Replace "replace",
    Touch "touch",
    Renew "renew",
    Release "release",
    Delete "delete",
    SetAside "set_aside",
    OfUser "of_user",
    Purge "purge",
    Count "count",
    Page "page",
    Sample "sample",
}

/// Measures calls, by what was called and whether the store failed to answer.
///
/// The names of the measurements are made once. Who takes them is asked each time, because a recorder may be
/// installed after the store was opened.
pub(super) struct Durations {
    /// By call; first of those that were answered.
    #[cfg(feature = "metrics")]
    keys: Box<[[metrics::Key; 2]]>,
}

#[cfg(feature = "metrics")]
impl Durations {
    pub(super) fn new(driver: &'static str) -> Self {
        use metrics::{Key, Label};
        let key = |op, failed| {
            let labels = [("op", op), ("driver", driver), ("failed", failed)];
            let labels = labels.map(|(name, value)| Label::from_static_parts(name, value));
            Key::from_parts("steadfast_store_seconds", labels.to_vec())
        };
        Self { keys: Op::NAMES.iter().map(|op| [key(op, "false"), key(op, "true")]).collect() }
    }

    pub(super) fn record(&self, op: Op, took: Duration, failed: bool) {
        static METADATA: metrics::Metadata<'_> =
            metrics::Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));
        let key = &self.keys[op as usize][usize::from(failed)];
        metrics::with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
            .record(took.as_secs_f64());
    }
}

#[cfg(not(feature = "metrics"))]
impl Durations {
    pub(super) fn new(_driver: &'static str) -> Self {
        Self {}
    }

    #[expect(clippy::unused_self, reason = "with `metrics` it holds the names")]
    pub(super) fn record(&self, _op: Op, _took: Duration, _failed: bool) {}
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use std::sync::Mutex;

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::*;

    /// Notes the names of histograms.
    #[derive(Default)]
    struct Names(Mutex<Vec<String>>);

    impl Recorder for Names {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            let labels: Vec<_> = key.labels().map(|it| format!("{}={}", it.key(), it.value())).collect();
            self.0.lock().expect("nobody panics with it").push(format!(
                "{} {}",
                key.name(),
                labels.join(" ")
            ));
            Histogram::noop()
        }
    }

    #[test]
    fn a_recorder_that_comes_later_is_told_what_was_called_and_how_it_ended() {
        let durations = Durations::new("redis");
        durations.record(Op::Load, Duration::ZERO, false);
        let names = Names::default();
        metrics::with_local_recorder(&names, || {
            durations.record(Op::SetAside, Duration::ZERO, false);
            durations.record(Op::Sample, Duration::ZERO, true);
        });
        assert_eq!(
            *names.0.lock().expect("nobody panics with it"),
            [
                "steadfast_store_seconds op=set_aside driver=redis failed=false",
                "steadfast_store_seconds op=sample driver=redis failed=true",
            ]
        );
    }
}
