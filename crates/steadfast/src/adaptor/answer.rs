//! What a response tells about its session: cookies, caching, and why there is none.

use std::borrow::Cow;

use crate::error::ErrorKind;

/// How long a client is to wait before it tries again, in seconds.
const RETRY_AFTER: &str = "1";

/// The status with which another try may help: 503 Service Unavailable.
const UNAVAILABLE: u16 = 503;

/// The headers that sessions read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    CacheControl,
    RetryAfter,
    SetCookie,
    Vary,
}

/// The head of a response, as a framework has it.
pub(super) trait ResponseHead {
    /// Sets the status, which is one of this library's.
    fn set_status(&mut self, status: u16);

    /// Returns the values of all lines of a header.
    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]>;

    /// Adds a line of a header, which is text of a header.
    fn append(&mut self, field: Field, value: Cow<'static, str>);
}

/// Gives a response the status of an error, and says when another try may help.
pub(super) fn refuse(head: &mut impl ResponseHead, kind: ErrorKind) {
    let status = kind.http_status();
    head.set_status(status);
    if status == UNAVAILABLE {
        head.append(Field::RetryAfter, RETRY_AFTER.into());
    }
}

/// Returns what a visitor is told of an error; what failed is for the log.
#[cfg(any(feature = "actix", feature = "axum"))]
pub(super) fn sentence(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Stale | ErrorKind::Superseded | ErrorKind::Missing => {
            "Your session changed meanwhile. Please reload the page."
        }
        _ if kind.http_status() == UNAVAILABLE => {
            "Sessions are not available at the moment. Please try again."
        }
        _ => "Something went wrong on our side.",
    }
}

/// Finishes the head of a response whose session was committed, with the `Set-Cookie` headers it is to have.
pub(super) fn committed(head: &mut impl ResponseHead, cookies: impl Iterator<Item = String>) {
    cookies.for_each(|cookie| head.append(Field::SetCookie, cookie.into()));
    keep_private(head);
}

/// Makes the head of the empty response that replaces the handler's, whose session could not be committed.
pub(super) fn not_committed(head: &mut impl ResponseHead, kind: ErrorKind) {
    refuse(head, kind);
    keep_private(head);
}

/// Keeps a response that belongs to one visitor out of caches.
fn keep_private(head: &mut impl ResponseHead) {
    let varies = head.values(Field::Vary).any(|value| {
        value
            .split(|b| *b == b',')
            .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"cookie") || name.trim_ascii() == b"*")
    });
    if !varies {
        head.append(Field::Vary, "cookie".into());
    }
    let says_nothing = head.values(Field::CacheControl).next().is_none();
    if says_nothing {
        head.append(Field::CacheControl, "no-store".into());
    }
}
