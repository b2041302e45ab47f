//! What is compared with what.

use crate::contenders::{CEILING, Contender, EXCLUSIVE, Framework, LEASED, MERGE, ON_ACTIX};
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
    /// Steadfast on axum, and on another framework.
    Framework,
    /// A peer, merge, and exclusive where that does the same.
    Peer,
    /// Compared with nothing: a read that takes its turn makes calls that no ceiling makes.
    Alone,
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
            groups.push(Group::new(Purpose::Ceiling, [(ceiling, "/get"), (merge, "/view"), (merge, "/get")]));
            groups.push(Group::new(Purpose::Alone, [(exclusive, "/get")]));
            groups.push(Group::new(Purpose::Ceiling, [(ceiling, "/incr"), (merge, "/incr")]));
            groups.push(Group::new(Purpose::Ceiling, [(leased, "/incr"), (exclusive, "/incr")]));
        }
        let [on_actix_merge, on_actix_exclusive] = &ON_ACTIX;
        let on_actix = find(on_actix_merge).zip(find(on_actix_exclusive));
        for peer in on_engine().filter(|at| !webs[*at].contender.is_ours()) {
            let mut read = vec![(peer, "/get"), (merge, "/get")];
            let mut change = vec![(peer, "/incr"), (merge, "/incr"), (exclusive, "/incr")];
            if let Some((merge, exclusive)) = on_actix
                && webs[peer].contender.framework == Framework::Actix
            {
                read.push((merge, "/get"));
                change.extend([(merge, "/incr"), (exclusive, "/incr")]);
            }
            groups.extend([read, change].map(|members| Group { purpose: Purpose::Peer, members }));
        }
        if let Some((on_actix, exclusive_on_actix)) = on_actix {
            groups.push(Group::new(Purpose::Framework, [(merge, "/get"), (on_actix, "/get")]));
            groups.push(Group::new(Purpose::Framework, [(merge, "/incr"), (on_actix, "/incr")]));
            groups
                .push(Group::new(Purpose::Framework, [(exclusive, "/incr"), (exclusive_on_actix, "/incr")]));
        }
    }
    groups
}

impl Group {
    fn new<const N: usize>(purpose: Purpose, members: [(usize, &'static str); N]) -> Self {
        Self { purpose, members: members.to_vec() }
    }
}
