//! The keys of a shared session that belong to the frameworks on both sides, not to the application.

/// CodeIgniter's table of flash and temp markers.
pub(super) const MARKERS: &[u8] = b"__ci_vars";

/// CodeIgniter's time of the last change of the id, in seconds since 1970.
pub(super) const REGENERATED: &[u8] = b"__ci_last_regenerate";

/// In a copy that a rotation left behind: the id under which the session goes on.
pub(super) const NEW_ID: &[u8] = b"sess_new_id";

/// In a copy that was left behind: until when, in seconds since 1970.
pub(super) const LEFT_UNTIL: &[u8] = b"fwd_expires";

/// In a copy that was left behind: of which id it is one. PHP's own changes of id carry all keys along.
pub(super) const LEFT_OF: &[u8] = b"__steadfast_left";

/// What begins with this is ours.
const OURS: &[u8] = b"__steadfast_";

/// Where a session came from by its last change of id, for as long as the copy there may be written to.
pub(super) const ORIGIN: &[u8] = b"__steadfast_origin";

/// The secret of the session's CSRF tokens, once the id from which it was made has changed.
pub(super) const CSRF: &[u8] = b"__steadfast_csrf";

/// Reports whether a key is not the application's to set.
pub(crate) fn is_reserved(key: &[u8]) -> bool {
    [MARKERS, REGENERATED, NEW_ID, LEFT_UNTIL].contains(&key) || key.starts_with(OURS)
}
