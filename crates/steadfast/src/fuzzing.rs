//! Thin doors for the fuzz targets in `fuzz/`. Not a part of the public API: they may change at any time.

use std::net::IpAddr;

use bytes::Bytes;

use crate::client::{self, Cidr, Headers, ProxyHeader, TrustedProxies};
#[cfg(feature = "php")]
use crate::codec::php;
use crate::codec::{Encoding, Value};
use crate::cookie;
use crate::policy::Codec;
#[cfg(feature = "php")]
use crate::policy::PhpFormat;
use crate::record;
#[cfg(feature = "sealed")]
use crate::seal::RecordSealer;
#[cfg(feature = "sealed")]
use crate::store::StoreKey;
use crate::token::Token;

/// Returns the values of a cookie, and whether there were more.
#[must_use]
pub fn cookie_candidates<'a>(headers: &[&'a [u8]], name: &str) -> (Vec<&'a [u8]>, bool) {
    let found = cookie::candidates(headers.iter().copied(), name);
    (found.iter().collect(), found.overflow())
}

/// Returns how a token that can be read is written.
#[must_use]
pub fn token_as_written(value: &[u8]) -> Option<String> {
    Token::parse(value).map(|token| token.encode())
}

/// Reads a record and writes it again; `None` if it can't be read.
#[must_use]
pub fn rewrite_record(payload: &[u8]) -> Option<Vec<u8>> {
    let contents = record::decode(&Bytes::copy_from_slice(payload)).ok()?;
    Some(record::encode(contents.codec, &contents.header, &contents.values).to_vec())
}

/// Gives bytes the length and the checksum of a record.
#[must_use]
pub fn mend_record(payload: &[u8]) -> Vec<u8> {
    record::mend(payload.to_vec())
}

/// Seals a payload, with keys and under a name that are always the same.
#[cfg(feature = "sealed")]
#[must_use]
pub fn seal_record(payload: &[u8]) -> Vec<u8> {
    RecordSealer::new(&ring()).seal(&StoreKey::from_bytes([7; 16]), payload).to_vec()
}

/// Opens a payload; `None` if it does not open. One that is not sealed comes back as it is.
#[cfg(feature = "sealed")]
#[must_use]
pub fn unseal_record(payload: &[u8]) -> Option<Vec<u8>> {
    let key = StoreKey::from_bytes([7; 16]);
    let opened = RecordSealer::new(&ring()).unseal(&key, Bytes::copy_from_slice(payload));
    opened.ok().map(|payload| payload.to_vec())
}

/// Returns the cookies, `name=value`, in which a payload travels; `None` if it is too large.
#[cfg(feature = "cookie")]
#[must_use]
pub fn carry(payload: &[u8]) -> Option<Vec<String>> {
    crate::carrier::fuzzing::carry(&ring(), payload)
}

/// Returns the payloads that travel in the cookies of a request.
#[cfg(feature = "cookie")]
#[must_use]
pub fn carried_cookies(lines: &[&[u8]]) -> Vec<Vec<u8>> {
    crate::carrier::fuzzing::open(&ring(), lines)
}

#[cfg(feature = "sealed")]
fn ring() -> crate::KeyRing {
    crate::KeyRing::from_bytes([std::array::from_fn(|at| at as u8)]).expect("a key")
}

/// Decodes a value.
#[must_use]
pub fn decode(codec: Codec, bytes: &[u8]) -> Option<Value> {
    Encoding::from(codec).decode(bytes).ok()
}

/// Encodes a value.
#[must_use]
pub fn encode(codec: Codec, value: &Value) -> Option<Vec<u8>> {
    Encoding::from(codec).encode(value).ok()
}

/// Splits a session of PHP into its keys and values; `None` if PHP would not decode it.
#[cfg(feature = "php")]
#[must_use]
pub fn split_php(format: PhpFormat, bytes: &[u8]) -> Option<Vec<PhpPiece>> {
    let split = php::split(format, bytes).ok()?;
    let part = |range: &std::ops::Range<u32>| bytes[range.start as usize..range.end as usize].to_vec();
    let pieces = split.pieces.iter();
    Some(
        pieces
            .map(|piece| (part(&piece.key), part(&piece.value), piece.reading.as_deref().map(<[u8]>::to_vec)))
            .collect(),
    )
}

/// A key, its value as it lies there, and its value as a document of its own.
#[cfg(feature = "php")]
pub type PhpPiece = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// Joins a session of PHP again from pieces of it, by number, and new values.
#[cfg(feature = "php")]
pub fn join_php(
    format: PhpFormat,
    original: &[u8],
    entries: &[(&[u8], Result<usize, &[u8]>)],
) -> crate::Result<Vec<u8>> {
    let split = php::split(format, original)?;
    let entries = entries.iter().map(|(key, content)| match content {
        Ok(piece) => (*key, php::Content::Kept(*piece)),
        Err(value) => (*key, php::Content::New(value)),
    });
    php::join(format, Some((original, &split)), entries)
}

/// Decodes a value of PHP that is a document of its own.
#[cfg(feature = "php")]
pub fn decode_php<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> crate::Result<T> {
    php::from_slice(bytes)
}

/// Encodes a value for PHP.
#[cfg(feature = "php")]
pub fn encode_php<T: serde::Serialize + ?Sized>(value: &T) -> crate::Result<Vec<u8>> {
    php::to_vec(value)
}

/// Returns the address of the client behind a trusted proxy in 10.0.0.0/8, by the lines of its header.
#[must_use]
pub fn client_ip(peer: IpAddr, lines: &[&[u8]], header: ProxyHeader) -> IpAddr {
    let networks: Vec<Cidr> = vec!["10.0.0.0/8".parse().expect("a network")];
    let trusted = TrustedProxies { networks, header };
    client::client_ip(Some(peer), &Lines(lines), &trusted).expect("there is a peer")
}

struct Lines<'a>(&'a [&'a [u8]]);

impl Headers for Lines<'_> {
    fn all<'a>(&'a self, _: &'static str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.0.iter().copied()
    }
}

/// Reads the parts of a session file, and holds what it read against what would be written.
#[cfg(feature = "files")]
pub fn read_session_file(file: &mut [u8]) {
    crate::store::files::read_for_fuzzing(file);
}

/// Reads the replies of a Memcached server, in one piece and in two.
#[cfg(feature = "memcached")]
pub fn read_memcached_replies(stream: &[u8], cut: usize) {
    crate::store::memcached::read_for_fuzzing(stream, cut);
}

/// Reads the settings in a file of PHP, and returns their lines.
#[cfg(all(feature = "config", feature = "php"))]
#[must_use]
pub fn read_php_source(text: &str) -> Vec<usize> {
    crate::config::read_source_for_fuzzing(text)
}
