//! Requests without a network: straight into the router, on one thread.

use axum::Router;
use axum::body::Body;
use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderValue, Request};
use tower::Service as _;

use crate::Result;
use crate::app;

/// Sessions that take turns.
const SESSIONS: usize = 16;

/// Sends requests to one route.
///
/// # Errors
///
/// If one of them fails.
pub(crate) async fn requests(server: &str, request: &str, count: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let driver = if server == "files" { server } else { "memory" };
    let sessions = app::sessions(driver, folder.path()).await?;
    let mut app = app::base().merge(app::routes(driver, &sessions));
    let mut cookies = Vec::new();
    for _ in 0..SESSIONS {
        cookies.push(start(&mut app, driver).await?);
    }
    let path = format!("/{server}/{request}");
    for cookie in cookies.iter().cycle().take(count) {
        send(&mut app, &path, Some(cookie)).await?;
    }
    Ok(())
}

/// Sends a request, with a cookie or without, and returns the cookie that the response sets.
async fn send(app: &mut Router, path: &str, cookie: Option<&HeaderValue>) -> Result<Option<HeaderValue>> {
    let mut request = Request::get(path).header(USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)");
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    // A router is always ready.
    let response = app.call(request.body(Body::empty())?).await?;
    if !response.status().is_success() {
        return Err(format!("{path}: {}", response.status()).into());
    }
    let Some(line) = response.headers().get(SET_COOKIE) else { return Ok(None) };
    let pair = line.to_str()?.split(';').next().unwrap_or_default();
    Ok(Some(HeaderValue::from_str(pair)?))
}

/// Starts a session and returns its cookie.
async fn start(app: &mut Router, driver: &str) -> Result<HeaderValue> {
    let cookie = send(app, &format!("/{driver}/start"), None).await?;
    Ok(cookie.ok_or("the session was given no cookie")?)
}
