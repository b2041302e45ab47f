//! What holds for CodeIgniter's tables on both engines: each case here is run on MySQL and on PostgreSQL.

pub(crate) mod fixture;
pub(crate) mod locks;
pub(crate) mod records;
pub(crate) mod tables;
pub(crate) mod together;

/// Runs the cases on an engine.
macro_rules! cases {
    ($kind:expr; $($module:ident: $($case:ident),+ $(,)?;)+) => {
        $(
            mod $module {
                use crate::php::sql::fixture::Kind;

                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        let kind: Kind = $kind;
                        crate::php::sql::$module::$case(kind).await;
                    }
                )+
            }
        )+
    };
}

/// Runs all cases on an engine.
macro_rules! all_cases {
    ($kind:expr) => {
        crate::php::sql::cases! { $kind;
            together:
                a_session_goes_to_and_fro,
                a_session_that_rust_began_is_php_s_too,
                a_counter_counts_what_both_count,
                the_address_is_a_part_of_the_name,
                php_starts_anew_after_a_destroy_of_rust;
            locks:
                a_lock_of_php_is_respected_and_waited_for_in_its_queue,
                php_waits_for_a_lock_of_rust,
                a_killed_php_delays_nobody,
                a_lock_whose_connection_broke_is_lost_and_overwrites_nothing,
                a_lease_that_is_not_renewed_is_given_back,
                a_lock_that_was_won_is_given_back_if_nobody_comes_for_it,
                a_call_that_was_given_up_leaves_no_lock,
                a_store_that_is_dropped_leaves_no_lock,
                no_more_locks_than_connections,
                a_lock_is_waited_for_no_longer_than_allowed,
                a_commit_waits_for_a_renewal_under_way,
                a_holder_of_the_same_process_is_respected;
            records:
                every_outcome_of_a_conditional_write,
                a_row_that_vanished_is_missing,
                an_id_is_taken_once,
                a_replacement_is_whole_or_nothing,
                a_touch_moves_the_time_alone,
                the_database_s_clock_decides,
                damaged_bytes_are_kept_aside,
                a_purge_takes_what_php_would_but_nothing_in_use,
                lists_are_of_this_site_and_in_order,
                users_are_not_indexed,
                an_empty_payload_is_a_session,
                a_deletion_ends_the_lease;
            tables:
                a_new_table_is_made_on_request_only,
                what_is_wrong_with_a_table_is_named,
                php_itself_has_no_such_handler;
        }
    };
}

pub(crate) use {all_cases, cases};
