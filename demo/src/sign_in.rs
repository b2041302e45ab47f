//! 4. Signing in and out, "remember me", and pages that are for members only.

use std::time::Duration;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use steadfast::{Key, Session};

use crate::form::{JustAButton, Posted};
use crate::page::{self, Answer, Fault, NOTICE, Page, redirect_with, render};

/// Somebody who can sign in.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    /// What the session is bound to. An id, not a name: names change.
    pub id: &'static str,
    /// What the pages call them.
    pub name: &'static str,
    /// In the clear, as it stands on the page. A real site keeps what Argon2 makes of it.
    pub password: &'static str,
}

/// Everybody who can sign in.
pub static USERS: [User; 2] = [
    User { id: "ada", name: "Ada Lovelace", password: "analytical engine" },
    User { id: "grace", name: "Grace Hopper", password: "nanosecond" },
];

impl User {
    /// Returns the user with an id.
    pub fn find(id: &str) -> Option<&'static Self> {
        USERS.iter().find(|user| user.id == id)
    }
}

/// Where a visitor wanted to go when they were asked to sign in.
///
/// It is kept in the session and not in the address, so nobody can send a visitor elsewhere with a link.
const NEXT: Key<String> = Key::new("sign_in.next");

/// How long a visitor may take to sign in and still come out where they wanted to go.
const NEXT_TTL: Duration = Duration::from_secs(600);

/// Where signing in leads otherwise.
const HOME: &str = "/";

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    page: Page,
    users: &'static [User],
}

/// Shows the first page.
pub(crate) async fn home(session: Session) -> Answer {
    render(&Home { page: Page::new(&session, HOME)? })
}

/// Shows the form.
pub(crate) async fn show(session: Session) -> Answer {
    render(&SignIn { page: Page::new(&session, "/sign-in")?, users: &USERS })
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Credentials {
    user: String,
    password: String,
    /// There if the box was ticked.
    remember: Option<String>,
}

/// Signs in.
pub(crate) async fn sign_in(session: Session, Posted(form): Posted<Credentials>) -> Answer {
    let user = User::find(&form.user).filter(|user| user.password == form.password);
    let Some(user) = user else {
        return redirect_with(&session, "That name and that password do not belong together.", "/sign-in");
    };
    // Read once: the next sign-in goes where it wants to.
    let next = session.take(NEXT)?.unwrap_or_else(|| HOME.to_owned());

    // What a guest has put into the session is theirs when they sign in. What another user has is not.
    if session.user().is_some_and(|before| before != user.id) {
        session.destroy()?;
    }
    // The session goes on under a new key, with all it holds. Whoever knew the cookie before, because they
    // planted it or stole it, is left behind.
    session.login(user.id)?;
    // The cookie outlives the browser, or it doesn't; each choice has timeouts of its own in the policy.
    session.remember(form.remember.is_some())?;
    redirect_with(&session, &format!("Welcome aboard, {}.", user.name), &next)
}

/// Signs out.
pub(crate) async fn sign_out(session: Session, _: Posted<JustAButton>) -> Answer {
    // The record is deleted: no other copy of the cookie opens anything, and no request that is still
    // running brings it back.
    session.logout()?;
    // What is set after that begins a fresh session. The browser gets another cookie with it, and that is
    // what makes Chromium forget the pages it has kept for the back button; `assets/page.js` does it for
    // the others. (`Clear-Site-Data: "cache"` would be the header for it, but it does not promise to cover
    // those pages, is ignored on plain HTTP, and holds Chromium up for seconds.)
    redirect_with(&session, "You are signed out. The back button shows nothing of yours.", HOME)
}

/// A visitor who is signed in: an extractor, for pages that are for members only.
#[derive(Debug)]
pub struct Member {
    /// Who it is.
    pub user: &'static User,
    /// Their session.
    pub session: Session,
}

impl<S: Sync> FromRequestParts<S> for Member {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state).await;
        let session = session.map_err(|error| Fault::from(error).into_response())?;
        match session.user().and_then(|id| User::find(&id)) {
            Some(user) => Ok(Self { user, session }),
            None => Err(ask_to_sign_in(&session, parts).unwrap_or_else(|fault| fault.into_response())),
        }
    }
}

/// Notes where the visitor wanted to go, and sends them to the form.
fn ask_to_sign_in(session: &Session, parts: &Parts) -> Answer {
    // Pages only: a stream or a download would be an odd place to come out at.
    let path = parts.uri.path();
    if parts.method == Method::GET && page::is_stop(path) {
        session.set_temp(NEXT, path.to_owned(), NEXT_TTL)?;
    }
    session.flash(NOTICE, "Please sign in first.".to_owned())?;
    Ok(Redirect::to("/sign-in").into_response())
}
