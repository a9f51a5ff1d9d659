//! One suite for every store: rows C1 to C17, each against the memory, the file, the socket and a real
//! `redis-server`, where one is installed.

mod fixture;
mod generations;
mod history;
mod linearizable;
mod outage;
mod process;
mod rows;
mod secure;
mod sentinel;
mod server;
mod skew;

use fixture::{File, InMemory, Socket};

/// One test per row and store, named after both.
macro_rules! suite {
    ($($row:ident),* $(,)?) => {
        suite!(@store memory, Some(super::InMemory::new()), $($row),*);
        suite!(@store sqlite, Some(super::File::new()), $($row),*);
        suite!(@store remote, Some(super::Socket::serving().await), $($row),*);
        suite!(@store redis, super::server::InRedis::start(), $($row),*);
    };
    (@store $store:ident, $fixture:expr, $($row:ident),*) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $row() {
                    let Some(mut fixture) = $fixture else { return };
                    super::rows::$row(&mut fixture).await;
                }
            )*
        }
    };
}

suite! {
    c1_acquire_excludes,
    c2_epoch_strictly_rises,
    c3_renew_with_an_old_epoch_fails,
    c4_holder_restart_gets_a_new_epoch,
    c5_one_winner_each,
    c6_a_repeated_handoff_wins_again,
    c7_refusals_are_told_apart,
    c8_unknown_then_retry_converges,
    c9_another_connection_reads_the_write,
    c12_what_was_lost_is_put_in_again_in_a_new_generation,
    c12_without_reports_the_generation_alone_tells_them_apart,
    a_late_report_begins_a_generation,
    a_plain_restart_keeps_the_generation,
    c13_capsule_sizes,
    c16_histories_are_linearizable,
    c16_a_stale_copy_is_found,
    c14_owned_is_consistent_under_moves,
    c17_a_group_is_written_whole_or_not_at_all,
    a_lease_outlives_a_restart_for_its_whole_length,
    sessions_are_a_table_of_their_own,
    the_director_is_one_edge,
    only_who_directs_evicts,
    ticks_and_keys_outlive_a_restart,
    worlds_do_not_meet,
}
