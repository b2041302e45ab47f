//! Payloads and keys of every shape.

use bytes::Bytes;

use crate::conformance::Harness;
use crate::conformance::fixtures::{
    assert_missing, assert_same, create, delete, flipped, key, load, noise, pages, record, stored, update,
};
use crate::store::StoreKey;

pub(crate) async fn an_empty_payload_is_a_record(h: Harness) {
    round_trip(&h, Bytes::new()).await;
}

pub(crate) async fn every_byte_is_kept(h: Harness) {
    round_trip(&h, (0..=u8::MAX).collect::<Bytes>()).await;
    // Not UTF-8 in any way, and what some encodings take for an end.
    for payload in [&b"\0"[..], b"\0\0\0", b"before\0after", b"\xff\xfe\xfd", b"\xc3\x28", b"\r\n\n\r\x1a"] {
        round_trip(&h, Bytes::from_static(payload)).await;
    }
}

pub(crate) async fn what_looks_like_a_query_or_a_path_is_kept(h: Harness) {
    for payload in ["'; DROP TABLE sessions; --", "../../etc/passwd", "%s%n{}", "\"\\\"", "$1 ? :name"] {
        round_trip(&h, Bytes::from_static(payload.as_bytes())).await;
    }
}

pub(crate) async fn payloads_around_block_sizes_are_kept(h: Harness) {
    for block in [512, 4096, 16_384, 65_536] {
        for length in [block - 64, block - 1, block, block + 1] {
            round_trip(&h, noise(length)).await;
        }
    }
}

pub(crate) async fn a_mebibyte_is_kept(h: Harness) {
    round_trip(&h, noise(1 << 20)).await;
}

pub(crate) async fn a_record_may_grow_and_shrink(h: Harness) {
    let mut last = record("");
    let key = stored(h.first(), &last).await;
    for length in [1, 100_000, 10, 5_000, 0, 300, 1 << 20, 2] {
        let next = record(noise(length));
        update(h.first(), &key, last.version, &next).await;
        assert_same(&load(h.second(), &key).await, &next);
        last = next;
    }
}

pub(crate) async fn keys_that_differ_in_one_bit_are_different_keys(h: Harness) {
    let base = key();
    let written = record("base");
    create(h.first(), &base, &written).await;
    for bit in 0..128 {
        let near = flipped(&base, bit);
        assert_missing(h.second(), &near).await;
        let other = record(format!("bit {bit}"));
        create(h.second(), &near, &other).await;
        assert_same(&load(h.first(), &near).await, &other);
        delete(h.second(), &near).await;
        assert_same(&load(h.first(), &base).await, &written);
    }
}

pub(crate) async fn the_first_and_the_last_key_are_keys(h: Harness) {
    for key in [[0; 16], [0xff; 16]].map(StoreKey::from_bytes) {
        let written = record("at the edge");
        create(h.first(), &key, &written).await;
        assert_same(&load(h.second(), &key).await, &written);
    }
    let seen = pages(h.first(), 1).await;
    assert_eq!(seen.len(), 2);
}

/// Checks that a payload survives a create and an update, seen from the other handle.
async fn round_trip(h: &Harness, payload: Bytes) {
    let created = record(payload.clone());
    let key = stored(h.first(), &created).await;
    assert_same(&load(h.second(), &key).await, &created);
    let updated = record(payload);
    update(h.first(), &key, created.version, &updated).await;
    assert_same(&load(h.second(), &key).await, &updated);
}
