use super::*;

const CURRENT: Admission = Admission::Current { first: false };
const FIRST: Admission = Admission::Current { first: true };
const FORWARDED: Admission = Admission::Forwarded { reopen: false };
const LATE: Admission = Admission::Forwarded { reopen: true };

#[track_caller]
fn check(opened: Opened, fate: Fate, written: bool, expected: Plan) {
    assert_eq!(plan(opened, Done { fate, written }, Rules::ALL), expected);
}

fn opened(admission: Admission, rotation: Rotation) -> Opened {
    Opened::Live { admission, rotation }
}

fn update(rotate: bool, deliver: bool, reopen: bool) -> StoreOp {
    StoreOp::Update(Identity { rotate, deliver, reopen })
}

#[test]
fn a_stranger_gets_a_session_by_writing_and_only_so() {
    for fate in [Fate::Keep, Fate::Rotate, Fate::End] {
        check(Opened::Stranger, fate, false, Plan::Do(StoreOp::None, CookieOp::None));
        check(Opened::Stranger, fate, true, Plan::Do(StoreOp::Create, CookieOp::Issue));
    }
    for written in [false, true] {
        check(Opened::Stranger, Fate::Renew, written, Plan::Do(StoreOp::Create, CookieOp::Issue));
    }
}

#[test]
fn an_untouched_session_costs_nothing() {
    for rotation in [Rotation::Barred, Rotation::Possible] {
        for admission in [CURRENT, FIRST] {
            check(opened(admission, rotation), Fate::Keep, false, Plan::Do(StoreOp::None, CookieOp::None));
        }
    }
}

#[test]
fn a_write_sends_no_cookie() {
    let none = CookieOp::None;
    check(opened(CURRENT, Rotation::Possible), Fate::Keep, true, Plan::Do(update(false, false, false), none));
    check(opened(FIRST, Rotation::Barred), Fate::Keep, true, Plan::Do(update(false, true, false), none));
}

#[test]
fn a_secret_that_served_its_time_is_replaced_by_any_request() {
    for written in [false, true] {
        let due = opened(CURRENT, Rotation::Due);
        check(due, Fate::Keep, written, Plan::Do(update(true, false, false), CookieOp::IssueInWindow));
    }
}

#[test]
fn a_rotation_on_demand_waits_until_the_predecessor_has_had_its_time() {
    let none = CookieOp::None;
    check(opened(CURRENT, Rotation::Barred), Fate::Rotate, false, Plan::Do(StoreOp::None, none));
    let possible = opened(CURRENT, Rotation::Possible);
    check(possible, Fate::Rotate, false, Plan::Do(update(true, false, false), CookieOp::IssueInWindow));
}

#[test]
fn a_forwarded_request_gets_the_successor_and_never_rotates() {
    let forward = CookieOp::Forward;
    for fate in [Fate::Keep, Fate::Rotate] {
        check(opened(FORWARDED, Rotation::Barred), fate, false, Plan::Do(StoreOp::None, forward));
        check(
            opened(FORWARDED, Rotation::Barred),
            fate,
            true,
            Plan::Do(update(false, false, false), forward),
        );
        check(opened(LATE, Rotation::Barred), fate, false, Plan::Do(update(false, false, true), forward));
    }
}

#[test]
fn a_change_of_privilege_starts_a_new_record() {
    for admission in [CURRENT, FIRST, FORWARDED, LATE] {
        for written in [false, true] {
            let live = opened(admission, Rotation::Barred);
            check(live, Fate::Renew, written, Plan::Do(StoreOp::Freeze, CookieOp::Issue));
        }
    }
}

#[test]
fn the_end_of_a_session_removes_the_cookie_and_a_write_after_it_starts_another() {
    for admission in [CURRENT, FORWARDED] {
        let live = opened(admission, Rotation::Barred);
        check(live, Fate::End, false, Plan::Do(StoreOp::Delete, CookieOp::Remove));
        check(live, Fate::End, true, Plan::Do(StoreOp::DeleteAndCreate, CookieOp::Issue));
    }
}

#[test]
fn a_frozen_record_is_read_only_but_a_sign_in_can_be_repeated() {
    check(Opened::Frozen, Fate::Keep, false, Plan::Do(StoreOp::None, CookieOp::None));
    check(Opened::Frozen, Fate::Renew, false, Plan::Do(StoreOp::Succeed, CookieOp::Issue));
    check(Opened::Frozen, Fate::Renew, true, Plan::Do(StoreOp::Succeed, CookieOp::Issue));
    for (fate, written) in [(Fate::Keep, true), (Fate::Rotate, false), (Fate::End, false), (Fate::End, true)]
    {
        check(Opened::Frozen, fate, written, Plan::Superseded);
    }
}
