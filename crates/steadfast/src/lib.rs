//! Sessions that stay: the session layer for Rust web servers that never loses a session.
//!
//! - No acknowledged write is lost silently, however many requests of one visitor overlap.
//! - No session comes back from the dead after it was signed out, revoked or purged.
//! - No rotation of the cookie signs anybody out, not even if a response is lost on the way.
//! - When something outside breaks, the error says what, in bounded time, and nothing is overwritten.
//!
//! # Quick start
//!
//! ```no_run
//! # #[cfg(all(unix, feature = "axum", feature = "files"))] mod example {
//! use axum::{Router, routing::get};
//! use steadfast::{Session, SessionLayer};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let sessions = SessionLayer::connect("files:writable/sessions").await?;
//!     let app = Router::new().route("/", get(count)).layer(sessions);
//!     axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, app).await?;
//!     Ok(())
//! }
//!
//! async fn count(session: Session) -> Result<String, steadfast::Error> {
//!     let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
//!     session.set("visits", visits)?;
//!     Ok(format!("visit {visits}"))
//! }
//! # }
//! ```
//!
//! The extractor loads the session, so no access to a value waits for the store. What the handler did is
//! staged, and written by one commit before the head of the response leaves; if that fails, the response is
//! replaced by a 503 or 409. A visitor who writes nothing gets no cookie and costs no record.
//!
//! # The type in the signature says how a handler shares the session
//!
//! As `&` and `&mut` do:
//!
//! - A handler that takes no session costs no store call.
//! - [`SessionView`] reads. It waits for nobody and holds up nobody.
//! - [`Session`] reads and writes, in the [`Concurrency`] mode of the [`Policy`].
//! - [`axum::Exclusive`] and [`axum::Merge`], or those of `actix`, choose the mode for one handler. *Exclusive* handlers of one
//!   session run one after another; of *merged* ones, what each did is joined key by key.
//!
//! Middleware takes the session with [`session`] or [`session_view`]; on actix-web it extracts it. All that one request takes is one and
//! the same, so its parts can't wait for each other.
//!
//! # Values
//!
//! [`get`](Session::get) and [`set`](Session::set) take a plain text or a typed [`Key`]; a value is anything
//! that serde can encode, and one of the wrong type is an error, never `None`. What
//! [`increment`](Session::increment), [`push`](Session::push) and [`update`](Session::update) do counts in
//! both modes, however many requests overlap. Three kinds of values end by themselves:
//!
//! | kind | lasts | |
//! |---|---|---|
//! | flash | through the next page | [`flash`](Session::flash), [`flash_get`](Session::flash_get), [`keep_flash`](Session::keep_flash) |
//! | temp | for a time of its own | [`set_temp`](Session::set_temp), [`temp_get`](Session::temp_get), [`mark_temp`](Session::mark_temp) |
//! | read once | until somebody takes it | [`set`](Session::set), then [`take`](Session::take) |
//!
//! # Who is signed in
//!
//! [`login`](Session::login) binds the session to a user, under a new key that no earlier cookie opens.
//! [`rotate`](Session::rotate) does the same for a step-up, [`logout`](Session::logout) ends the session, and
//! [`remember`](Session::remember) lets the cookie outlive the browser. [`csrf_token`](Session::csrf_token) and
//! [`verify_csrf`](Session::verify_csrf) are for forms. In between, the secret in the cookie is replaced every
//! few minutes; requests that are under way with the old one are forwarded.
//!
//! [`Sessions`] is the handle for everything that is not a request: a user's devices
//! ([`sessions_of`](Sessions::sessions_of)), signing them out everywhere ([`revoke`](Sessions::revoke)), a clean
//! end ([`shutdown`](Sessions::shutdown)).
//!
//! # Sockets, streams and jobs
//!
//! After the head of a response has left, writes are [`Closed`](ErrorKind::Closed). What goes on takes a
//! [`SessionHandle`], which outlives rotations and ends with the session:
//!
//! ```
//! use std::time::Duration;
//! use steadfast::{Result, SessionHandle};
//!
//! /// Sends the number of unread messages until the visitor signs out. `session.detach()` made the handle.
//! async fn unread(session: SessionHandle, send: impl Fn(u32)) -> Result<()> {
//!     loop {
//!         tokio::select! {
//!             () = session.ended() => return Ok(()),
//!             () = tokio::time::sleep(Duration::from_secs(10)) => {}
//!         }
//!         let Some(now) = session.view().await? else { return Ok(()) };
//!         send(now.get("unread")?.unwrap_or(0));
//!     }
//! }
//! ```
//!
//! # Beside a PHP site
//!
//! With the feature `php`, a [`Layout`] other than the native one opens the live sessions of a CodeIgniter or PHP
//! site: the same cookie, record, format and lock. When PHP serves no route any more,
//! [`migrate_from`](SessionsBuilder::migrate_from) moves them while the site runs. How a site gets there is in the
//! guide to [moving].
//!
//! # Failures
//!
//! An [`Error`] has an [`ErrorKind`] to decide by, and says what failed and what to do; it never holds a key, a
//! secret or a value. As a response it is 503 where another try can help, 409 where the request lost against
//! another one, else 500. A handler that takes `Result<Session, steadfast::Error>` lives through an outage of the
//! store. Everything that happens is an [`Event`], for `tracing`, `metrics` and a listener of your own.
//!
//! # Tests
//!
//! With the feature `testing`, the module `testing` has a browser without a network, prepared sessions, a clock
//! that a test moves and a store that fails on command. With `conformance`, a driver of your own is checked by
//! the suite that ours pass.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|:-:|---|
//! | `axum` | yes | the extractors; includes `tower` |
//! | `tower` | | [`SessionLayer`], for anything tower |
//! | `actix` | | [`SessionLayer`] and the extractors, for actix-web |
//! | `files` | yes | `store::files`, on Unix |
//! | `sqlite` | | `store::sqlite`, with the engine |
//! | `redis` | | `store::redis`, for Redis and Valkey; with `tls` also `rediss://` |
//! | `postgres` | | `store::postgres` |
//! | `mysql` | | `store::mysql`, for MySQL and MariaDB |
//! | `memcached` | | `store::memcached` |
//! | `tls` | | TLS to Redis, PostgreSQL and MySQL |
//! | `sealed` | | [`KeyRing`]: records sealed at rest |
//! | `cookie` | | sessions that travel in cookies; includes `sealed` |
//! | `json` | | JSON as the encoding of values, beside MessagePack |
//! | `php` | | the [`Layout`]s that are shared with CodeIgniter and PHP, `store::php`, and PHP's formats |
//! | `config` | | `Settings` from TOML and the environment; with `php` from the configuration of CodeIgniter and PHP |
//! | `tracing` | yes | events as log lines |
//! | `metrics` | | events as counters, through the `metrics` facade |
//! | `testing` | | tools for the tests of applications |
//! | `conformance` | | the suite that every driver passes |
//! | `dangerous-protocol` | | `Rules`: single rules of the protocol switched off, for tests |
//!
//! # Further reading
//!
//! In the repository: [guarantees] and what can't be guaranteed, [configuration], [drivers], [testing], [operations]
//! for the person on call, [CodeIgniter's names](https://github.com/steadfast-rs/steadfast/blob/main/docs/from-codeigniter.md)
//! and their counterparts, what is [shared with PHP][layouts], the [architecture].
//!
//! [guarantees]: https://github.com/steadfast-rs/steadfast/blob/main/docs/guarantees.md
//! [configuration]: https://github.com/steadfast-rs/steadfast/blob/main/docs/configuration.md
//! [drivers]: https://github.com/steadfast-rs/steadfast/blob/main/docs/drivers/README.md
//! [testing]: https://github.com/steadfast-rs/steadfast/blob/main/docs/testing.md
//! [operations]: https://github.com/steadfast-rs/steadfast/blob/main/docs/operations.md
//! [layouts]: https://github.com/steadfast-rs/steadfast/blob/main/docs/layouts/README.md
//! [moving]: https://github.com/steadfast-rs/steadfast/blob/main/docs/moving-from-codeigniter.md
//! [architecture]: https://github.com/steadfast-rs/steadfast/blob/main/ARCHITECTURE.md

// The way of a request through the crate has its end in the adaptors.
#![cfg_attr(
    not(any(feature = "actix", feature = "tower")),
    expect(dead_code, unused_imports, reason = "without an adaptor nobody reads a request")
)]

// In the order of the data's way: from the request to the store, and back.
#[cfg(any(feature = "actix", feature = "tower"))]
mod adaptor;
mod carrier;
mod client;
mod cookie;
mod token;

mod layout;
mod lifecycle;
#[cfg(test)]
mod model;
mod plan;
mod rules;

mod codec;
mod record;
mod session;

mod handle;
mod sessions;

#[cfg(feature = "sealed")]
mod seal;
pub mod store;

#[cfg(feature = "config")]
mod config;
mod error;
mod events;
mod hex;
mod ows;
mod policy;
mod random;
mod time;

#[cfg(all(doctest, unix))]
#[cfg(all(
    feature = "actix",
    feature = "axum",
    feature = "config",
    feature = "conformance",
    feature = "files",
    feature = "php",
    feature = "testing"
))]
mod pages;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(feature = "testing", feature = "conformance"))]
pub mod testing;

#[cfg(feature = "actix")]
pub use adaptor::actix;
#[cfg(feature = "axum")]
pub use adaptor::axum;
#[cfg(any(feature = "actix", feature = "tower"))]
pub use adaptor::{CommitError, SessionLayer};
#[cfg(feature = "tower")]
pub use adaptor::{PeerAddr, SessionService, session, session_view};
pub use client::{Cidr, ProxyHeader};
#[cfg(feature = "php")]
pub use codec::PhpObject;
pub use codec::Value;
#[cfg(feature = "config")]
pub use config::Settings;
pub use error::{Error, ErrorKind, Result, chain};
pub use events::{Anomaly, Event, EventKind};
pub use handle::SessionHandle;
pub use policy::{Codec, Concurrency, IpMatch, Layout, OnServerError, Policy, PolicyBuilder, SameSite};
#[cfg(feature = "php")]
pub use policy::{PhpFormat, PhpIds};
pub use record::Mark;
#[cfg(feature = "dangerous-protocol")]
pub use rules::Rules;
#[cfg(feature = "sealed")]
pub use seal::KeyRing;
pub use session::{Key, KeyFor, Metadata, Session, SessionView};
pub use sessions::{Imported, Revoked, SessionInfo, Sessions, SessionsBuilder, UserSessions};
pub use time::{Clock, SystemClock, Timestamp};
