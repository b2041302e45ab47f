//! A browser small enough to read: it keeps one cookie and follows the cookie rules that matter here.

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt as _;

/// What a response said.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// Returns the value of the cookie that the response sets; an empty one removes it.
    pub(crate) fn cookie(&self) -> Option<String> {
        let line = self.headers.get("set-cookie")?.to_str().ok()?;
        let (_, rest) = line.split_once('=')?;
        rest.split(';').next().map(str::to_owned)
    }
}

/// A browser with one cookie.
#[derive(Clone, Default, Debug)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
}

impl Browser {
    /// Sends a request without looking at the response's cookie.
    pub(crate) async fn send(&self, app: &Router, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get(path);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("session={cookie}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Takes over the cookie of a response.
    pub(crate) fn keep(&mut self, reply: &Reply) {
        match reply.cookie() {
            Some(value) if value.is_empty() => self.cookie = None,
            Some(value) => self.cookie = Some(value),
            None => {}
        }
    }

    /// Opens a page.
    pub(crate) async fn get(&mut self, app: &Router, path: &str) -> Reply {
        let reply = self.send(app, path, &[]).await;
        self.keep(&reply);
        reply
    }
}
