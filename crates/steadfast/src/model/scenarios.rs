//! What is explored, and that it holds; without one of the rules, it does not.

use std::time::Instant;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use super::Scenario;
use super::world::Kind::{Login, Logout, Read, Rotate, StepUp, View, Write};
use crate::policy::Concurrency;
use crate::rules::Rules;

const SIGNED_OUT: &str = "nobody is signed out but by sign-out, revocation or expiry";
const CAME_BACK: &str = "an ended session does not come back";
const LOST_WRITE: &str = "a write is not lost";
const SAW_PRIVILEGE: &str = "an earlier cookie does not see a later privilege";
const WROTE_FROZEN: &str = "a frozen record is not written";
const WROTE_DEAD: &str = "a dead record is not written";
const REMOVED_BY_OTHER: &str = "a cookie is removed only by who ended the session";

fn quiet() -> Scenario {
    Scenario {
        rules: Rules::ALL,
        concurrency: Concurrency::Merge,
        begins: Some(0),
        requests: Vec::new(),
        parallel: 2,
        revocations: 0,
        ticks: 0,
        window_ticks: 4,
        rotate_every: None,
        losses: true,
        slow_heads: false,
        overtaking: false,
    }
}

/// Time goes through two rotations.
fn rotations() -> Scenario {
    Scenario { requests: vec![(Read, 5)], ticks: 14, rotate_every: Some(5), ..quiet() }
}

/// Handlers ask for rotations as early as they can.
fn rotations_on_demand() -> Scenario {
    Scenario { requests: vec![(Read, 3), (Rotate, 2)], ticks: 9, ..quiet() }
}

/// More requests at once, some of which only look, for one rotation.
fn a_crowd() -> Scenario {
    Scenario {
        requests: vec![(View, 1), (Read, 2), (Write, 1)],
        parallel: 3,
        ticks: 6,
        window_ticks: 4,
        rotate_every: Some(1),
        losses: false,
        ..quiet()
    }
}

/// A visitor signs in, twice if the first answer is lost or slow, and writes meanwhile.
fn sign_in() -> Scenario {
    Scenario { requests: vec![(Read, 1), (Write, 1), (Login, 2)], ticks: 5, ..quiet() }
}

/// A user proves who they are once more and signs out.
fn sign_out() -> Scenario {
    Scenario {
        begins: Some(1),
        requests: vec![(Read, 1), (Write, 1), (StepUp, 1), (Logout, 1)],
        ticks: 5,
        ..quiet()
    }
}

/// Rotations, a change of privilege and writes, all at once.
fn everything() -> Scenario {
    Scenario {
        begins: Some(1),
        requests: vec![(Read, 1), (Write, 1), (StepUp, 1), (Rotate, 1)],
        ticks: 5,
        rotate_every: Some(5),
        ..quiet()
    }
}

/// All sessions of the user are ended from outside.
fn revocation() -> Scenario {
    Scenario {
        begins: Some(1),
        requests: vec![(View, 1), (Write, 2), (StepUp, 1)],
        revocations: 1,
        ticks: 4,
        ..quiet()
    }
}

/// A browser without a cookie.
fn first_visit() -> Scenario {
    Scenario { begins: None, requests: vec![(Read, 1), (Write, 2), (Login, 1)], ticks: 3, ..quiet() }
}

/// Two writes and a sign-out of a session, while it is written by others.
fn writes() -> Scenario {
    Scenario { requests: vec![(Write, 3), (Logout, 1)], parallel: 3, ..quiet() }
}

/// Explores all states; returns the first broken property of each kind, with the way there.
fn explore(name: &str, scenario: Scenario) -> Vec<(&'static str, String)> {
    let began = Instant::now();
    let checker = scenario.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} states, {depth} moves deep, {:?}", began.elapsed());
    let story = |moves: Vec<super::checker::Move>| {
        moves.iter().map(|step| format!("  {step:?}")).collect::<Vec<_>>().join("\n")
    };
    checker.discoveries().into_iter().map(|(broken, path)| (broken, story(path.into_actions()))).collect()
}

#[track_caller]
fn holds(name: &str, scenario: Scenario) {
    let broken = explore(name, scenario);
    let stories = broken.iter().map(|(broken, story)| format!("not so: {broken}\n{story}"));
    assert!(broken.is_empty(), "{name}: {}", stories.collect::<String>());
}

#[track_caller]
fn breaks(name: &str, scenario: Scenario, expected: &str) {
    let broken = explore(name, scenario);
    let Some((_, story)) = broken.iter().find(|(broken, _)| *broken == expected) else {
        panic!("{name}: nothing shows that the rule is needed for: {expected}; found {broken:?}");
    };
    println!("{story}");
}

/// Explores with one rule off.
#[track_caller]
fn without(name: &str, scenario: Scenario, off: fn(&mut Rules), expected: &str) {
    let mut scenario = scenario;
    off(&mut scenario.rules);
    breaks(name, scenario, expected);
}

#[test]
fn a_rotation_in_time_signs_nobody_out() {
    holds("rotations", rotations());
}

#[test]
fn a_rotation_on_demand_signs_nobody_out() {
    holds("rotations on demand", rotations_on_demand());
}

#[test]
fn slow_heads_sign_nobody_out() {
    holds("slow heads", Scenario { slow_heads: true, requests: vec![(Read, 2), (Rotate, 1)], ..rotations() });
}

#[test]
fn a_crowd_of_requests_keeps_the_session() {
    holds("a crowd", a_crowd());
}

#[test]
fn a_repeated_sign_in_ends_signed_in() {
    holds("sign-in", sign_in());
}

#[test]
fn a_sign_out_ends_the_session() {
    holds("sign-out", sign_out());
}

#[test]
fn a_change_of_privilege_and_a_rotation_go_together() {
    holds("everything", everything());
}

#[test]
fn a_revocation_ends_the_session() {
    holds("revocation", revocation());
}

#[test]
fn a_first_visit_gets_a_session() {
    holds("first visit", first_visit());
}

#[test]
fn parallel_writes_are_joined() {
    holds("writes", writes());
}

#[test]
fn a_request_that_lost_its_lease_loses_nothing() {
    for (name, scenario) in [("writes", writes()), ("sign-in", sign_in()), ("sign-out", sign_out())] {
        let concurrency = Concurrency::Exclusive;
        holds(name, Scenario { concurrency, losses: false, ..scenario });
    }
}

#[test]
fn the_direct_predecessor_has_to_be_good_in_its_window() {
    without("forward_in_window", rotations(), |r| r.forward_in_window = false, SIGNED_OUT);
}

#[test]
fn the_direct_predecessor_has_to_be_good_until_its_successor_was_presented() {
    without("forward_until_delivered", rotations(), |r| r.forward_until_delivered = false, SIGNED_OUT);
}

#[test]
fn a_secret_may_not_be_replaced_while_its_predecessor_is_good() {
    let off = |r: &mut Rules| r.one_successor_at_a_time = false;
    without("one_successor_at_a_time", rotations_on_demand(), off, SIGNED_OUT);
}

#[test]
fn a_late_cookie_has_to_be_dropped() {
    without("drop_late_cookies", rotations_on_demand(), |r| r.drop_late_cookies = false, SIGNED_OUT);
}

#[test]
fn a_secret_may_not_be_sent_to_the_end_of_the_window() {
    without("send_in_first_half", rotations(), |r| r.send_in_first_half = false, SIGNED_OUT);
}

#[test]
fn a_change_of_privilege_needs_a_new_record() {
    without("new_record_for_privilege", sign_in(), |r| r.new_record_for_privilege = false, SAW_PRIVILEGE);
}

#[test]
fn a_frozen_record_has_to_be_read_only() {
    without("frozen_is_read_only", sign_in(), |r| r.frozen_is_read_only = false, WROTE_FROZEN);
}

#[test]
fn the_session_of_an_earlier_sign_in_has_to_be_spared() {
    without("spare_undelivered", sign_in(), |r| r.spare_undelivered = false, SIGNED_OUT);
}

#[test]
fn a_dead_cookie_has_to_be_left_alone() {
    without("leave_dead_cookies", first_visit(), |r| r.leave_dead_cookies = false, REMOVED_BY_OTHER);
}

#[test]
fn a_write_has_to_be_conditional() {
    without("conditional_writes", writes(), |r| r.conditional_writes = false, LOST_WRITE);
}

#[test]
fn a_sign_out_has_to_be_conditional() {
    without("conditional_end", sign_out(), |r| r.conditional_end = false, CAME_BACK);
}

#[test]
fn a_missing_record_has_to_stay_missing() {
    without("missing_stays_missing", writes(), |r| r.missing_stays_missing = false, WROTE_DEAD);
}

/// What remains by nature: no server can tell that its earlier answer will arrive last.
#[test]
fn a_forward_that_a_step_up_overtakes_leaves_the_earlier_session_with_the_browser() {
    let requests = vec![(Read, 2), (Rotate, 1), (StepUp, 1)];
    let scenario = Scenario { requests, overtaking: true, losses: false, ..everything() };
    breaks("overtaking", scenario, SIGNED_OUT);
}

/// What remains by nature: a window that is shorter than the ways of a cookie and a request together.
#[test]
fn a_window_that_is_too_short_for_the_network_signs_out() {
    breaks("short window", Scenario { window_ticks: 1, rotate_every: Some(2), ..rotations() }, SIGNED_OUT);
}
