//! The client against another one: the same commands must have the same outcomes.

use std::num::NonZeroU64;

use memcache::exp::{AsyncMetaConnection, MetaCommand, MetaOp, MetaResponse, ReturnCode};
use steadfast_servers::{Memcached, Server as _};

use super::item::Lifetime;
use super::keys::{Keys, Kind, Name};
use super::options::MemcachedOptions;
use super::packet::Packet;
use super::reply::{Code, Parser, Reply};
use super::server::Server;
use super::stream::Endpoint;
use crate::random;
use crate::store::StoreKey;

/// A command, with what it needs.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read,
    Look,
    Touch,
    Measure,
    Add,
    Put,
    /// Over the tag that was seen last, or over another one.
    PutOver {
        right: bool,
    },
    Append,
    Delete,
    DeleteOver {
        right: bool,
    },
}

const STEPS: [Step; 12] = [
    Step::Read,
    Step::Look,
    Step::Touch,
    Step::Measure,
    Step::Add,
    Step::Put,
    Step::PutOver { right: true },
    Step::PutOver { right: false },
    Step::Append,
    Step::Delete,
    Step::DeleteOver { right: true },
    Step::DeleteOver { right: false },
];

const VALUE: &[u8] = b"\r\nEN\r\n\0value";

impl Step {
    fn ours(self, packet: &mut Packet<'_>, name: &Name, cas: NonZeroU64) {
        let (kind, life) = (Kind::Record, Lifetime::Seconds(100));
        let cas = |right| if right { cas } else { cas.saturating_add(1 << 40) };
        match self {
            Self::Read => packet.read(kind, name),
            Self::Look => packet.look(kind, name),
            Self::Touch => packet.touch(kind, name, life),
            Self::Measure => packet.touch_and_measure(kind, name, life),
            Self::Add => packet.add(kind, name, life, &[VALUE]),
            Self::Put => packet.put(kind, name, life, &[VALUE]),
            Self::PutOver { right } => packet.put_over(kind, name, cas(right), life, &[VALUE, VALUE]),
            Self::Append => packet.append(kind, name, VALUE),
            Self::Delete => packet.delete(kind, name),
            Self::DeleteOver { right } => packet.delete_over(kind, name, cas(right)),
        }
    }

    fn theirs(self, key: &str, cas: NonZeroU64) -> MetaCommand {
        let over = |right| format!("C{}", if right { cas } else { cas.saturating_add(1 << 40) });
        let (op, flags, value) = match self {
            Self::Read => (MetaOp::Get, vec!["v".into(), "c".into(), "t".into()], None),
            Self::Look => (MetaOp::Get, vec!["u".into()], None),
            Self::Touch => (MetaOp::Get, vec!["T100".into()], None),
            Self::Measure => (MetaOp::Get, vec!["T100".into(), "s".into()], None),
            Self::Add => (MetaOp::Set, vec!["ME".into(), "T100".into(), "c".into()], Some(VALUE.to_vec())),
            Self::Put => (MetaOp::Set, vec!["T100".into()], Some(VALUE.to_vec())),
            Self::PutOver { right } => {
                (MetaOp::Set, vec![over(right), "T100".into(), "c".into()], Some([VALUE, VALUE].concat()))
            }
            Self::Append => (MetaOp::Set, vec!["MA".into()], Some(VALUE.to_vec())),
            Self::Delete => (MetaOp::Delete, vec![], None),
            Self::DeleteOver { right } => (MetaOp::Delete, vec![over(right)], None),
        };
        let command = flags.into_iter().fold(MetaCommand::new(op, key), |c, flag: String| c.flag(flag));
        match value {
            Some(value) => command.value(value),
            None => command,
        }
    }
}

/// What both clients read, in one form. Tags are the server's, and differ.
fn outcome(code: Code, value: &[u8], size: Option<u32>, cas: bool) -> (Code, Vec<u8>, Option<u32>, bool) {
    (code, value.to_vec(), size, cas)
}

fn flag(response: &MetaResponse, name: u8) -> Option<u64> {
    let token = response.flags().find(|flag| flag.first() == Some(&name))?;
    str::from_utf8(&token[1..]).ok()?.parse().ok()
}

#[tokio::test]
async fn the_same_commands_have_the_same_outcomes_as_with_another_client() {
    let memcached = Memcached::start().unwrap();
    let address = memcached.address();
    let endpoint = Endpoint::Tcp { host: address.ip().to_string(), port: address.port() };
    let keys = Keys::new("ours:");
    let server = Server::new(endpoint, &keys, &MemcachedOptions::default());
    let link = server.link().await.unwrap();
    let mut other = AsyncMetaConnection::connect(address).await.unwrap();
    let (mut our_cas, mut their_cas) = (NonZeroU64::MIN, NonZeroU64::MIN);
    for _ in 0..3000 {
        let n = random::unique();
        let (step, session) = (STEPS[(n % 12) as usize], (n >> 8) % 3);
        let name = Name::of_session(&StoreKey::from_bytes([session as u8; 16]));
        let mut packet = server.packet(&keys);
        step.ours(&mut packet, &name, our_cas);
        let Reply { code, value, size, cas, .. } = server.ask(&link, packet).await.unwrap().next();
        let ours = outcome(code, &value, size, cas.is_some());
        let response = other.execute(&step.theirs(&format!("theirs:{session}"), their_cas)).await.unwrap();
        let code = match response.rc() {
            ReturnCode::Hd | ReturnCode::Va => Code::Done,
            ReturnCode::En | ReturnCode::Nf => Code::Missing,
            ReturnCode::Ns => Code::NotStored,
            ReturnCode::Ex => Code::Changed,
            other => panic!("{other:?}"),
        };
        let tag = flag(&response, b'c').and_then(NonZeroU64::new);
        let size = flag(&response, b's').map(|size| size as u32);
        let theirs = outcome(code, response.value().unwrap_or_default(), size, tag.is_some());
        assert_eq!(ours, theirs, "{step:?}");
        if let (Some(ours), Some(theirs)) = (cas, tag) {
            (our_cas, their_cas) = (ours, theirs);
        }
    }
}

#[test]
fn lines_are_read_as_another_client_reads_them() {
    for line in ["HD", "HD c7 t90 s5 O1", "EN", "NF O7", "NS c0", "EX O3 c0", "HD t-1 W", "HD X Z"] {
        let theirs = MetaResponse::parse_header(line.as_bytes()).unwrap();
        let mut arrived = bytes::BytesMut::from(format!("{line}\r\n").as_str());
        let ours = Parser::new(0).next(&mut arrived).unwrap().unwrap();
        assert_eq!(ours.opaque.map(u64::from), flag(&theirs, b'O'), "{line}");
        assert_eq!(ours.cas, flag(&theirs, b'c').and_then(NonZeroU64::new), "{line}");
        assert_eq!(ours.ttl.map(u64::from), flag(&theirs, b't'), "{line}");
        assert_eq!(ours.size.map(u64::from), flag(&theirs, b's'), "{line}");
    }
}
