//! Which server has what: hashing as libmemcached does it, so that PHP agrees with this driver.

use md5::{Digest as _, Md5};

use super::options::Distribution;

/// Points that each server of a weighted ring has on average, four for each digest.
const WEIGHTED_POINTS: f32 = 160.0;

/// Points of each server of a ring without weights.
const UNWEIGHTED_POINTS: u32 = 100;

/// The port that libmemcached leaves out of the labels.
const USUAL_PORT: u16 = 11211;

/// A server as the ring knows it.
#[derive(Clone, Debug)]
pub(in crate::store) struct Member {
    /// The host as it was configured: another spelling is another place on the ring.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) weight: u32,
}

/// The points of all servers on a circle of 2³² places.
#[derive(Debug)]
pub(super) struct Ring {
    hash: fn(&[u8]) -> u32,
    servers: usize,
    /// Sorted: a place, and the index of its server. None if the remainder decides.
    points: Vec<(u32, usize)>,
}

impl Ring {
    pub(super) fn new(distribution: Distribution, members: &[Member]) -> Self {
        let (hash, mut points): (fn(&[u8]) -> u32, _) = match distribution {
            Distribution::Weighted => (md5_hash, weighted(members)),
            Distribution::Unweighted => (one_at_a_time, unweighted(members)),
            Distribution::Modulo => (one_at_a_time, Vec::new()),
        };
        points.sort_unstable();
        Self { hash, servers: members.len(), points }
    }

    /// Returns the index of the server that has a key: the one of the first point from its hash on, or that of
    /// the remainder.
    pub(super) fn server(&self, key: &[u8]) -> usize {
        if self.servers == 1 {
            return 0;
        }
        let hash = (self.hash)(key);
        if self.points.is_empty() {
            return hash as usize % self.servers;
        }
        let at = self.points.partition_point(|(place, _)| *place < hash);
        self.points.get(at).or(self.points.first()).map_or(0, |(_, server)| *server)
    }
}

/// Every digest of a label gives four points. The share of a server is computed in single precision, as
/// libmemcached does, so that no server has a point more or less than there.
fn weighted(members: &[Member]) -> Vec<(u32, usize)> {
    let total: u32 = members.iter().map(|member| member.weight).sum();
    let mut points = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let share = member.weight as f32 / total as f32;
        let labels = (share * WEIGHTED_POINTS / 4.0 * members.len() as f32 + 1e-10).floor() as u32;
        for n in 0..labels {
            let digest = Md5::digest(label(member, n));
            points.extend(digest.as_chunks().0.iter().map(|four| (u32::from_le_bytes(*four), index)));
        }
    }
    points
}

fn unweighted(members: &[Member]) -> Vec<(u32, usize)> {
    let of = |(index, member)| {
        (0..UNWEIGHTED_POINTS).map(move |n| (one_at_a_time(label(member, n).as_bytes()), index))
    };
    members.iter().enumerate().flat_map(of).collect()
}

fn label(Member { host, port, weight: _ }: &Member, n: u32) -> String {
    if *port == USUAL_PORT { format!("{host}-{n}") } else { format!("{host}:{port}-{n}") }
}

fn md5_hash(key: &[u8]) -> u32 {
    let digest = Md5::digest(key);
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// The hash of Bob Jenkins that libmemcached takes by default.
fn one_at_a_time(key: &[u8]) -> u32 {
    let mixed = key.iter().fold(0_u32, |hash, byte| {
        let hash = hash.wrapping_add(u32::from(*byte));
        let hash = hash.wrapping_add(hash << 10);
        hash ^ (hash >> 6)
    });
    let mixed = mixed.wrapping_add(mixed << 3);
    let mixed = mixed ^ (mixed >> 11);
    mixed.wrapping_add(mixed << 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    /// Written by `tests/golden/ketama.py`, which has none of this code.
    const GOLDEN: &str = include_str!("../../../tests/golden/ketama.txt");

    /// Reads `host:port*weight,host:port*weight`.
    fn members(text: &str) -> Vec<Member> {
        let member = |text: &str| {
            let (address, weight) = text.split_once('*').unwrap();
            let (host, port) = address.rsplit_once(':').unwrap();
            Member { host: host.into(), port: port.parse().unwrap(), weight: weight.parse().unwrap() }
        };
        text.split(',').map(member).collect()
    }

    #[test]
    fn keys_lie_where_libmemcached_puts_them() {
        let (mut checked, mut rings) = (0, std::collections::HashMap::new());
        for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
            let [distribution, servers, key, expected] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("four words: {line}");
            };
            let distribution = match distribution {
                "weighted" => Distribution::Weighted,
                "unweighted" => Distribution::Unweighted,
                "modulo" => Distribution::Modulo,
                other => panic!("{other}"),
            };
            let ring = rings.entry((distribution as u8, servers));
            let ring = ring.or_insert_with(|| Ring::new(distribution, &members(servers)));
            assert_eq!(ring.server(key.as_bytes()).to_string(), expected, "{line}");
            checked += 1;
        }
        assert!(checked >= 800, "the file has {checked} keys");
    }

    #[test]
    fn a_server_that_is_added_takes_only_its_share() {
        let before = members("a:11211*1,b:11211*1,c:11212*1,d:11211*1");
        let after = members("a:11211*1,b:11211*1,c:11212*1,d:11211*1,e:11211*1");
        for distribution in [Distribution::Weighted, Distribution::Unweighted] {
            let (before, after) = (Ring::new(distribution, &before), Ring::new(distribution, &after));
            let keys = 20_000;
            let mut moved = 0;
            for _ in 0..keys {
                let key = random::unique().to_string();
                let (from, to) = (before.server(key.as_bytes()), after.server(key.as_bytes()));
                assert!(from == to || to == 4, "nothing moves between the servers that were there");
                moved += usize::from(from != to);
            }
            assert!((keys / 8..keys * 3 / 10).contains(&moved), "about a fifth moves, not {moved} of {keys}");
        }
    }

    #[test]
    fn a_server_with_twice_the_weight_has_twice_the_share() {
        let ring = Ring::new(Distribution::Weighted, &members("a:1*1,b:2*2,c:3*1"));
        let keys = 20_000;
        let heavy = (0..keys).filter(|_| ring.server(random::unique().to_string().as_bytes()) == 1).count();
        assert!((keys * 2 / 5..keys * 3 / 5).contains(&heavy), "about a half, not {heavy} of {keys}");
    }
}
