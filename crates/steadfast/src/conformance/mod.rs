//! The conformance suite: what every driver must do, one named case per behaviour.
//!
//! The cases are the executable form of the contract at [`Store`](crate::store::Store). They run on
//! drivers and on wrappers around drivers alike, those of third parties included. A case reaches its data
//! through two handles, as two processes would.
//!
//! # Examples
//!
//! In an integration test of the driver's crate, with the feature `conformance` of this one:
//!
//! ```
//! use std::sync::Arc;
//! use steadfast::conformance::{Harness, TestTime, conformance_suite};
//! use steadfast::store::memory::MemoryStore;
//! use steadfast::testing::ManualClock;
//!
//! conformance_suite! { mod memory_driver, || async {
//!     let clock = ManualClock::new();
//!     let store = MemoryStore::with_clock(Arc::new(clock.clone()));
//!     Harness::new(store.clone(), store, TestTime::Manual(clock))
//! } }
//! ```
//!
//! This expands to a module with one `#[test]` per case. The second argument is an expression that is
//! called without arguments and returns the future of a [`Harness`]; it may use what is in scope around
//! the macro. [`CASES`] has the same cases as a table, for other runners.

mod cases;
mod fixtures;
mod harness;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use crate::conformance_suite;
pub use harness::{Harness, TestTime};

/// How long a case may run, in real time. Far above what any of them needs on a slow machine; a case that
/// gets here hangs.
const CASE_LIMIT: Duration = Duration::from_secs(120);

/// One behaviour that a driver must have.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    run: fn(Harness) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Case {
    /// Returns the behaviour as a sentence in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Checks the behaviour on a fresh store.
    ///
    /// # Panics
    ///
    /// If the driver does not have it, or takes longer than two minutes.
    pub async fn run(&self, harness: Harness) {
        let finished = tokio::time::timeout(CASE_LIMIT, (self.run)(harness)).await;
        assert!(finished.is_ok(), "the case hangs: it has run for {CASE_LIMIT:?}");
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// Runs the case of a name on a runtime of its own. What [`conformance_suite!`] expands to.
///
/// # Panics
///
/// If the driver does not have the behaviour, or there is no such case.
pub fn check<F>(name: &str, harness: impl FnOnce() -> F)
where
    F: Future<Output = Harness>,
{
    let case = CASES.iter().find(|case| case.name == name).expect("the case is in the table");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the machine can run a runtime");
    runtime.block_on(async { case.run(harness().await).await });
}

/// All cases, in the order of the documentation of [`Store`](crate::store::Store).
pub const CASES: &[Case] = crate::__conformance_cases! { @list table [] };

/// Expands to a module of tests, one for each case of the [conformance suite](crate::conformance).
#[macro_export]
macro_rules! conformance_suite {
    (mod $name:ident, $harness:expr) => {
        $crate::__conformance_cases! { @list tests [$name, $harness] }
    };
}

/// The names of the cases, written once: for the table and for the tests.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    (@list $into:ident [$($args:tt)*]) => {
        $crate::__conformance_cases! {
            @$into [$($args)*]
            records {
                a_missing_record_is_missing,
                a_created_record_is_loaded_as_it_was_written,
                a_write_through_one_handle_is_seen_through_the_other,
                a_load_tells_the_time_of_the_store,
                create_leaves_an_existing_record_alone,
                update_replaces_payload_version_and_deadline,
                update_of_a_stale_version_writes_nothing,
                update_never_creates_a_missing_record,
                update_never_revives_a_deleted_record,
                the_version_before_last_is_stale,
                delete_removes_the_record_whatever_its_version,
                delete_of_a_missing_record_is_missing,
                a_key_can_be_created_again_after_its_deletion,
            }
        }
    };
    (@tests [$name:ident, $harness:expr] $($group:ident { $($case:ident,)* })*) => {
        mod $name {
            #[allow(unused_imports, reason = "the harness may be written with full paths")]
            use super::*;
            $($(
                #[test]
                fn $case() {
                    $crate::conformance::check(stringify!($case), $harness);
                }
            )*)*
        }
    };
    (@table [] $($group:ident { $($case:ident,)* })*) => {
        &[$($(Case { name: stringify!($case), run: |harness| Box::pin(cases::$group::$case(harness)) },)*)*]
    };
}
