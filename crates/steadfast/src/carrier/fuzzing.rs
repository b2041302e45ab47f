//! What the fuzz targets call: a carrier whose sessions never end.

use super::{Carrier, Crumbs};
use crate::events::Observer;
use crate::policy::Policy;
use crate::record::{self, Header};
use crate::seal::KeyRing;
use crate::store::{Record, Version};
use crate::time::Timestamp;
use crate::token::Token;

fn carrier(ring: &KeyRing) -> Carrier {
    let policy = Policy::builder().dangerous_insecure_cookie().build().expect("the defaults fit together");
    Carrier::new(&policy, ring)
}

/// Returns the cookies in which a payload travels.
pub(crate) fn carry(ring: &KeyRing, payload: &[u8]) -> Option<Vec<String>> {
    let (expires_at, payload) = (Timestamp::MAX, bytes::Bytes::copy_from_slice(payload));
    let record = Record { payload, version: Version::fresh(), expires_at, user: None };
    let token = Token::from_bytes(&[7; 32]);
    let sent = carrier(ring).issue(&Crumbs::default(), &token, &record, &header(), None).ok()?;
    Some(sent.iter().filter_map(|cookie| cookie.split(';').next()).map(str::to_owned).collect())
}

/// Returns the payloads in the cookies of a request.
pub(crate) fn open(ring: &KeyRing, lines: &[&[u8]]) -> Vec<Vec<u8>> {
    let carrier = carrier(ring);
    let crumbs = carrier.collect(lines.iter().copied());
    let opened = carrier.open(&crumbs, Timestamp::EPOCH, &Observer::new(None, "cookie", None));
    opened.unwrap_or_default().into_iter().map(|(_, found)| found.record.payload.to_vec()).collect()
}

fn header() -> Header {
    let golden = bytes::Bytes::from_static(include_bytes!("../../tests/golden/record-v1.bin"));
    record::decode(&golden).expect("the golden record").header
}
