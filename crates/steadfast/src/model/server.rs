//! What the server does with a request: the life cycle around the protocol's functions, one step at a time.

use super::Scenario;
use super::numbers::{digest, number_of, secret};
use super::record::{Stands, Stored, TICK, instant, tick};
use super::world::{Base, Cookie, Errand, Fault, Flight, Kind, SetCookie, Stage, World};
use crate::plan::{self, Admission, CookieOp, Done, Fate, Identity, Opened, Plan, Rotation, StoreOp};
use crate::policy::Concurrency;

/// What a commit came to.
enum Sent {
    Done(Option<(SetCookie, Option<u8>)>),
    Conflict,
    /// The handler's response is replaced by an error, which says nothing about the cookie.
    Refused,
}

/// Opens the session for a request.
pub(super) fn open(scenario: &Scenario, world: &mut World, flight: &mut Flight) {
    let mut entered = flight.cookie.and_then(|cookie| look(scenario, world, cookie));
    if let Some((base, _)) = &mut entered
        && flight.kind == Kind::Logout
    {
        base.read_at = world.now;
    }
    witness(world, flight, entered);
    let (base, opened) = entered.map_or((None, Opened::Stranger), |(base, opened)| (Some(base), opened));
    flight.stage = Stage::Working { base, opened };
}

/// Reads a record and lets the request in, or not.
fn look(scenario: &Scenario, world: &mut World, cookie: Cookie) -> Option<(Base, Opened)> {
    let stored = world.record(cookie.key)?;
    let (header, now) = (stored.header(), instant(world.now));
    let admission = plan::admit(&header, &digest(cookie.secret), now, scenario.rules);
    if let Admission::Forwarded { .. } = admission
        && world.history.successors[usize::from(cookie.secret)] != Some(stored.secret)
    {
        world.history.note(Fault::NotDirect);
    }
    let opened = match admission {
        Admission::Refused => return None,
        _ if stored.is_frozen() => Opened::Frozen,
        _ => {
            let every = scenario.rotate_every.map(|ticks| TICK * u32::from(ticks));
            let rotation = plan::rotation(&header, admission, now, every, scenario.rules);
            Opened::Live { admission, rotation }
        }
    };
    if world.history.levels[usize::from(cookie.secret)] < stored.level {
        world.history.note(Fault::SawPrivilege);
    }
    if opened != Opened::Frozen && world.history.lineage_ended(cookie.key) {
        world.history.note(Fault::CameBack);
    }
    Some((Base { key: cookie.key, stored, read_at: 0, fresh: true }, opened))
}

/// Notes whether the browser was let in as it may rely on.
fn witness(world: &mut World, flight: &Flight, entered: Option<(Base, Opened)>) {
    let Some(promised) = flight.promised else { return };
    let ended = flight.cookie.is_some_and(|cookie| world.history.lineage_ended(cookie.key));
    if !ended && entered.is_none_or(|(base, _)| base.stored.level < promised) {
        world.history.note(Fault::SignedOut);
    }
}

/// Commits what the handler did; a conflict is done again on a fresher record.
pub(super) fn commit(scenario: &Scenario, world: &mut World, flight: &Flight) -> Option<Stage> {
    let Stage::Working { mut base, mut opened } = flight.stage else { return None };
    loop {
        match send(scenario, world, flight, base, opened) {
            Sent::Done(None) | Sent::Refused => return None,
            Sent::Done(Some((cookie, until))) => return Some(Stage::Committed { cookie, until }),
            Sent::Conflict => (base, opened) = rebase(scenario, world, flight, base)?,
        }
    }
}

/// Reads the record again after a conflict; `None` if the request can't go on.
fn rebase(
    scenario: &Scenario,
    world: &mut World,
    flight: &Flight,
    base: Option<Base>,
) -> Option<(Option<Base>, Opened)> {
    let (before, cookie) = (base?, flight.cookie?);
    let (mut again, opened) = look(scenario, world, cookie)?;
    let fits = again.stored.values == before.stored.values && again.stored.level == before.stored.level;
    if !scenario.rules.conditional_writes {
        again.stored.values = before.stored.values;
    } else if flight.kind != Kind::Logout && !fits && scenario.concurrency == Concurrency::Exclusive {
        return None;
    }
    Some((Some(again), opened))
}

fn done(kind: Kind, base: Option<Base>) -> Done {
    let (fate, written) = match kind {
        Kind::View | Kind::Read => (Fate::Keep, false),
        Kind::Write => (Fate::Keep, true),
        Kind::Rotate => (Fate::Rotate, false),
        Kind::Login => (Fate::Renew, true),
        Kind::StepUp if base.is_none() => (Fate::Keep, false),
        Kind::StepUp => (Fate::Renew, false),
        Kind::Logout => (Fate::End, false),
    };
    Done { fate, written }
}

fn send(scenario: &Scenario, world: &mut World, flight: &Flight, base: Option<Base>, opened: Opened) -> Sent {
    let opened = match opened {
        Opened::Live { admission, .. } if flight.kind == Kind::View => {
            Opened::Live { admission, rotation: Rotation::Barred }
        }
        opened => opened,
    };
    let Plan::Do(op, cookie) = plan::plan(opened, done(flight.kind, base), scenario.rules) else {
        return Sent::Refused;
    };
    let Some(base) = base else {
        return match op {
            StoreOp::Create => Sent::Done(Some((create(world, flight), None))),
            _ => Sent::Done(forced_removal(world, cookie)),
        };
    };
    match op {
        StoreOp::None => {
            leave_delivery(world, base, opened);
            Sent::Done(say(scenario, flight, cookie, &base.stored, None))
        }
        StoreOp::Create => Sent::Done(Some((create(world, flight), None))),
        StoreOp::Update(identity) => update(scenario, world, flight, base, identity, cookie),
        StoreOp::Freeze | StoreOp::Succeed | StoreOp::DeleteAndCreate => {
            replace(scenario, world, flight, base)
        }
        StoreOp::Delete => end(scenario, world, base),
    }
}

/// A cookie is removed by nobody but the request that ended the session.
fn forced_removal(world: &mut World, cookie: CookieOp) -> Option<(SetCookie, Option<u8>)> {
    if cookie != CookieOp::Remove {
        return None;
    }
    world.history.note(Fault::RemovedByOther);
    Some((SetCookie::Remove, None))
}

/// Ends the session, unless it is not any more as it was seen.
fn end(scenario: &Scenario, world: &mut World, base: Base) -> Sent {
    let there = world.records.contains_key(&base.key);
    if !there {
        let ended = world.now - base.read_at < scenario.window_ticks;
        return if ended { Sent::Done(None) } else { Sent::Refused };
    }
    if !base.fresh && scenario.rules.conditional_end {
        return Sent::Conflict;
    }
    world.end(base.key);
    leave_end_of_origin(world, base.stored.standing);
    Sent::Done(Some((SetCookie::Remove, None)))
}

fn create(world: &mut World, flight: &Flight) -> SetCookie {
    let level = if flight.kind == Kind::Login { 1 } else { 0 };
    let cookie = world.mint(level, None, None);
    let stored = Stored { level, values: bit(world, flight), ..Stored::new(cookie.secret, world.now) };
    world.write(cookie.key, stored);
    SetCookie::Token(cookie)
}

/// A write is a bit of its own: the number of writes that are left tells them apart.
fn bit(world: &World, flight: &Flight) -> u16 {
    if flight.kind != Kind::Write {
        return 0;
    }
    let others = world.history.levels.len()
        + world.records.values().map(|r| r.values.count_ones() as usize).sum::<usize>();
    1 << (others % 16)
}

fn update(
    scenario: &Scenario,
    world: &mut World,
    flight: &Flight,
    base: Base,
    identity: Identity,
    op: CookieOp,
) -> Sent {
    if !world.records.contains_key(&base.key) {
        if scenario.rules.missing_stays_missing {
            return Sent::Refused;
        }
    } else if !base.fresh {
        return Sent::Conflict;
    }
    let presented = flight.cookie.expect("who has a record came with a cookie").secret;
    let mut header = base.stored.header();
    let level = if flight.kind == Kind::Login {
        1
    } else if flight.kind == Kind::StepUp {
        2
    } else {
        base.stored.level
    };
    let next = if identity.rotate { world.mint_secret(level) } else { 0 };
    header.apply(identity, secret(presented), secret(next), instant(world.now), scenario.window());
    header.forget_predecessor(instant(world.now));
    if identity.rotate && world.history.successors[usize::from(presented)].replace(next).is_some() {
        world.history.note(Fault::TwoSuccessors);
    }
    let before = base.stored.standing;
    let stored = Stored {
        values: base.stored.values | bit(world, flight),
        level,
        expires: None,
        ..base.stored.with(&header)
    };
    world.write(base.key, stored);
    if identity.deliver {
        leave_end_of_origin(world, before);
    }
    Sent::Done(say(scenario, flight, op, &stored, identity.rotate.then_some(next)))
}

/// Starts a new record and freezes the one before it.
fn replace(scenario: &Scenario, world: &mut World, flight: &Flight, base: Base) -> Sent {
    if !world.records.contains_key(&base.key) {
        return Sent::Refused;
    }
    if !base.fresh {
        return Sent::Conflict;
    }
    let (level, lineage) = match flight.kind {
        Kind::Login => (1, None),
        _ => (2, Some(world.history.lineages[usize::from(base.key)])),
    };
    let new = world.mint(level, lineage, Some(base.key));
    let window_ends = world.now + scenario.window_ticks;
    let standing = Stands::Undelivered { origin: base.key, window_ends };
    let stored = Stored { standing, level, values: base.stored.values, ..Stored::new(new.secret, world.now) };
    world.write(new.key, stored);
    let mut header = base.stored.header();
    header.freeze(super::numbers::store_key(new.key));
    world.write(base.key, base.stored.with(&header));
    leave_end_of_origin(world, base.stored.standing);
    if let Stands::Frozen { successor } = base.stored.standing
        && !scenario.rules.spare_undelivered
    {
        world.errands.push(Errand::DropUndelivered { key: successor });
    }
    Sent::Done(Some((SetCookie::Token(new), None)))
}

/// What the response says about the cookie, and until when.
fn say(
    scenario: &Scenario,
    flight: &Flight,
    op: CookieOp,
    stored: &Stored,
    next: Option<u8>,
) -> Option<(SetCookie, Option<u8>)> {
    let key = flight.cookie?.key;
    let secret = match op {
        CookieOp::None => return None,
        CookieOp::Remove => return Some((SetCookie::Remove, None)),
        CookieOp::Issue | CookieOp::IssueInWindow => next?,
        CookieOp::Forward => {
            let header = stored.header();
            let before = header.predecessor.as_ref()?;
            let presented = secret(flight.cookie?.secret);
            let successor = presented.unseal(&before.successor, &header.secret);
            number_of(successor.expect("who is forwarded opens the successor").digest())
        }
    };
    let until = stored.header().sendable_until(scenario.window(), scenario.rules).map(tick);
    Some((SetCookie::Token(Cookie { key, secret }), until))
}

/// Leaves it to be noted off the path that somebody came with the secret.
fn leave_delivery(world: &mut World, base: Base, opened: Opened) {
    let Opened::Live { admission: Admission::Current { first: true }, .. } = opened else { return };
    if base.fresh && world.records.contains_key(&base.key) {
        world.errands.push(Errand::Deliver { base });
    }
}

fn leave_end_of_origin(world: &mut World, before: Stands) {
    if let Stands::Undelivered { origin, window_ends } = before {
        world.errands.push(Errand::EndOrigin { origin, window_ends });
    }
}

/// Does what no response waits for.
pub(super) fn run(world: &mut World, errand: Errand) {
    match errand {
        Errand::Deliver { base } => {
            let mut header = base.stored.header();
            header.deliver(instant(world.now));
            world.write(base.key, Stored { expires: None, ..base.stored.with(&header) });
            leave_end_of_origin(world, base.stored.standing);
        }
        Errand::EndOrigin { origin, window_ends } => {
            if world.now >= window_ends {
                world.delete(origin);
            } else if let Some(stored) = world.records.get_mut(&origin) {
                stored.expires = Some(window_ends);
            }
        }
        Errand::DropUndelivered { key } => world.delete(key),
    }
}
