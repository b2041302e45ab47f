//! What a request is for: a page that a person gets to see, or something that runs behind one.

use super::Headers;
use crate::ows::trim;

/// Whether a person gets to see what a request answers.
///
/// Values for the next request wait for the next page: one that runs behind it reads them and leaves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// A page, in a window or in a frame, and everything that does not say what it is.
    Page,
    /// A script's request, a part of a page, or a page that is fetched in case it is wanted.
    Background,
}

/// Tells pages from background requests.
///
/// In this order: a prefetch or prerender is background; so is what says `X-Requested-With:
/// XMLHttpRequest`; then `Sec-Fetch-Dest` and `Sec-Fetch-Mode` decide, where only navigations of a window
/// or a frame are pages. A frame counts because whole applications live in one, and their messages would
/// otherwise never age. Without these headers (old browsers, plain HTTP) a request is a page.
pub(crate) fn request_kind(headers: &impl Headers) -> RequestKind {
    let prefetch = ["sec-purpose", "purpose", "x-moz"]
        .into_iter()
        .any(|name| headers.all(name).any(|value| first_word(value).eq_ignore_ascii_case(b"prefetch")));
    let script =
        headers.all("x-requested-with").any(|value| trim(value).eq_ignore_ascii_case(b"XMLHttpRequest"));
    if prefetch || script || !navigates(headers) {
        return RequestKind::Background;
    }
    RequestKind::Page
}

fn navigates(headers: &impl Headers) -> bool {
    let is =
        |name, pages: &[&[u8]]| headers.all(name).next().is_none_or(|value| pages.contains(&trim(value)));
    is("sec-fetch-dest", &[b"document", b"iframe", b"frame", b"fencedframe"])
        && is("sec-fetch-mode", &[b"navigate", b"nested-navigate"])
}

/// Returns what stands before parameters and further items: `prefetch` of `prefetch;prerender`.
fn first_word(value: &[u8]) -> &[u8] {
    trim(value.split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: RequestKind) {
        assert_eq!(request_kind(&headers.to_vec()), expected);
    }

    #[track_caller]
    fn check_page(headers: &[(&str, &str)]) {
        check(headers, RequestKind::Page);
    }

    #[track_caller]
    fn check_background(headers: &[(&str, &str)]) {
        check(headers, RequestKind::Background);
    }

    #[test]
    fn a_request_that_does_not_say_what_it_is_counts_as_a_page() {
        check_page(&[]);
        check_page(&[("accept", "application/json"), ("sec-fetch-site", "same-origin")]);
    }

    #[test]
    fn navigations_of_windows_and_frames_are_pages() {
        for dest in ["document", "iframe", "frame"] {
            check_page(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)]);
        }
        check_page(&[("sec-fetch-mode", "navigate")]);
        check_page(&[("sec-fetch-mode", "nested-navigate"), ("sec-fetch-dest", "iframe")]);
        check_page(&[("sec-fetch-dest", "document")]);
    }

    #[test]
    fn scripts_and_parts_of_a_page_are_background() {
        check_background(&[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]);
        check_background(&[("sec-fetch-mode", "same-origin")]);
        check_background(&[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]);
        check_background(&[("sec-fetch-mode", "websocket"), ("sec-fetch-dest", "websocket")]);
        check_background(&[("sec-fetch-dest", "script")]);
        check_background(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "embed")]);
        check_background(&[("x-requested-with", "XMLHttpRequest")]);
        check_background(&[("x-requested-with", "xmlhttprequest"), ("sec-fetch-mode", "navigate")]);
    }

    #[test]
    fn other_senders_than_scripts_in_x_requested_with_are_not_background() {
        // Android's web views put the name of the application there.
        check_page(&[("x-requested-with", "com.example.app")]);
    }

    #[test]
    fn a_page_fetched_in_case_it_is_wanted_is_background() {
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", " prefetch ; anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
        ] {
            check_background(&[
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
                (name, value),
            ]);
        }
        check_page(&[("purpose", "prefetched")]);
    }
}
