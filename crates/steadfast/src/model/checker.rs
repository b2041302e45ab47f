//! The moves of the world, and what must hold after each of them.

use std::fmt;

use stateright::{Model, Property};

use super::record::Stored;
use super::world::{Cookie, Errand, Fault, Flight, History, KINDS, Kind, SetCookie, Stage, World};
use super::{Scenario, server};

/// A move.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Tick,
    Send(Kind),
    /// A request reaches the server and opens the session.
    Open(Flight),
    /// Its handler is done, and the commit.
    Commit(Flight),
    /// The head leaves.
    Leave(Flight),
    /// The response reaches the browser.
    Arrive(Flight),
    /// A request, handler or response is lost on its way.
    Lose(Flight),
    Run(Errand),
    Revoke,
}

impl Model for Scenario {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            now: 0,
            jar: None,
            promised: None,
            records: std::collections::BTreeMap::new(),
            flights: Vec::new(),
            errands: Vec::new(),
            budget: self.budget(),
            revocations: self.revocations,
            history: History::default(),
        };
        if let Some(level) = self.begins {
            let cookie = world.mint(level, None, None);
            world.write(cookie.key, Stored { level, ..Stored::new(cookie.secret, 0) });
            (world.jar, world.promised) = (Some(cookie), Some(level));
        }
        vec![world]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        if !world.history.is_clean() {
            return;
        }
        let hurried = world.flights.iter().any(|flight| flight.late);
        if world.now < self.ticks && !hurried {
            moves.push(Move::Tick);
        }
        if world.flights.len() < self.parallel {
            let left = KINDS.iter().zip(world.budget).filter(|(_, left)| *left > 0);
            moves.extend(left.map(|(kind, _)| Move::Send(*kind)));
        }
        for flight in &world.flights {
            moves.push(match flight.stage {
                Stage::Sent => Move::Open(*flight),
                Stage::Working { .. } => Move::Commit(*flight),
                Stage::Committed { .. } => Move::Leave(*flight),
                Stage::Answered(_) => Move::Arrive(*flight),
            });
            if self.losses {
                moves.push(Move::Lose(*flight));
            }
        }
        moves.extend(world.errands.iter().map(|errand| Move::Run(*errand)));
        if world.revocations > 0 {
            moves.push(Move::Revoke);
        }
    }

    fn next_state(&self, before: &World, action: Move) -> Option<World> {
        let mut world = before.clone();
        match action {
            Move::Tick => tick(&mut world),
            Move::Send(kind) => send(&mut world, kind),
            Move::Open(flight) => {
                let mut flight = take(&mut world, flight);
                server::open(self, &mut world, &mut flight);
                flight.late = false;
                world.flights.push(flight);
            }
            Move::Commit(flight) => {
                let flight = take(&mut world, flight);
                if let Some(stage) = server::commit(self, &mut world, &flight) {
                    let committed = Flight { stage, promised: None, ..flight };
                    if self.slow_heads {
                        world.flights.push(committed);
                    } else {
                        self.leave(&mut world, committed);
                    }
                }
            }
            Move::Leave(flight) => {
                let flight = take(&mut world, flight);
                self.leave(&mut world, flight);
            }
            Move::Arrive(flight) => {
                let flight = take(&mut world, flight);
                let Stage::Answered(cookie) = flight.stage else { return None };
                self.arrive(&mut world, cookie)?;
            }
            Move::Lose(flight) => drop(take(&mut world, flight)),
            Move::Run(errand) => {
                world.errands.retain(|other| *other != errand);
                server::run(&mut world, errand);
            }
            Move::Revoke => revoke(&mut world),
        }
        world.flights.sort_unstable_by_key(order);
        world.errands.sort_unstable_by_key(order);
        world.errands.dedup();
        world.look_for_what_was_left_behind();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($($name:literal: $fault:ident,)*) => {
                vec![$(Property::always($name, |_, world: &World| !world.history.noted(Fault::$fault)),)*]
            };
        }
        never! {
            "nobody is signed out but by sign-out, revocation or expiry": SignedOut,
            "an ended session does not come back": CameBack,
            "a write is not lost": LostWrite,
            "a secret has one successor": TwoSuccessors,
            "only the direct predecessor is honoured": NotDirect,
            "an earlier cookie does not see a later privilege": SawPrivilege,
            "a frozen record is not written": WroteFrozen,
            "a dead record is not written": WroteDead,
            "a cookie is removed only by who ended the session": RemovedByOther,
            "what a change of privilege left behind ends with the session": LeftBehind,
        }
    }
}

/// An order of things that have none, so that their permutations are one state.
fn order(value: &impl std::hash::Hash) -> u64 {
    use std::hash::{DefaultHasher, Hasher as _};
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn tick(world: &mut World) {
    world.now += 1;
    for flight in &mut world.flights {
        flight.late = matches!(flight.stage, Stage::Sent | Stage::Answered(_));
    }
}

fn send(world: &mut World, kind: Kind) {
    world.budget[kind as usize] -= 1;
    let (cookie, promised) = (world.jar, world.promised);
    world.flights.push(Flight { kind, cookie, promised, stage: Stage::Sent, late: false });
}

fn take(world: &mut World, flight: Flight) -> Flight {
    let at = world.flights.iter().position(|other| *other == flight).expect("it is under way");
    world.flights.remove(at)
}

/// Ends all sessions of the user, frozen ones too.
fn revoke(world: &mut World) {
    world.revocations -= 1;
    let doomed: Vec<u8> = world.records.iter().filter(|(_, r)| r.level > 0).map(|(key, _)| *key).collect();
    doomed.into_iter().for_each(|key| world.end(key));
}

impl Scenario {
    /// The head leaves, without a cookie that is too late.
    fn leave(&self, world: &mut World, flight: Flight) {
        let Stage::Committed { cookie, until } = flight.stage else { return };
        let late = until.is_some_and(|until| world.now > until);
        if late && self.rules.drop_late_cookies {
            return;
        }
        // Nothing but the cookie matters from here on.
        let (kind, late) = (Kind::View, false);
        world.flights.push(Flight {
            kind,
            cookie: None,
            promised: None,
            stage: Stage::Answered(cookie),
            late,
        });
    }

    /// The browser takes over the cookie; `None` where the network of this scenario does not go so far.
    fn arrive(&self, world: &mut World, cookie: SetCookie) -> Option<()> {
        let SetCookie::Token(token) = cookie else {
            (world.jar, world.promised) = (None, None);
            return Some(());
        };
        if let Some(jar) = world.jar
            && !self.overtaking
            && world.history.leads_to(token.key, jar.key)
        {
            return None;
        }
        // A browser without a session may be given two by parallel requests; it relies on the one it has.
        let goes_on =
            world.jar.is_some_and(|jar| jar.key == token.key || world.history.leads_to(jar.key, token.key));
        world.jar = Some(token);
        let level = (!world.history.lineage_ended(token.key))
            .then(|| world.history.levels[usize::from(token.secret)]);
        world.promised = if goes_on { world.promised.max(level) } else { level };
        Some(())
    }
}

impl fmt::Debug for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, flight) = match self {
            Self::Tick => return f.write_str("a tick passes"),
            Self::Send(kind) => return write!(f, "the browser sends {kind:?}"),
            Self::Run(errand) => return write!(f, "off the path: {errand:?}"),
            Self::Revoke => return f.write_str("the user is revoked"),
            Self::Open(flight) => ("opens", flight),
            Self::Commit(flight) => ("commits", flight),
            Self::Leave(flight) => ("leaves", flight),
            Self::Arrive(flight) => ("arrives", flight),
            Self::Lose(flight) => ("is lost", flight),
        };
        let Flight { kind, cookie, stage, .. } = flight;
        match (stage, cookie) {
            (Stage::Answered(cookie), _) => write!(f, "the answer {cookie:?} {step}"),
            (_, None) => write!(f, "{kind:?} without a cookie {step}"),
            (_, Some(Cookie { key, secret })) => write!(f, "{kind:?} with {key}/{secret} {step}"),
        }
    }
}
