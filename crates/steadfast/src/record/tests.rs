use std::time::Duration;

use super::*;
use crate::store::StoreKey;
use crate::time::Timestamp;
use crate::token::{SealedSecret, SecretDigest};

fn header() -> Header {
    let at = |secs: u64| Timestamp::from_micros(secs * 1_000_000);
    Header {
        data_tag: 0x0102_0304_0506_0708,
        created_at: at(1_000),
        rotated_at: at(1_100),
        seen_at: at(1_200),
        absolute_at: at(90_000),
        flash_at: at(1_150),
        idle: Duration::from_secs(1_800),
        persistent: true,
        secret: SecretDigest([0x11; 16]),
        predecessor: Some(Predecessor {
            digest: SecretDigest([0x22; 16]),
            window_ends: at(1_160),
            successor: SealedSecret([0x33; 16]),
            replaced: true,
        }),
        standing: Standing::Undelivered { origin: StoreKey::from_bytes([0x44; 16]), window_ends: at(1_170) },
        user: Some("alice".into()),
        device: Some(Device { ip: "192.0.2.7".parse().ok(), user_agent: "Browser/1.0".into() }),
        bound_ip: Some([0x55; 8]),
        bound_agent: Some([0x66; 8]),
        php: None,
    }
}

fn values() -> Values {
    let mut values = Values::default();
    values.set(b"n", vec![7], Mark::None);
    values.set(b"notice", b"\xa5saved".to_vec(), Mark::FlashNew);
    values.set(b"seen", b"\xc3".to_vec(), Mark::FlashOld);
    values.set(b"", vec![], Mark::Temp(Timestamp::from_micros(5)));
    values
}

fn entries(values: &Values) -> Vec<(Vec<u8>, Vec<u8>, Mark)> {
    values.iter().map(|e| (e.key.to_vec(), e.value.to_vec(), e.mark)).collect()
}

#[test]
fn a_record_comes_back_as_it_was() {
    let bytes = encode(Encoding::Json, &header(), &values());
    let contents = decode(&bytes).unwrap();
    assert_eq!(contents.codec, Encoding::Json);
    assert_eq!(format!("{:?}", contents.header), format!("{:?}", header()));
    assert_eq!(entries(&contents.values), entries(&values()));
    assert_eq!(encode(contents.codec, &contents.header, &contents.values), bytes);
}

#[test]
fn the_format_is_the_golden_one() {
    let golden = include_bytes!("../../tests/golden/record-v1.bin");
    assert_eq!(encode(Encoding::MessagePack, &header(), &values())[..], golden[..]);
    assert_eq!(entries(&decode(&Bytes::from_static(golden)).unwrap().values), entries(&values()));
}

#[test]
fn a_record_cut_short_or_with_one_bit_changed_is_damaged() {
    let bytes = encode(Encoding::MessagePack, &header(), &values());
    for len in 0..bytes.len() {
        assert_eq!(decode(&bytes.slice(..len)).unwrap_err().kind(), ErrorKind::Corrupt, "cut at {len}");
    }
    for at in (0..bytes.len()).filter(|at| *at != 4) {
        for bit in 0..8 {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1 << bit;
            assert_eq!(
                decode(&damaged.into()).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "bit {bit} of byte {at}"
            );
        }
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(decode(&longer.into()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[cfg(feature = "php")]
#[test]
fn a_record_of_php_s_values_has_a_format_of_its_own() {
    let golden = include_bytes!("../../tests/golden/record-v3.bin");
    let encoding = Encoding::Php(crate::policy::PhpFormat::PhpSerialize);
    let mut values = Values::default();
    values.set(b"n", b"i:7;".to_vec(), Mark::None);
    values.set(b"cart", b"O:8:\"App\\Cart\":1:{s:1:\"n\";i:2;}".to_vec(), Mark::FlashNew);
    assert_eq!(encode(encoding, &header(), &values), golden[..]);
    let contents = decode(&Bytes::from_static(golden)).unwrap();
    assert_eq!(contents.codec, encoding);
    assert_eq!(entries(&contents.values), entries(&values));
    // Neither format has the other's codecs.
    for (at, byte) in [(4, FORMAT), (5, 1)] {
        let mut other = golden.to_vec();
        other[at] = byte;
        finish_envelope(&mut other);
        assert_eq!(decode(&other.into()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_record_of_a_newer_format_is_told_from_a_damaged_one() {
    let mut newer = encode(Encoding::MessagePack, &header(), &values()).to_vec();
    newer[4] = NEWEST + 1;
    assert_eq!(decode(&newer.into()).unwrap_err().kind(), ErrorKind::NewerFormat);
}

#[test]
fn untouched_values_are_copied_byte_for_byte() {
    let mut read = decode(&encode(Encoding::MessagePack, &header(), &values())).unwrap().values;
    read.set(b"n", vec![8], Mark::None);
    assert!(read.remove(b"seen"));
    assert!(!read.remove(b"seen"));
    read.set(b"late", vec![1], Mark::None);
    let again = decode(&encode(Encoding::MessagePack, &header(), &read)).unwrap().values;
    let keys: Vec<_> = again.iter().map(|e| e.key.to_vec()).collect();
    assert_eq!(keys, [b"n".to_vec(), b"notice".to_vec(), b"".to_vec(), b"late".to_vec()]);
    assert_eq!(again.get(b"notice").unwrap().value, b"\xa5saved");
    assert_eq!(again.len(), 4);
}

/// One value in two is of another kind, so that every kind meets every neighbour.
#[test]
fn whatever_changes_between_untouched_values_is_written_as_it_is() {
    const MARKS: [Mark; 4] =
        [Mark::None, Mark::FlashNew, Mark::FlashOld, Mark::Temp(Timestamp::from_micros(0x0102_0304))];
    let mut values = Values::default();
    for (n, mark) in MARKS.into_iter().flat_map(|mark| [mark, Mark::None]).enumerate() {
        values.set(&[n as u8; 3], vec![n as u8; n], mark);
    }
    let read = || decode(&encode(Encoding::MessagePack, &header(), &values)).unwrap().values;
    let check = |changed: &Values| {
        let written = encode(Encoding::MessagePack, &header(), changed);
        assert_eq!(entries(&decode(&written).unwrap().values), entries(changed));
    };
    check(&read());
    for n in 0..values.len() as u8 {
        for mark in MARKS {
            let mut changed = read();
            assert!(changed.set_mark(&[n; 3], mark));
            check(&changed);
            changed.set(&[n; 3], vec![0xee; 9], mark);
            check(&changed);
        }
        let mut removed = read();
        assert!(removed.remove(&[n; 3]));
        check(&removed);
        removed.set(&[n; 3], vec![], Mark::None);
        check(&removed);
    }
}

/// What is read is changed where it lies, what was made here in its list: both do the same.
#[test]
fn one_value_is_set_where_it_lies_as_it_is_in_a_list() {
    let written = |values: &Values| encode(Encoding::MessagePack, &header(), values);
    let marks = [Mark::None, Mark::FlashNew, Mark::Temp(Timestamp::from_micros(7))];
    let keys = [&b"n"[..], b"notice", b"seen", b"", b"another"];
    for (key, mark) in keys.into_iter().flat_map(|key| marks.map(|mark| (key, mark))) {
        let (mut list, mut read) = (values(), decode(&written(&values())).unwrap().values);
        let check = |list: &Values, read: &Values| {
            assert_eq!(entries(read), entries(list));
            assert_eq!((read.len(), read.any_flash()), (list.len(), list.any_flash()));
            assert_eq!(read.get(key).map(|e| (e.value, e.mark)), list.get(key).map(|e| (e.value, e.mark)));
            assert_eq!(written(read), written(list));
        };
        for value in [&b"longer than before"[..], b""] {
            for values in [&mut list, &mut read] {
                values.set(key, value.into(), mark);
            }
            check(&list, &read);
        }
        type Change = fn(&mut Values);
        let changes: [Change; 4] = [
            |values| values.set(b"n", vec![9], Mark::None),
            |values| assert!(values.remove(b"seen")),
            |values| assert!(values.set_mark(b"n", Mark::FlashOld)),
            |values| values.retain_marked(|mark| !mark.is_flash()),
        ];
        for change in changes {
            let (mut list, mut read) = (list.clone(), read.clone());
            change(&mut list);
            change(&mut read);
            check(&list, &read);
        }
    }
}

#[test]
fn many_keys_are_found_after_every_kind_of_change() {
    let mut values = Values::default();
    for n in 0..1_000_u32 {
        values.set(&n.to_le_bytes(), n.to_be_bytes().to_vec(), Mark::None);
    }
    assert!(values.remove(&500_u32.to_le_bytes()));
    let mut values = decode(&encode(Encoding::MessagePack, &header(), &values)).unwrap().values;
    values.set(&500_u32.to_le_bytes(), vec![9], Mark::FlashNew);
    values.retain_marked(|mark| !mark.is_flash());
    assert!(values.get(&500_u32.to_le_bytes()).is_none());
    assert_eq!(values.get(&999_u32.to_le_bytes()).unwrap().value, 999_u32.to_be_bytes());
    assert_eq!(values.len(), 999);
}
