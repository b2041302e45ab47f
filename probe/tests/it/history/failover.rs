//! A replica of Redis takes over in the middle of the work.
//!
//! Redis replicates without waiting, so a failover may lose the last writes. How many is told, and never more
//! than that: values of two sessions never mix, and what ended sessions is safe where it was asked for.

use steadfast_servers::{RedisSentinel, Server as _, redis_command};

use super::clients::Run;
use super::random::Random;
use super::{ARGUMENTS, WORK};
use crate::site::Site;
use crate::store::Store;

/// How much work is done after a failover: enough that all sessions are used again.
const MORE_WORK: usize = 3 * WORK;

#[test]
fn a_failover_loses_the_last_writes_at_most_and_mixes_no_sessions() {
    let sentinel = RedisSentinel::start().unwrap();
    let site = Site::on_dsn(&Store::REDIS_SENTINEL.on(&sentinel.dsn()), ARGUMENTS);
    let run = failed_over(&sentinel, &site);
    let (mut increments, mut keys) = (0, 0);
    for life in run.alive() {
        let lost = life.lost(&run.look(&life));
        (increments, keys) = (increments + lost.0, keys + lost.1);
    }
    println!(
        "lost by the failover: {increments} increments, {keys} keys; \
         answers without a session that was there: {}, by one that had ended: {}",
        run.lost(),
        run.revived()
    );
}

#[test]
fn ends_that_wait_for_the_replica_survive_a_failover() {
    let sentinel = RedisSentinel::start().unwrap();
    let dsn = format!("{}&wait_replicas=1", Store::REDIS_SENTINEL.on(&sentinel.dsn()));
    let run = failed_over(&sentinel, &Site::on_dsn(&dsn, ARGUMENTS));
    assert_eq!(run.revived(), 0, "answers of sessions that had ended");
}

/// Runs clients through a failover, and the return of the old master as a replica.
fn failed_over(sentinel: &RedisSentinel, site: &Site) -> Run {
    let mut random = Random::seeded();
    let run = Run::new(site.address(), "/incr");
    run.work(&mut random, |_| {
        run.await_answers(WORK);
        let killed = sentinel.fail_over().unwrap();
        run.await_answers(WORK);
        killed.restart().unwrap();
        sentinel.await_replica().unwrap();
        run.await_answers(MORE_WORK);
    });
    run
}

/// The replica is cut off while a session ends, and then takes over: what it missed is undone.
#[test]
fn an_end_that_no_replica_has_is_not_acknowledged_where_replicas_are_waited_for() {
    for waits in [false, true] {
        let sentinel = RedisSentinel::start().unwrap();
        let dsn = Store::REDIS_SENTINEL.on(&sentinel.dsn());
        let dsn = if waits { format!("{dsn}&wait_replicas=1") } else { dsn };
        let site = Site::on_dsn(&dsn, "");
        let (mut ends, mut leaves) = (site.browser(), site.browser());
        for browser in [&mut ends, &mut leaves] {
            browser.visit("/login?u=alice");
            browser.visit("/set?k=a&v=1");
        }
        let (old, replica) = (sentinel.master().unwrap(), sentinel.replica().unwrap());
        sentinel.await_replica().unwrap();
        replica.pause();
        // What is sent to it waits in its socket, as long as there is one.
        redis_command(old.address(), &["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
        let answers = [ends.ask("/destroy"), leaves.ask("/logout")];
        old.kill().unwrap();
        replica.resume();
        sentinel.await_new_master(old.address()).unwrap();
        let run = Run::new(site.address(), "/incr");
        let mut undone = 0;
        for (browser, answer) in [ends, leaves].iter().zip(&answers) {
            let expected = if waits { 503 } else { 200 };
            assert_eq!(answer.status, expected, "waits: {waits}: {}", answer.text());
            let left = run.insist("/get?k=a", browser.cookie.as_deref());
            undone += usize::from(left.json()["v"] == "1");
        }
        // Mostly both. What was on its way to the replica when it was cut off may have arrived.
        println!("waiting for replicas: {waits}; ends that the failover undid: {undone} of 2");
    }
}
