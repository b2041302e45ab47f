//! The conformance suite has teeth: a driver with one flaw fails the cases that are about it.

mod flawed;

use steadfast::conformance::{CASES, Harness, TestTime};
use steadfast::testing::ManualClock;

use flawed::{Flaw, Flawed};

/// Runs a case and returns whether the driver passed.
async fn passes(case: &str, flaw: Flaw) -> bool {
    let case = *CASES.iter().find(|known| known.name() == case).expect("there is a case of this name");
    let clock = ManualClock::new();
    let store = Flawed::new(flaw, &clock);
    let harness = Harness::new(store.clone(), store, TestTime::Manual(clock));
    match tokio::spawn(async move { case.run(harness).await }).await {
        Ok(()) => true,
        Err(error) => {
            assert!(error.is_panic(), "a case fails by a panic");
            false
        }
    }
}

// Time is paused in all tests here: what a case waits for in vain is over at once.

#[tokio::test(start_paused = true)]
async fn a_driver_without_a_flaw_passes_every_case() {
    for case in CASES {
        assert!(passes(case.name(), Flaw::None).await, "{}", case.name());
    }
}

#[tokio::test]
async fn no_two_cases_have_the_same_name() {
    let mut names: Vec<_> = CASES.iter().map(|case| case.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CASES.len());
}

/// Expands to a test that a driver with a flaw fails certain cases.
macro_rules! fails {
    ($($test:ident: $flaw:ident fails $($case:ident),+;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                $(assert!(!passes(stringify!($case), Flaw::$flaw).await, stringify!($case passes));)+
            }
        )*
    };
}

fails! {
    that_update_creates_is_noticed: UpdateCreates fails
        update_never_creates_a_missing_record,
        update_never_revives_a_deleted_record,
        a_purged_record_is_never_revived;
    that_update_ignores_the_version_is_noticed: UpdateIgnoresTheVersion fails
        update_of_a_stale_version_writes_nothing,
        the_version_before_last_is_stale,
        a_lapsed_holder_with_a_wrong_version_is_stale,
        a_stale_update_leaves_the_index_alone,
        a_stale_update_leaves_the_lease_as_it_is,
        of_many_writers_one_wins_each_version;
    that_update_is_torn_is_noticed: UpdateIsTorn fails
        a_reader_sees_the_old_record_or_the_new_one;
    that_update_ends_any_lease_is_noticed: UpdateEndsAnyLease fails
        an_update_releases_nobody_elses_lease,
        an_update_without_a_lease_leaves_it_to_its_holder,
        a_lapsed_holder_may_write_over_the_right_version;
    that_update_forgets_the_lease_is_noticed: UpdateForgetsTheLease fails
        an_update_releases_the_lease_of_its_writer,
        an_update_renews_the_lease_of_its_writer,
        a_commit_lets_a_waiter_in;
    that_update_keeps_the_user_is_noticed: UpdateKeepsTheUser fails
        an_update_binds_a_record_to_a_user,
        an_update_moves_a_record_to_another_user,
        an_update_unbinds_a_record;
    that_create_overwrites_is_noticed: CreateOverwrites fails
        create_leaves_an_existing_record_alone,
        a_refused_create_leaves_the_index_alone,
        of_many_that_create_one_is_stored;
    that_acquire_creates_is_noticed: AcquireCreates fails
        acquire_never_creates_a_missing_record,
        a_deletion_frees_a_waiter;
    that_acquire_ignores_the_holder_is_noticed: AcquireIgnoresTheHolder fails
        a_held_lease_is_busy_for_everybody_else,
        each_record_has_a_lease_of_its_own,
        of_many_that_acquire_one_holds_the_lease;
    that_acquire_refuses_the_holder_is_noticed: AcquireRefusesTheHolder fails
        the_holder_acquires_again_with_its_token,
        acquiring_again_starts_the_time_anew;
    that_leases_never_end_is_noticed: LeasesNeverEnd fails
        an_expired_lease_is_taken_over,
        renew_of_a_lapsed_lease_is_lost,
        released_returns_when_the_lease_runs_out;
    that_release_ignores_the_token_is_noticed: ReleaseIgnoresTheToken fails
        release_of_a_foreign_token_is_nothing;
    that_release_does_nothing_is_noticed: ReleaseDoesNothing fails
        release_frees_the_lease,
        a_release_lets_a_waiter_in,
        every_waiter_gets_its_turn;
    that_renew_only_pretends_is_noticed: RenewOnlyPretends fails
        renew_starts_the_time_anew,
        renew_of_a_foreign_token_is_lost,
        renew_of_a_lapsed_lease_is_lost;
    that_released_never_returns_is_noticed: ReleasedNeverReturns fails
        released_returns_if_the_lease_is_free,
        released_returns_by_its_deadline,
        a_release_lets_a_waiter_in;
    that_touch_changes_the_version_is_noticed: TouchChangesTheVersion fails
        touch_moves_the_deadline_later,
        touch_leaves_payload_version_and_user_alone,
        an_update_after_a_touch_sets_the_deadline;
    that_touch_only_moves_later_is_noticed: TouchOnlyMovesLater fails
        touch_moves_the_deadline_earlier,
        purge_takes_what_a_touch_made_expire;
    that_touch_creates_is_noticed: TouchCreates fails
        touch_never_creates_a_missing_record;
    that_replace_leaves_the_new_record_is_noticed: ReplaceLeavesTheNewRecord fails
        replace_of_a_stale_version_writes_nothing,
        a_refused_replacement_leaves_the_index_alone,
        of_many_replacements_one_is_stored;
    that_replace_leaves_the_old_record_is_noticed: ReplaceLeavesTheOldRecord fails
        replace_with_a_deletion_leaves_only_the_new_record,
        a_replacement_with_a_deletion_moves_the_index_entry;
    that_replace_overwrites_a_taken_key_is_noticed: ReplaceOverwritesATakenKey fails
        replace_leaves_the_record_of_a_taken_key_alone;
    that_delete_leaves_the_record_is_noticed: DeleteLeavesTheRecord fails
        delete_removes_the_record_whatever_its_version,
        a_deletion_removes_the_index_entry,
        a_deletion_ends_the_lease;
    that_delete_ignores_the_version_is_noticed: DeleteIgnoresTheVersion fails
        delete_of_a_stale_version_deletes_nothing,
        of_a_deletion_and_an_update_one_wins;
    that_purge_ignores_its_limit_is_noticed: PurgeIgnoresItsLimit fails
        a_call_of_purge_deletes_at_most_its_limit;
    that_purge_deletes_everything_is_noticed: PurgeDeletesEverything fails
        purge_deletes_only_what_has_expired,
        purge_goes_by_the_time_of_the_store;
    that_purge_does_nothing_is_noticed: PurgeDoesNothing fails
        purge_gets_at_everything_in_the_end,
        purge_removes_index_entries;
    that_of_user_lists_everybody_is_noticed: OfUserListsEverybody fails
        nobody_elses_records_are_listed,
        a_user_without_records_has_none;
    that_of_user_ignores_after_is_noticed: OfUserIgnoresAfter fails
        records_of_a_user_are_listed_page_by_page,
        a_page_of_a_user_may_begin_after_a_key_that_is_gone;
    that_of_user_ignores_its_limit_is_noticed: OfUserIgnoresItsLimit fails
        records_of_a_user_are_listed_page_by_page;
    that_page_ignores_after_is_noticed: PageIgnoresAfter fails
        paging_sees_every_record_exactly_once,
        paging_keeps_its_order,
        paging_survives_what_others_write_meanwhile;
    that_payloads_end_at_a_nul_is_noticed: PayloadsEndAtANul fails
        every_byte_is_kept;
    that_payloads_are_cut_is_noticed: PayloadsAreCut fails
        payloads_around_block_sizes_are_kept,
        a_mebibyte_is_kept,
        a_record_may_grow_and_shrink;
}
