//! Random operations of many clients on a few sessions, while nodes and the store die, sleep and come back:
//! what the clients saw must be possible.
//!
//! The clients go through a load balancer to three nodes, and write down when they asked and what they were
//! answered. Whose answer did not come can't know whether the operation took place, and the checks allow both.

mod check;
mod clients;
mod failover;
mod life;
mod random;

use std::time::Duration;

use steadfast_servers::Server;

use crate::site::Site;
use crate::store::{Store, on_shared_stores};
use clients::Run;
use random::Random;

/// How much work is done between two disturbances, in answers.
const WORK: usize = 80;

/// How long a node sleeps: longer than its leases last.
const NODE_SLEEPS: Duration = Duration::from_millis(700);

/// How long a store sleeps.
const STORE_SLEEPS: Duration = Duration::from_millis(400);

/// Leases are short, so that a killed node holds nobody up for long. A secret is replaced in the course of a
/// run, and its predecessor is good to the end.
const ARGUMENTS: &str = "--lease 0.5 --lease-max 60 --lock-wait 20 --rotate-every 1 --forward-window 60";

on_shared_stores! {
    increments_that_take_turns_are_linearizable
    merged_sessions_lose_nothing_that_was_acknowledged
}

#[derive(Clone, Copy, Debug)]
enum Disturbance {
    NodeDies(usize),
    NodeSleeps(usize),
    StoreDies,
    StoreSleeps,
}

fn increments_that_take_turns_are_linearizable(store: Store) {
    let run = disturbed(store, "exclusive", "/incr");
    for life in run.all() {
        life.check_turns();
    }
}

fn merged_sessions_lose_nothing_that_was_acknowledged(store: Store) {
    disturbed(store, "merge", "/update");
}

/// Runs clients through all disturbances, and checks what holds in either mode.
fn disturbed(store: Store, mode: &str, counting: &'static str) -> Run {
    let mut random = Random::seeded();
    let server = store.server();
    let dir = tempfile::tempdir().unwrap();
    let dsn = server.as_ref().map_or_else(|| store.dsn(dir.path()), |server| store.on(&server.dsn()));
    let mut site = Site::on_server(store, &dsn, &format!("{ARGUMENTS} --concurrency {mode}"));
    let run = Run::new(site.address(), counting);
    run.work(&mut random, |random| {
        for disturbance in disturbances(store, server.is_some(), random) {
            run.await_answers(WORK);
            println!("{disturbance:?}");
            disturb(disturbance, &mut site, server.as_deref());
        }
        run.await_answers(WORK);
    });
    assert_eq!((run.lost(), run.revived()), (0, 0), "sessions lost and revived");
    for life in run.alive() {
        let values = run.look(&life);
        assert_eq!(life.lost(&values), (0, 0), "acknowledged increments and keys that are lost");
    }
    run
}

fn disturbances(store: Store, is_server: bool, random: &mut Random) -> Vec<Disturbance> {
    use Disturbance::{NodeDies, NodeSleeps, StoreDies, StoreSleeps};
    let mut all = vec![NodeDies(0), NodeDies(1), NodeDies(2), NodeSleeps(random.below(3))];
    if is_server {
        all.push(StoreSleeps);
        if store.survives_a_restart() {
            all.extend([StoreDies, StoreDies]);
        }
    }
    random.shuffle(&mut all);
    all
}

fn disturb(disturbance: Disturbance, site: &mut Site, server: Option<&dyn Server>) {
    match (disturbance, server) {
        (Disturbance::NodeDies(node), _) => site.restart_node(node),
        (Disturbance::NodeSleeps(node), _) => {
            site.nodes[node].pause();
            std::thread::sleep(NODE_SLEEPS);
            site.nodes[node].resume();
        }
        (Disturbance::StoreDies, Some(server)) => server.restart().unwrap(),
        (Disturbance::StoreSleeps, Some(server)) => {
            server.pause();
            std::thread::sleep(STORE_SLEEPS);
            server.resume();
        }
        (Disturbance::StoreDies | Disturbance::StoreSleeps, None) => {
            unreachable!("a store that is no server")
        }
    }
}
