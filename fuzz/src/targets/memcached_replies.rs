use steadfast::fuzzing::read_memcached_replies;

/// A stream of replies is read alike however it arrives, and never with a panic.
pub(crate) fn run(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    read_memcached_replies(stream, usize::from(*cut));
}
