//! 2. What all pages share: who is there, the message that the last form left, and the headers.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use steadfast::{Clock as _, CommitError, ErrorKind, Key, Metadata, Session, SystemClock, Timestamp};

use crate::sign_in::User;

/// The message for the next page, after a form was posted.
pub(crate) const NOTICE: Key<String> = Key::new("notice");

/// A stop of the tour, as the navigation shows it.
#[derive(Debug)]
pub struct Stop {
    pub(crate) path: &'static str,
    pub(crate) title: &'static str,
    /// The module that makes the page, shown below it.
    pub(crate) file: &'static str,
    pub(crate) source: &'static str,
}

macro_rules! stop {
    ($path:literal, $title:literal, $file:literal) => {
        Stop { path: $path, title: $title, file: concat!("demo/src/", $file), source: include_str!($file) }
    };
}

static TOUR: [Stop; 9] = [
    stop!("/", "Welcome", "setup.rs"),
    stop!("/sign-in", "Sign in", "sign_in.rs"),
    stop!("/cart", "Cart", "cart.rs"),
    stop!("/profile", "Profile", "profile.rs"),
    stop!("/download", "Download", "download.rs"),
    stop!("/code", "One-time code", "code.rs"),
    stop!("/devices", "Devices", "devices.rs"),
    stop!("/live", "Live", "live.rs"),
    stop!("/storm", "Storm", "storm.rs"),
];

/// What every page shows beside its own content.
#[derive(Debug)]
pub struct Page {
    pub(crate) tour: &'static [Stop],
    pub(crate) here: &'static Stop,
    pub(crate) user: Option<&'static User>,
    pub(crate) notice: Option<String>,
    session: Session,
    pub(crate) facts: Option<Facts>,
}

/// What the foot of the page tells of the session.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The 8 digits that stand for it in logs. They open nothing.
    pub(crate) tag: String,
    pub(crate) began: String,
    pub(crate) rotated: String,
    pub(crate) persistent: bool,
}

impl From<Metadata> for Facts {
    fn from(metadata: Metadata) -> Self {
        Self {
            began: ago(metadata.created_at),
            rotated: ago(metadata.rotated_at),
            persistent: metadata.persistent,
            tag: metadata.tag,
        }
    }
}

impl Page {
    /// Gathers it from the session.
    pub(crate) fn new(session: &Session, path: &'static str) -> Result<Self, Fault> {
        let here = TOUR.iter().find(|stop| stop.path == path).unwrap_or(&TOUR[0]);
        Ok(Self {
            tour: &TOUR,
            here,
            user: session.user().and_then(|id| User::find(&id)),
            // A flash value is there for one page. A reload of that page does not show it again.
            notice: session.flash_get(NOTICE)?,
            facts: session.metadata().map(Facts::from),
            session: session.clone(),
        })
    }

    /// Returns a token for a form: `form.rs` asks for it when the form comes back.
    ///
    /// It belongs to a session, so a visitor who has none gets one. A page without a form makes none.
    pub(crate) fn csrf(&self) -> steadfast::Result<String> {
        self.session.csrf_token()
    }
}

/// Reports whether a path is one of the pages of the tour.
pub(crate) fn is_stop(path: &str) -> bool {
    TOUR.iter().any(|stop| stop.path == path)
}

/// Makes a response of a template. The templates escape whatever they show.
pub(crate) fn render(template: &impl Template) -> Answer {
    Ok(Html(template.render().map_err(Fault::Template)?).into_response())
}

/// Leaves a message for the next page, and sends the browser there.
///
/// The answer to a posted form is always a redirect, so that reloading the page posts nothing again.
pub(crate) fn redirect_with(session: &Session, notice: &str, path: &str) -> Answer {
    session.flash(NOTICE, notice.to_owned())?;
    Ok(Redirect::to(path).into_response())
}

/// Tells in words how long ago something was.
pub(crate) fn ago(then: Timestamp) -> String {
    let seconds = SystemClock.now().saturating_since(then).as_secs();
    match seconds {
        0..=4 => "just now".to_owned(),
        5..=90 => format!("{seconds} seconds ago"),
        91..=5_400 => format!("{} minutes ago", (seconds + 30) / 60),
        5_401..=172_800 => format!("{} hours ago", (seconds + 1_800) / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// What a handler answers.
pub(crate) type Answer = Result<Response, Fault>;

/// Why there is no page.
#[derive(Debug)]
pub enum Fault {
    /// The session failed. The error knows its status.
    Session(steadfast::Error),
    /// A template failed.
    Template(askama::Error),
    /// The form came without the token of the visitor's session, or can't be read.
    Form(&'static str),
    /// The page is for members.
    SignInFirst,
}

impl From<steadfast::Error> for Fault {
    fn from(error: steadfast::Error) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Session(error) => failure(error.kind()),
            Self::Template(_) => failure(ErrorKind::Codec),
            Self::Form(text) => apology(StatusCode::FORBIDDEN, "That form is out of date", text),
            Self::SignInFirst => Redirect::to("/sign-in").into_response(),
        }
    }
}

#[derive(Template)]
#[template(path = "apology.html")]
struct Apology<'a> {
    title: &'a str,
    text: &'a str,
}

/// Makes a page that says what went wrong. It shows no session, because there may be none.
pub(crate) fn apology(status: StatusCode, title: &str, text: &str) -> Response {
    match (Apology { title, text }).render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(_) => status.into_response(),
    }
}

fn failure(kind: ErrorKind) -> Response {
    let status = StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (title, text) = match status {
        StatusCode::CONFLICT => (
            "Your session changed meanwhile",
            "Another request was first, and nothing of it was overwritten. Go back, reload, and try again.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => {
            ("Sessions are not available", "The store does not answer. Please try again in a moment.")
        }
        _ => ("Something went wrong", "It is our fault. Please go back and try again."),
    };
    let mut response = apology(status, title, text);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Answers where there is no page.
pub(crate) async fn nothing_here() -> Response {
    apology(StatusCode::NOT_FOUND, "There is nothing here", "The link is old, or has a typing error.")
}

/// Puts a page in the place of the empty response that a failed commit leaves.
///
/// A handler's response says "saved". If the session could not be written, the layer does not let it out.
pub(crate) async fn explain_failed_commits(request: Request, next: Next) -> Response {
    let (mut parts, body) = next.run(request).await.into_parts();
    let Some(CommitError(error)) = parts.extensions.remove() else {
        return Response::from_parts(parts, body);
    };
    let mut page = failure(error.kind());
    page.headers_mut().extend(parts.headers);
    page
}

/// Nothing but this site's own files, and no page of it in anybody's frame.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Sets the headers that every response carries. The session layer has set `Cache-Control: no-store` on
/// those that belong to one visitor.
pub(crate) async fn security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(CONTENT_SECURITY_POLICY);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
