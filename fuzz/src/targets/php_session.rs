use std::collections::HashSet;

use steadfast::PhpFormat;
use steadfast::fuzzing::{join_php, split_php};

/// A session that can be split is joined to one that splits into the same keys, and whatever is left out
/// or changed, what is joined can be split. The first byte says which format it is and what is left out.
pub(crate) fn run(data: &[u8]) {
    let Some((choice, session)) = data.split_first() else { return };
    let format = match choice % 3 {
        0 => PhpFormat::Php,
        1 => PhpFormat::PhpBinary,
        _ => PhpFormat::PhpSerialize,
    };
    let Some(pieces) = split_php(format, session) else { return };
    let keys: HashSet<&[u8]> = pieces.iter().map(|(key, ..)| key.as_slice()).collect();
    assert_eq!(keys.len(), pieces.len(), "each key once");
    let kept = pieces.iter().enumerate().map(|(at, (key, ..))| (key.as_slice(), Ok(at)));
    if let Ok(joined) = join_php(format, session, &kept.clone().collect::<Vec<_>>()) {
        let again = split_php(format, &joined).expect("what was joined can be split");
        assert!(again.iter().map(|(key, ..)| key).eq(pieces.iter().map(|(key, ..)| key)));
        let all: Vec<_> = again.iter().enumerate().map(|(at, (key, ..))| (key.as_slice(), Ok(at))).collect();
        assert_eq!(join_php(format, &joined, &all).expect("it was joined before"), joined);
    }
    let some = kept.filter_map(|(key, at)| match (usize::from(*choice) / 3 + at.unwrap_or(0)) % 5 {
        0 => None,
        1 => Some((key, Err(b"a:2:{i:0;i:1;i:1;R:2;}".as_slice()))),
        _ => Some((key, at)),
    });
    if let Ok(joined) = join_php(format, session, &some.collect::<Vec<_>>()) {
        assert!(split_php(format, &joined).is_some(), "what was joined can be split");
    }
}
