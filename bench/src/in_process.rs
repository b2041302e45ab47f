//! Requests without a network: straight into the router.

use axum::Router;
use axum::body::Body;
use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderValue, Request};
use tower::Service as _;

use crate::Result;

/// Sends a request, with a cookie or without, and returns the cookie that the response sets.
pub(crate) async fn send(
    app: &mut Router,
    path: &str,
    cookie: Option<&HeaderValue>,
) -> Result<Option<HeaderValue>> {
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
