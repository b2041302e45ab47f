//! What is sent: the names of keys, and scripts with their arguments.

use std::io::Write as _;

use redis::{Arg, Cmd, RedisWrite, ToRedisArgs};

use super::scripts::Script;
use crate::store::{StoreKey, UserKey};

/// Room for the name of a key, a digest and some numbers, so that a command is built without growing.
const ROOM: usize = 224;

/// The names of everything that a store keeps in the server; all begin with its prefix.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: Box<str>,
    /// What the index of a user begins with.
    users: Box<str>,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), users: format!("{prefix}user:").into() }
    }

    /// Names a record: `steadfast:{0123…}`. The braces keep what belongs to it in the slot of a cluster.
    pub(super) fn record<'a>(&'a self, key: &'a StoreKey) -> RecordName<'a> {
        RecordName { prefix: &self.prefix, key }
    }

    /// Returns the slot of a cluster that a record is in: that of the part between the braces.
    pub(super) fn slot(&self, key: &StoreKey) -> u16 {
        let mut hex = [0; 32];
        crate::hex::encode_into(key.as_bytes(), &mut hex);
        crc16(&hex) % 16_384
    }

    /// Names the index of a user: `steadfast:user:0123…`.
    pub(super) fn user(&self, user: &UserKey) -> String {
        format!("{}{}", self.users, user.to_hex())
    }

    pub(super) fn users(&self) -> &str {
        &self.users
    }

    /// Names the channel of one store: `steadfast:wake:0123…`.
    pub(super) fn channel(&self, node: u64) -> String {
        format!("{}wake:{node:016x}", self.prefix)
    }

    /// Reads the name of a record.
    pub(super) fn key_of(&self, name: &[u8]) -> Option<StoreKey> {
        let hex = name.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b"{")?.strip_suffix(b"}")?;
        StoreKey::from_hex(str::from_utf8(hex).ok()?)
    }

    /// Returns the pattern of all records, for `SCAN`.
    pub(super) fn every_record(&self) -> String {
        format!("{}{{*}}", glob_escaped(&self.prefix))
    }

    /// Returns the pattern of all indexes, for `SCAN`.
    pub(super) fn every_user(&self) -> String {
        format!("{}*", glob_escaped(&self.users))
    }
}

pub(in crate::store) fn glob_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Computes the checksum by which a cluster spreads keys (CRC-16/XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc: u16, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

/// The name of a record, written into a command without a string of its own.
#[derive(Clone, Copy)]
pub(super) struct RecordName<'a> {
    prefix: &'a str,
    key: &'a StoreKey,
}

impl ToRedisArgs for RecordName<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut hex = [0; 34];
        crate::hex::encode_into(self.key.as_bytes(), &mut hex[1..33]);
        hex[0] = b'{';
        hex[33] = b'}';
        let mut name = out.writer_for_next_arg();
        // Writing into the memory of a command does not fail.
        let _ = name.write_all(self.prefix.as_bytes()).and_then(|()| name.write_all(&hex));
    }
}

/// Reads a record.
pub(super) fn get(record: RecordName<'_>) -> Cmd {
    let mut cmd = Cmd::with_capacity(2, ROOM);
    cmd.arg("GET").arg(record);
    cmd
}

/// Begins the call of a script on a record; its arguments follow.
pub(super) fn call(script: &Script, record: RecordName<'_>, payload: usize) -> Cmd {
    let mut cmd = Cmd::with_capacity(10, ROOM + payload);
    cmd.arg("EVALSHA").arg(script.digest()).arg(1).arg(record);
    cmd
}

/// Begins the call of a script on two records.
pub(super) fn call_on_two(script: &Script, old: RecordName<'_>, new: RecordName<'_>, payload: usize) -> Cmd {
    let mut cmd = Cmd::with_capacity(12, ROOM + payload);
    cmd.arg("EVALSHA").arg(script.digest()).arg(2).arg(old).arg(new);
    cmd
}

/// Returns the same call with the text of the script, for a server that has forgotten it.
pub(super) fn with_text(call: &Cmd, script: &Script) -> Cmd {
    let mut cmd = Cmd::new();
    cmd.arg("EVAL").arg(script.text);
    for arg in call.args_iter().skip(2) {
        if let Arg::Simple(bytes) = arg {
            cmd.arg(bytes);
        }
    }
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_record_is_read_back() {
        let key = StoreKey::from_bytes([0xa5; 16]);
        let names = Names::new("app:");
        let mut cmd = Cmd::new();
        cmd.arg(names.record(&key));
        let Some(Arg::Simple(name)) = cmd.args_iter().next() else { panic!("it is an argument") };
        assert_eq!(name, format!("app:{{{}}}", key.to_hex()).as_bytes());
        assert_eq!(names.key_of(name), Some(key));
        for other in ["app:user:x", "app:{}", "other:{a5}", "app:{a5a5}:waiters"] {
            assert_eq!(names.key_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_slot_is_that_of_the_cluster() {
        // The check value of this checksum, and the example of the cluster's specification.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b"foo") % 16_384, 12_182);
    }

    #[test]
    fn a_prefix_means_itself_in_a_pattern() {
        assert_eq!(Names::new("a*[b]?\\^:").every_record(), r"a\*\[b\]\?\\\^:{*}");
    }
}
