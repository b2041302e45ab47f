//! Commands on PHP's keys, sent in as few packets as their servers allow.
//!
//! CodeIgniter's lock lies beside its session; that of PHP's own handler may lie on another server. Either way
//! commands take effect in their order.

use std::num::NonZeroU64;

use super::store::Shared;
use super::value::PLAIN;
use crate::error::Result;
use crate::store::StoreKey;
use crate::store::memcached::error::DRIVER;
use crate::store::memcached::item::Lifetime;
use crate::store::memcached::packet::Packet;
use crate::store::memcached::reply::Reply;
use crate::store::memcached::server::{Server, Told};
use crate::store::php::keys::{Place, name_of};
use crate::time::Timestamp;

/// Where a session and its lock are.
pub(super) struct At<'a> {
    pub(super) key: &'a StoreKey,
    pub(super) place: Place,
    pub(super) data: &'a Server,
    lock: &'a Server,
}

/// One command.
pub(super) enum Command<'a> {
    /// Reads the session.
    Read,
    /// Looks whether there is a session.
    Look,
    /// Moves the end of the session.
    Touch(Lifetime),
    /// Stores a session that is not there yet.
    Add(&'a [u8], Lifetime),
    /// Stores the session over the write with this tag.
    Put(&'a [u8], Lifetime, NonZeroU64),
    /// Deletes the session, over the write with this tag or whatever it is.
    Delete(Option<NonZeroU64>),
    /// Stores bytes beside the session, where PHP does not look.
    PutAside(&'a [u8], Lifetime),
    /// Reads the lock.
    ReadLock,
    /// Looks whether there is a lock.
    LookForLock,
    /// Takes the lock if it is free.
    AddLock(&'a str, Lifetime),
    /// Starts the time of a lock anew that has this tag.
    RenewLock(&'a str, Lifetime, NonZeroU64),
    /// Ends a lock that has this tag.
    EndLock(NonZeroU64),
}

/// The replies to commands.
pub(super) struct Replies {
    replies: std::vec::IntoIter<Reply>,
    /// The server's time when it answered the last of them.
    pub(super) now: Timestamp,
    /// The second that it told, from which it counts what is left of items.
    pub(super) second: u64,
}

impl Replies {
    pub(super) fn next(&mut self) -> Reply {
        self.replies.next().expect("every command has a reply")
    }
}

impl Shared {
    pub(super) fn at<'a>(&'a self, key: &'a StoreKey) -> Result<At<'a>> {
        let place = self.keys.place(name_of(key, DRIVER)?);
        let server = |name: &str| self.pool.server(self.keys.hashed(name));
        let (data, lock) = (server(&place.data), server(&place.lock));
        Ok(At { key, place, data, lock })
    }

    /// Sends commands and returns their replies.
    pub(super) async fn ask(&self, at: &At<'_>, commands: &[Command<'_>]) -> Result<Replies> {
        let mut replies = Vec::with_capacity(commands.len());
        let mut now = Timestamp::EPOCH;
        for commands in commands.chunk_by(|a, b| std::ptr::eq(at.server(a), at.server(b))) {
            let mut told = self.send(at, commands).await?;
            now = told.now;
            replies.extend(commands.iter().map(|_| told.next()));
        }
        Ok(Replies { replies: replies.into_iter(), now, second: now.as_secs() })
    }

    /// Sends commands, the last of which reads, and asks for the time with it.
    pub(super) async fn ask_with_time(&self, at: &At<'_>, commands: &[Command<'_>]) -> Result<Replies> {
        let mut groups = commands.chunk_by(|a, b| std::ptr::eq(at.server(a), at.server(b)));
        let last = groups.next_back().unwrap_or_default();
        let mut replies = Vec::with_capacity(commands.len());
        for commands in groups {
            let mut told = self.send(at, commands).await?;
            replies.extend(commands.iter().map(|_| told.next()));
        }
        let link = at.data.link().await?;
        let mut packet = at.data.packet(&self.clock);
        last.iter().for_each(|command| command.write(at, &mut packet));
        let (mut told, second) = at.data.ask_with_time(&link, packet).await?;
        replies.extend(last.iter().map(|_| told.next()));
        Ok(Replies { replies: replies.into_iter(), now: told.now, second })
    }

    /// Sends commands to the one server that they are for.
    async fn send(&self, at: &At<'_>, commands: &[Command<'_>]) -> Result<Told> {
        let server = commands.first().map_or(at.data, |command| at.server(command));
        let link = server.link().await?;
        let mut packet = server.packet(&self.clock);
        commands.iter().for_each(|command| command.write(at, &mut packet));
        server.ask(&link, packet).await
    }
}

impl At<'_> {
    fn server(&self, command: &Command<'_>) -> &Server {
        use Command::{AddLock, EndLock, LookForLock, ReadLock, RenewLock};
        match command {
            ReadLock | LookForLock | AddLock(..) | RenewLock(..) | EndLock(..) => self.lock,
            _ => self.data,
        }
    }
}

impl Command<'_> {
    fn write(&self, at: &At<'_>, packet: &mut Packet<'_>) {
        let Place { data, lock } = &at.place;
        match *self {
            Self::Read => packet.get_literal(data, format_args!(" v c t f")),
            Self::Look => packet.get_literal(data, format_args!("")),
            Self::Touch(life) => packet.get_literal(data, format_args!(" T{life}")),
            Self::Add(value, life) => {
                packet.set_literal(data, value, format_args!(" ME T{life} F{PLAIN} c"));
            }
            Self::Put(value, life, cas) => {
                packet.set_literal(data, value, format_args!(" C{cas} T{life} F{PLAIN} c"));
            }
            Self::Delete(Some(cas)) => packet.delete_literal(data, format_args!(" C{cas}")),
            Self::Delete(None) => packet.delete_literal(data, format_args!("")),
            Self::PutAside(value, life) => {
                packet.set_literal(&at.place.damaged(), value, format_args!(" T{life}"));
            }
            Self::ReadLock => packet.get_literal(lock, format_args!(" v c")),
            Self::LookForLock => packet.get_literal(lock, format_args!("")),
            Self::AddLock(value, life) => {
                packet.set_literal(lock, value.as_bytes(), format_args!(" ME T{life} c"));
            }
            Self::RenewLock(value, life, cas) => {
                packet.set_literal(lock, value.as_bytes(), format_args!(" C{cas} T{life} c"));
            }
            Self::EndLock(cas) => packet.delete_literal(lock, format_args!(" C{cas}")),
        }
    }
}
