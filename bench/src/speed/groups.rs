//! What is compared with what.

use crate::contenders::{CEILING, Contender, EXCLUSIVE, LEASED, MERGE};
use crate::engine::Engine;
use crate::lineup::Web;

/// Requests that are measured one right after the other, by web server and path.
pub(crate) struct Group {
    pub(super) purpose: Purpose,
    pub(super) members: Vec<(usize, &'static str)>,
}

/// Why they are, which says what the members are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// A framework alone, and a request that does not touch its session.
    Untouched,
    /// A framework alone, and requests that have a budget beside it.
    Budget,
    /// A ceiling, and what is beside it.
    Ceiling,
    /// A peer, merge, and exclusive where that does the same.
    Peer,
}

/// Makes the groups, of those that run.
pub(super) fn of(webs: &[Web], engines: &[Engine]) -> Vec<Group> {
    let mut groups = Vec::new();
    for engine in engines {
        let find = |contender: &Contender| {
            webs.iter().position(|web| web.engine == Some(*engine) && web.contender == contender)
        };
        let (Some(merge), Some(exclusive)) = (find(&MERGE), find(&EXCLUSIVE)) else { continue };
        let on_engine = || (0..webs.len()).filter(|at| webs[*at].engine == Some(*engine));
        for at in on_engine() {
            let alone = webs.iter().position(|web| web.contender == webs[at].contender.alone());
            let is_ceiling = [&CEILING, &LEASED].contains(&webs[at].contender);
            if let Some(alone) = alone.filter(|_| !is_ceiling) {
                groups.push(Group::new(Purpose::Untouched, [(alone, "/none"), (at, "/none")]));
            }
        }
        if let Some(alone) = webs.iter().position(|web| web.contender == MERGE.alone())
            && Engine::EMBEDDED.contains(engine)
        {
            let bare = (alone, "/none");
            groups.push(Group::new(Purpose::Budget, [bare, (merge, "/view"), (merge, "/incr")]));
            groups.push(Group::new(Purpose::Budget, [bare, (exclusive, "/get"), (exclusive, "/incr")]));
        }
        if let (Some(ceiling), Some(leased)) = (find(&CEILING), find(&LEASED)) {
            let read = [(ceiling, "/get"), (merge, "/view"), (merge, "/get"), (exclusive, "/get")];
            groups.push(Group::new(Purpose::Ceiling, read));
            groups.push(Group::new(Purpose::Ceiling, [(ceiling, "/incr"), (merge, "/incr")]));
            groups.push(Group::new(Purpose::Ceiling, [(leased, "/incr"), (exclusive, "/incr")]));
        }
        for peer in on_engine().filter(|at| !webs[*at].contender.is_ours()) {
            groups.push(Group::new(Purpose::Peer, [(peer, "/get"), (merge, "/get")]));
            groups.push(Group::new(Purpose::Peer, [(peer, "/incr"), (merge, "/incr"), (exclusive, "/incr")]));
        }
    }
    groups
}

impl Group {
    fn new<const N: usize>(purpose: Purpose, members: [(usize, &'static str); N]) -> Self {
        Self { purpose, members: members.to_vec() }
    }
}
