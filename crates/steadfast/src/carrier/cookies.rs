//! Opens the cookies that came, and writes those that are to come next.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::parts::{COUNT, Crumbs, MAGIC, MAX_PARTS, parts_for, split, value_len};
use crate::cookie::CookieWriter;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Anomaly, Observer};
use crate::policy::{CookieSettings, Policy};
use crate::record::{self, Header};
use crate::seal::{KeyRing, OVERHEAD, Purpose, Refused, Sealer};
use crate::store::{Found, Record, Version};
use crate::time::Timestamp;
use crate::token::{TOKEN, Token};

/// What this version writes, and the newest it reads.
const VERSION: u8 = 1;

/// Bytes in front of what the sealer writes: magic, version, number of parts, and the second in which the session
/// ends in any case. They can be read without a key, and the seal covers them.
const HEAD: usize = 10;

/// Where the version stands.
const AT_VERSION: usize = 3;

/// Where the end of the session stands: seconds in 40 bits.
const ENDS: std::ops::Range<usize> = 5..HEAD;

/// Bytes of the message in front of the record: token and deadline.
const INSIDE: usize = TOKEN + 8;

/// Bytes that the cookies of a session take of a request for each one beside name and value: `=` and `; `.
const AROUND: usize = 3;

/// Lets sessions travel in cookies.
#[derive(Debug)]
pub(crate) struct Carrier {
    sealer: Sealer,
    /// One for each part.
    writers: Vec<CookieWriter>,
    /// Characters for which the value of each cookie has room.
    room: usize,
    /// Bytes that all cookies together may take of a request.
    limit: usize,
}

impl Carrier {
    pub(crate) fn new(policy: &Policy, ring: &KeyRing) -> Self {
        let name = &policy.cookie.name;
        let named = |name: String| CookieWriter::new(&CookieSettings { name, ..policy.cookie.clone() });
        let numbered = (1..MAX_PARTS).map(|number| named(format!("{name}.{number}")));
        let writers: Vec<_> = std::iter::once(named(name.clone())).chain(numbered).collect();
        let room = writers[MAX_PARTS - 1].room();
        Self { sealer: ring.sealer(Purpose::Cookie), writers, room, limit: policy.max_cookie_bytes }
    }

    /// Finds the session's cookies among the lines of a request's `Cookie` headers.
    pub(crate) fn collect<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> Crumbs {
        Crumbs::collect(lines, self.name())
    }

    /// Opens what came. What was never sealed here is left out, and told.
    ///
    /// # Errors
    ///
    /// If nothing else opens: [`KeyMissing`](ErrorKind::KeyMissing) for a cookie that may be good, under a key that is
    /// not there, and [`NewerFormat`](ErrorKind::NewerFormat). Else a wrong key ring would sign everybody out.
    pub(crate) fn open(
        &self,
        crumbs: &Crumbs,
        now: Timestamp,
        observer: &Observer,
    ) -> Result<Vec<(Token, Found)>> {
        if crumbs.too_many {
            observer.alarm(Anomaly::TooManyCookies, None);
        }
        if crumbs.incomplete {
            observer.alarm(Anomaly::IncompleteCookie, None);
        }
        let (mut opened, mut failed) = (Vec::new(), None);
        for parcel in &crumbs.parcels {
            match self.open_one(parcel, now) {
                Ok(Some(carried)) => opened.push(carried),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Forged => observer.alarm(Anomaly::Forged, None),
                Err(error) => failed = Some(error),
            }
        }
        match failed.filter(|_| opened.is_empty()) {
            Some(error) => {
                observer.failed(error.kind(), None);
                Err(error)
            }
            None => Ok(opened),
        }
    }

    /// Opens one parcel; `None` for one that is none, or whose session is over whatever is in it.
    fn open_one(&self, parcel: &[u8], now: Timestamp) -> Result<Option<(Token, Found)>> {
        let Some((head, sealed)) = parcel.split_first_chunk::<HEAD>() else { return Ok(None) };
        if head[AT_VERSION] == 0 || ends_in(head) <= now.as_secs() {
            return Ok(None);
        }
        if head[AT_VERSION] > VERSION {
            return Err(record::newer_format());
        }
        let message = self.sealer.unseal(sealed, &self.bound(head)).map_err(refused)?;
        let forged = || refused(Refused::Forged);
        let (token, rest) = message.split_first_chunk().ok_or_else(forged)?;
        let (expires_at, _) = rest.split_first_chunk().ok_or_else(forged)?;
        let (token, expires_at) = (Token::from_bytes(token), u64::from_le_bytes(*expires_at));
        let expires_at = Timestamp::from_micros(expires_at);
        let payload = Bytes::from(message).slice(INSIDE..);
        // Nobody else can have written it meanwhile, so its version is compared with nothing.
        let record = Record { payload, version: Version::fresh(), expires_at, user: None };
        Ok(Some((token, Found { record, now })))
    }

    /// Writes the `Set-Cookie` headers for a session, and those that remove what its former ones leave over.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) if browsers or servers would not take so much.
    pub(crate) fn issue(
        &self,
        crumbs: &Crumbs,
        token: &Token,
        record: &Record,
        header: &Header,
        lifetime: Option<Duration>,
    ) -> Result<Vec<String>> {
        let text_len = (HEAD + OVERHEAD + INSIDE + record.payload.len()).saturating_mul(4).div_ceil(3);
        let count = parts_for(text_len, self.room);
        self.check_size(text_len, count)?;
        let head = head(count, header.absolute_at);
        let mut parcel = head.to_vec();
        self.sealer.seal(&mut parcel, &message(token, record), &self.bound(&head));
        let parts = split(&URL_SAFE_NO_PAD.encode(parcel), self.room);
        let issued = self.writers.iter().zip(&parts).map(|(writer, part)| writer.issue(part, lifetime));
        let left_over = crumbs.sent_from(count).map(|number| self.writers[number].remove());
        Ok(issued.chain(left_over).collect())
    }

    /// Writes the `Set-Cookie` headers that remove the session's cookies.
    pub(crate) fn remove(&self, crumbs: &Crumbs) -> Vec<String> {
        let others = crumbs.sent_from(1);
        std::iter::once(0).chain(others).map(|number| self.writers[number].remove()).collect()
    }

    fn check_size(&self, text_len: usize, count: usize) -> Result<()> {
        let around: usize = self.writers.iter().take(count).map(|writer| writer.name().len() + AROUND).sum();
        let bytes = value_len(text_len, count).saturating_add(around);
        if count <= MAX_PARTS && bytes <= self.limit {
            return Ok(());
        }
        let message = format!(
            "the session needs {bytes} bytes of cookies, and `max_cookie_bytes` is {}; keep less in it, or choose a driver \
             with a store; nothing was sent",
            self.limit
        );
        Err(Error::new(ErrorKind::TooLarge, message).in_driver(super::no_store::DRIVER))
    }

    /// Returns what a seal is bound to: its head and the name of the cookie.
    fn bound(&self, head: &[u8; HEAD]) -> Vec<u8> {
        [&head[..], self.name().as_bytes()].concat()
    }

    fn name(&self) -> &str {
        self.writers[0].name()
    }
}

fn head(count: usize, ends_at: Timestamp) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..MAGIC.len()].copy_from_slice(&MAGIC);
    head[AT_VERSION] = VERSION;
    head[COUNT] = u8::try_from(count).expect("there are at most nine parts");
    // Never before the real end, which is inside.
    head[ENDS].copy_from_slice(&ends_at.as_secs().saturating_add(1).to_le_bytes()[..ENDS.len()]);
    head
}

fn message(token: &Token, record: &Record) -> Vec<u8> {
    let mut message = Vec::with_capacity(INSIDE + record.payload.len());
    message.extend_from_slice(&*token.to_bytes());
    message.extend_from_slice(&record.expires_at.as_micros().to_le_bytes());
    message.extend_from_slice(&record.payload);
    message
}

/// Returns the second in which a session ends in any case.
fn ends_in(head: &[u8; HEAD]) -> u64 {
    let mut seconds = [0; 8];
    seconds[..ENDS.len()].copy_from_slice(&head[ENDS]);
    u64::from_le_bytes(seconds)
}

fn refused(why: Refused) -> Error {
    let error = match why {
        Refused::UnknownKey(id) => Error::new(
            ErrorKind::KeyMissing,
            format!("a session came that is sealed under the key {id}, which is not in the key ring; add it"),
        ),
        Refused::Forged => {
            Error::new(ErrorKind::Forged, "a session came that was not sealed here; it was not used")
        }
    };
    error.in_driver(super::no_store::DRIVER)
}

#[cfg(test)]
mod tests;
