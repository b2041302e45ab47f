use steadfast::fuzzing::read_session_file;

/// The parts of a session file that can be read are written so that they read the same.
pub(crate) fn run(data: &[u8]) {
    read_session_file(&mut data.to_vec());
}
