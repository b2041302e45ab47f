//! 10. An event stream and a WebSocket that end with the session.
//!
//! A request's session is committed before the head of its response leaves. What goes on after that takes
//! a handle with it, which reads and changes the session as it is then, and knows when it has ended.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, Sse};
use futures_util::stream;
use steadfast::{Key, SessionHandle};

use crate::cart::CART;
use crate::page::{Answer, Fault, Page, render};
use crate::sign_in::Member;

/// How often the visitor waved, in all their tabs.
const WAVES: Key<i64> = Key::new("live.waves");

/// How often the event stream looks at the session.
const EVERY: Duration = Duration::from_secs(1);

/// The code with which the socket is closed when the session has ended; those from 4000 are our own.
const SIGNED_OUT: u16 = 4_401;

#[derive(Template)]
#[template(path = "live.html")]
struct Show {
    page: Page,
    waves: i64,
}

/// Shows the page.
pub(crate) async fn show(Member { session, .. }: Member) -> Answer {
    let waves = session.get(WAVES)?.unwrap_or_default();
    render(&Show { page: Page::new(&session, "/live")?, waves })
}

/// Streams how much is in the cart, until the visitor signs out: here, in another tab, or by revocation.
pub(crate) async fn events(Member { session, .. }: Member) -> Answer {
    let handle = session.detach().ok_or(Fault::SignInFirst)?;
    Ok(Sse::new(stream::unfold(Some(handle), next_event)).into_response())
}

async fn next_event(
    handle: Option<SessionHandle>,
) -> Option<(Result<Event, Infallible>, Option<SessionHandle>)> {
    let handle = handle?;
    let items = tokio::select! {
        () = handle.ended() => None,
        items = items_a_moment_later(&handle) => items,
    };
    Some(match items {
        Some(items) => (Ok(Event::default().event("cart").data(items.to_string())), Some(handle)),
        None => (Ok(Event::default().event("ended").data("signed out")), None),
    })
}

/// Counts what is in the cart; `None` if there is no session any more.
async fn items_a_moment_later(handle: &SessionHandle) -> Option<u32> {
    tokio::time::sleep(EVERY).await;
    let session = handle.view().await.ok()??;
    Some(session.get(CART).ok()?.unwrap_or_default().values().sum())
}

/// Talks over a socket until the visitor signs out.
pub(crate) async fn socket(
    Member { session, .. }: Member,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Answer {
    // Browsers let a page of any site open a socket to this one, with our cookie. So ask who it is.
    if !is_same_origin(&headers) {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    let handle = session.detach().ok_or(Fault::SignInFirst)?;
    Ok(upgrade.on_upgrade(move |socket| talk(socket, handle)))
}

async fn talk(mut socket: WebSocket, session: SessionHandle) {
    loop {
        let message = tokio::select! {
            () = session.ended() => {
                let frame = CloseFrame { code: SIGNED_OUT, reason: "signed out".into() };
                drop(socket.send(Message::Close(Some(frame))).await);
                return;
            }
            message = socket.recv() => message,
        };
        let Some(Ok(message)) = message else { return };
        if !matches!(message, Message::Text(_)) {
            continue;
        }
        // Counted with whatever the visitor's other tabs do meanwhile. A session that has ended in
        // this very moment is not brought back: the edit fails, and the socket closes.
        let Ok(waves) = session.edit(|session| session.increment(WAVES, 1)).await else { return };
        if socket.send(Message::text(waves.to_string())).await.is_err() {
            return;
        }
    }
}

/// Reports whether the page that opens the socket is one of this site.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, host)| text(header::HOST) == Some(host))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(origin: Option<&'static str>, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        assert_eq!(is_same_origin(&headers), expected);
    }

    #[test]
    fn only_a_page_of_this_site_may_open_a_socket() {
        check(Some("http://127.0.0.1:8080"), true);
        check(Some("http://127.0.0.1:8081"), false);
        check(Some("https://example.org"), false);
        check(Some("null"), false);
        check(None, false);
    }
}
