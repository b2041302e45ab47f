//! What is asked of a server in one go: meta commands, one after another.
//!
//! Every command carries a number, which its reply repeats, and none is quiet: each has exactly one reply, so
//! that a reply out of turn is noticed.

use std::io::Write as _;
use std::num::NonZeroU64;

use super::item::Lifetime;
use super::keys::{Keys, Kind, Name};

/// Most commands that a packet holds.
pub(super) const MOST_COMMANDS: u32 = 64;

/// The second in which the item that tells the time ends: the last one that the server can be told.
pub(super) const CLOCK_END: u32 = i32::MAX as u32;

/// Commands, ready to be sent.
#[derive(Debug)]
pub(in crate::store) struct Packet<'a> {
    keys: &'a Keys,
    bytes: Vec<u8>,
    first: u32,
    commands: u32,
}

/// The bytes of a packet, and the numbers of its commands.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    pub(super) first: u32,
    pub(super) commands: u32,
}

impl<'a> Packet<'a> {
    /// Starts a packet whose commands are numbered from `first`.
    pub(super) fn new(keys: &'a Keys, first: u32) -> Self {
        Self { keys, bytes: Vec::with_capacity(160), first, commands: 0 }
    }

    pub(super) fn seal(self) -> Sealed {
        debug_assert!((1..=MOST_COMMANDS).contains(&self.commands), "the numbers of packets do not overlap");
        Sealed { bytes: self.bytes, first: self.first, commands: self.commands }
    }

    /// Reads an item: its value, its tag and what is left of its life.
    pub(super) fn read(&mut self, kind: Kind, name: &Name) {
        self.begin("mg", kind, name);
        self.end(format_args!(" v c t"));
    }

    /// Looks whether there is an item, without making it look used.
    pub(super) fn look(&mut self, kind: Kind, name: &Name) {
        self.begin("mg", kind, name);
        self.end(format_args!(" u"));
    }

    /// Moves the end of an item.
    pub(super) fn touch(&mut self, kind: Kind, name: &Name, life: Lifetime) {
        self.begin("mg", kind, name);
        self.end(format_args!(" T{life}"));
    }

    /// Moves the end of an item and asks for its length.
    pub(super) fn touch_and_measure(&mut self, kind: Kind, name: &Name, life: Lifetime) {
        self.begin("mg", kind, name);
        self.end(format_args!(" T{life} s"));
    }

    /// Asks for the time: how much is left of an item whose end is known. It is made if it is not there.
    pub(super) fn clock(&mut self) {
        self.bytes.extend_from_slice(b"mg ");
        self.keys.write_clock(&mut self.bytes);
        self.end(format_args!(" t N{CLOCK_END}"));
    }

    /// Stores an item that is not there yet.
    pub(super) fn add(&mut self, kind: Kind, name: &Name, life: Lifetime, parts: &[&[u8]]) {
        self.store(kind, name, parts, format_args!(" ME T{life} c"));
    }

    /// Stores an item over the write that had this tag.
    pub(super) fn put_over(
        &mut self,
        kind: Kind,
        name: &Name,
        cas: NonZeroU64,
        life: Lifetime,
        parts: &[&[u8]],
    ) {
        self.store(kind, name, parts, format_args!(" C{cas} T{life} c"));
    }

    /// Stores an item, whatever is there.
    pub(super) fn put(&mut self, kind: Kind, name: &Name, life: Lifetime, parts: &[&[u8]]) {
        self.store(kind, name, parts, format_args!(" T{life}"));
    }

    /// Adds bytes to the end of an item that is there.
    pub(super) fn append(&mut self, kind: Kind, name: &Name, bytes: &[u8]) {
        self.store(kind, name, &[bytes], format_args!(" MA"));
    }

    /// Deletes an item, whatever is there.
    pub(super) fn delete(&mut self, kind: Kind, name: &Name) {
        self.begin("md", kind, name);
        self.end(format_args!(""));
    }

    /// Deletes an item whose last write had this tag.
    pub(super) fn delete_over(&mut self, kind: Kind, name: &Name, cas: NonZeroU64) {
        self.begin("md", kind, name);
        self.end(format_args!(" C{cas}"));
    }

    /// Reads or touches the item of a key in full, as `flags` say.
    #[cfg(feature = "php")]
    pub(in crate::store) fn get_literal(&mut self, key: &str, flags: std::fmt::Arguments<'_>) {
        self.begin_literal("mg", key);
        self.end(flags);
    }

    /// Stores an item under a key in full, as `flags` say.
    #[cfg(feature = "php")]
    pub(in crate::store) fn set_literal(&mut self, key: &str, value: &[u8], flags: std::fmt::Arguments<'_>) {
        self.begin_literal("ms", key);
        self.end(format_args!(" {}{flags}", value.len()));
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Deletes the item of a key in full, as `flags` say.
    #[cfg(feature = "php")]
    pub(in crate::store) fn delete_literal(&mut self, key: &str, flags: std::fmt::Arguments<'_>) {
        self.begin_literal("md", key);
        self.end(flags);
    }

    #[cfg(feature = "php")]
    fn begin_literal(&mut self, command: &str, key: &str) {
        for part in [command, " ", key] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
    }

    fn store(&mut self, kind: Kind, name: &Name, parts: &[&[u8]], flags: std::fmt::Arguments<'_>) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.begin("ms", kind, name);
        self.end(format_args!(" {length}{flags}"));
        self.bytes.reserve(length + 2);
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn begin(&mut self, command: &str, kind: Kind, name: &Name) {
        self.bytes.extend_from_slice(command.as_bytes());
        self.bytes.push(b' ');
        self.keys.write(kind, name, &mut self.bytes);
    }

    fn end(&mut self, flags: std::fmt::Arguments<'_>) {
        let number = self.first.wrapping_add(self.commands);
        self.commands += 1;
        match flags.as_str() {
            Some(flags) => self.bytes.extend_from_slice(flags.as_bytes()),
            None => self.bytes.write_fmt(flags).expect("a vector takes all that is written"),
        }
        self.bytes.extend_from_slice(b" O");
        write_number(&mut self.bytes, number);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// Writes a number in decimal, which each command has: the machinery of formatting would cost more than the rest
/// of the command.
fn write_number(bytes: &mut Vec<u8>, mut number: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    bytes.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreKey;
    use crate::time::Timestamp;

    #[test]
    fn commands_are_numbered_and_end_with_their_number() {
        let keys = Keys::new("p:");
        let name = Name::of_session(&StoreKey::from_bytes([0; 16]));
        let cas = NonZeroU64::new(9).unwrap();
        let life = Lifetime::until(Timestamp::from_micros(1_795_324_611_000_001));
        let mut packet = Packet::new(&keys, u32::MAX);
        packet.read(Kind::Record, &name);
        packet.clock();
        packet.add(Kind::Lease, &name, Lifetime::Seconds(3), &[b"ab", b"c"]);
        packet.put_over(Kind::Record, &name, cas, life, &[]);
        packet.delete_over(Kind::Lease, &name, cas);
        let Sealed { bytes, first, commands } = packet.seal();
        let (name, bytes) = ("A".repeat(22), String::from_utf8(bytes).unwrap());
        assert_eq!((first, commands), (u32::MAX, 5));
        assert_eq!(
            bytes,
            format!(
                "mg p:s{name} v c t O4294967295\r\nmg p:c t N2147483647 O0\r\n\
                 ms p:l{name} 3 ME T3 c O1\r\nabc\r\nms p:s{name} 0 C9 T1795324612 c O2\r\n\r\n\
                 md p:l{name} C9 O3\r\n"
            )
        );
    }
}
