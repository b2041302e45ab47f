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
                the_time_of_the_store_passes,
                create_leaves_an_existing_record_alone,
                update_replaces_payload_version_and_deadline,
                update_of_a_stale_version_writes_nothing,
                update_never_creates_a_missing_record,
                update_never_revives_a_deleted_record,
                the_version_before_last_is_stale,
                delete_removes_the_record_whatever_its_version,
                delete_over_the_version_seen_removes_the_record,
                delete_of_a_stale_version_deletes_nothing,
                delete_of_a_missing_record_is_missing,
                a_key_can_be_created_again_after_its_deletion,
                a_version_may_be_any_number,
                set_aside_of_a_missing_record_is_nothing,
            }
            replacements {
                replace_with_a_deletion_leaves_only_the_new_record,
                replace_with_an_update_stores_both_records,
                both_records_of_a_replacement_are_written_on,
                replace_of_a_stale_version_writes_nothing,
                replace_of_a_missing_record_writes_nothing,
                replace_leaves_the_record_of_a_taken_key_alone,
                replace_ends_the_lease_of_the_old_record,
                a_refused_replacement_leaves_the_lease_of_the_old_record,
                the_new_record_of_a_replacement_is_not_leased,
                replace_works_between_keys_that_differ_in_one_bit,
            }
            leases {
                acquire_never_creates_a_missing_record,
                acquire_returns_the_record_and_the_time,
                a_held_lease_is_busy_for_everybody_else,
                the_holder_acquires_again_with_its_token,
                acquiring_again_starts_the_time_anew,
                an_expired_lease_is_taken_over,
                a_lapsed_holder_is_busy_once_somebody_followed,
                a_lapsed_holder_may_write_over_the_right_version,
                a_lapsed_holder_with_a_wrong_version_is_stale,
                a_lease_keeps_nobody_from_reading_writing_and_deleting,
                release_frees_the_lease,
                release_of_a_foreign_token_is_nothing,
                release_of_a_missing_record_is_nothing,
                renew_starts_the_time_anew,
                renew_of_a_foreign_token_is_lost,
                renew_of_a_lapsed_lease_is_lost,
                renew_of_a_released_lease_is_lost,
                renew_of_a_missing_record_is_lost,
                an_update_releases_the_lease_of_its_writer,
                an_update_releases_nobody_elses_lease,
                an_update_without_a_lease_leaves_it_to_its_holder,
                an_update_renews_the_lease_of_its_writer,
                an_update_renews_nobody_elses_lease,
                an_update_takes_no_lease_for_a_writer_that_held_none,
                a_stale_update_leaves_the_lease_as_it_is,
                leases_leave_the_record_and_its_version_alone,
                each_record_has_a_lease_of_its_own,
                a_deletion_ends_the_lease,
                a_token_may_be_any_number,
            }
            waiting {
                released_returns_if_the_lease_is_free,
                released_returns_if_the_record_is_missing,
                released_returns_by_its_deadline,
                released_returns_when_the_lease_runs_out,
                a_release_lets_a_waiter_in,
                a_waiter_of_the_same_handle_is_let_in,
                a_commit_lets_a_waiter_in,
                a_deletion_frees_a_waiter,
                a_replacement_frees_a_waiter,
                a_waiter_that_gives_up_disturbs_nobody,
                every_waiter_gets_its_turn,
            }
            deadlines {
                touch_moves_the_deadline_later,
                touch_moves_the_deadline_earlier,
                touch_leaves_payload_version_and_user_alone,
                touch_leaves_the_lease_alone,
                touch_never_creates_a_missing_record,
                an_update_after_a_touch_sets_the_deadline,
                purge_of_an_empty_store_deletes_nothing,
                purge_deletes_only_what_has_expired,
                a_call_of_purge_deletes_at_most_its_limit,
                purge_gets_at_everything_in_the_end,
                purge_goes_by_the_time_of_the_store,
                purge_spares_what_was_touched,
                purge_takes_what_an_update_made_expire,
                purge_takes_what_a_touch_made_expire,
                purge_removes_index_entries,
                a_purged_record_is_never_revived,
                two_purges_at_once_delete_each_record_once,
            }
            users {
                a_user_without_records_has_none,
                a_created_record_is_listed_with_its_user,
                records_are_listed_in_the_order_of_their_keys,
                records_of_a_user_are_listed_page_by_page,
                a_page_of_a_user_may_begin_after_a_key_that_is_gone,
                nobody_elses_records_are_listed,
                an_update_binds_a_record_to_a_user,
                an_update_moves_a_record_to_another_user,
                an_update_unbinds_a_record,
                an_update_for_the_same_user_keeps_the_record_listed_once,
                a_stale_update_leaves_the_index_alone,
                a_refused_create_leaves_the_index_alone,
                a_deletion_removes_the_index_entry,
                a_key_that_is_created_again_belongs_to_its_new_user_only,
                a_replacement_with_a_deletion_moves_the_index_entry,
                a_replacement_with_an_update_indexes_both_records,
                a_refused_replacement_leaves_the_index_alone,
            }
            listing {
                an_empty_store_counts_and_lists_nothing,
                count_follows_create_replace_and_delete,
                paging_sees_every_record_exactly_once,
                paging_keeps_its_order,
                paging_survives_what_others_write_meanwhile,
            }
            payloads {
                an_empty_payload_is_a_record,
                every_byte_is_kept,
                what_looks_like_a_query_or_a_path_is_kept,
                payloads_around_block_sizes_are_kept,
                a_mebibyte_is_kept,
                a_record_may_grow_and_shrink,
                keys_that_differ_in_one_bit_are_different_keys,
                the_first_and_the_last_key_are_keys,
            }
            races {
                of_many_writers_one_wins_each_version,
                of_many_that_acquire_one_holds_the_lease,
                of_many_that_create_one_is_stored,
                of_many_replacements_one_is_stored,
                a_counter_under_leases_counts_every_increment,
                no_writer_revives_what_is_deleted_meanwhile,
                of_a_deletion_and_an_update_one_wins,
                a_reader_sees_the_old_record_or_the_new_one,
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
