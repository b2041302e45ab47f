//! A small site on Steadfast, to be read as a tutorial.
//!
//! Its modules stand in the order of a visit; read them from the top:
//!
//! 1. [`setup`]: a policy, a store, and the sessions they make.
//! 2. [`page`]: what all pages share: who is there, the message of the last form, the headers.
//! 3. [`form`]: a posted form, with its token against forged requests checked before anything else.
//! 4. [`sign_in`]: signing in and out, "remember me", and pages that are for members.
//! 5. [`cart`]: a cart that two tabs can fill at the same time.
//! 6. [`profile`]: a form that answers with a redirect and a message.
//! 7. [`download`]: a link that works once.
//! 8. [`code`]: a code that is gone after a minute.
//! 9. [`devices`]: where one is signed in, and ending it there.
//! 10. [`live`]: an event stream and a WebSocket that end with the session.
//! 11. [`storm`]: parallel requests against a session that rotates, with and without protection.

mod assets;
pub mod cart;
pub mod code;
pub mod devices;
pub mod download;
pub mod form;
pub mod live;
pub mod page;
pub mod profile;
pub mod setup;
pub mod sign_in;
pub mod storm;

use axum::middleware::{from_fn, map_response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use steadfast::Sessions;

/// Makes the site.
///
/// `sessions` are those of its visitors. The storm page has sessions of its own, because it breaks some of
/// them on purpose.
pub fn site(sessions: &Sessions, storm: &storm::Arena) -> Router {
    let pages = Router::new()
        .route("/", get(sign_in::home))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/cart", get(cart::show).post(cart::change))
        .route("/profile", get(profile::show).post(profile::save))
        .route("/download", get(download::show).post(download::make))
        .route("/download/{ticket}", get(download::fetch))
        .route("/code", get(code::show).post(code::make))
        .route("/code/check", post(code::check))
        .route("/devices", get(devices::show).post(devices::sign_out_one))
        .route("/devices/others", post(devices::sign_out_others))
        .route("/live", get(live::show))
        .route("/live/events", get(live::events))
        .route("/live/socket", get(live::socket))
        .route("/storm", get(storm::show))
        // From here up there are sessions. A route whose handler takes none costs nothing.
        .layer(sessions.layer());

    pages
        .merge(storm.routes())
        .merge(assets::routes())
        .fallback(page::nothing_here)
        // `Sessions` is a cheap handle; the page of devices asks it for the other sessions of a user.
        .layer(Extension(sessions.clone()))
        .layer(from_fn(page::explain_failed_commits))
        .layer(map_response(page::security_headers))
}

/// Returns 64 bits that nobody can guess.
fn random() -> u64 {
    getrandom::u64().expect("the operating system has random numbers")
}
