//! Values of Rust, made at random: written for PHP, read by PHP, and read again.

use std::collections::BTreeMap;

use steadfast::fuzzing::{decode_php, encode_php};
use steadfast::{PhpFormat, Value};

use super::{Php, Random, show};

/// How many values are made.
const VALUES: u64 = 4_000;

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth < 4 { 11 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(random.one_in(2)),
        2 => Value::from(random.below(20) as i64 - 10),
        3 => Value::from(random.next() as i64),
        4 => Value::from(f64::from_bits(random.next())),
        5 => Value::from(random.below(1_000_000) as f64 / 100.0),
        6 => Value::from(["", "text", "quote\";", "Žofie 漢字", "i:1;}"][random.below(5)]),
        7 => Value::from((0..random.below(5)).map(|_| random.next() as u8).collect::<Vec<_>>()),
        8 | 9 => Value::from((0..random.below(4)).map(|_| value(random, depth + 1)).collect::<Vec<_>>()),
        _ => {
            let keys = ["a", "", "0", "1", "-7", "07", "9223372036854775807", "9223372036854775808", "é"];
            let entries = (0..random.below(5))
                .map(|_| (keys[random.below(keys.len())].to_owned(), value(random, depth + 1)));
            Value::from(entries.collect::<BTreeMap<_, _>>())
        }
    }
}

#[test]
fn php_reads_and_writes_the_values_of_rust_byte_for_byte() {
    let mut php = Php::new(PhpFormat::Php);
    for seed in 0..VALUES {
        let written = encode_php(&value(&mut Random(seed), 0)).unwrap();
        assert_eq!(php.rewrite(&written).map(|bytes| show(&bytes)), Some(show(&written)));
    }
}

#[test]
fn the_values_of_rust_come_back() {
    for seed in 0..VALUES {
        let written = encode_php(&value(&mut Random(seed), 0)).unwrap();
        let read: Value = decode_php(&written).unwrap();
        // NaN is not equal to itself, so the bytes are compared.
        assert_eq!(show(&encode_php(&read).unwrap()), show(&written));
    }
}
