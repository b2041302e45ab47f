//! 11. Parallel requests against a session that rotates, with and without protection.
//!
//! The page fires fetches and frames at a session of its own while that one's secret is replaced, and draws
//! what became of each. Every request adds one to a counter. All of them should be counted, one successor of
//! the cookie should be enough, and at the end the visitor should still be signed in.
//!
//! Switches take the protection away. This is what the library does that you don't see otherwise.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use steadfast::axum::{Exclusive, Merge};
use steadfast::{Error, Key, Policy, Rules, Session, SessionView, Sessions};

use crate::form::Posted;
use crate::page::{Answer, NOTICE, Page, render};

/// Where the sessions of the storm are kept: apart from those of the site, since some of them break.
pub const STORE: &str = "files:writable/storm";

/// When a secret has served its time. Real sites take minutes. The page waits for it before it starts.
const ROTATE_EVERY: Duration = Duration::from_millis(600);

/// How long the predecessor of a secret stays good: longer than a storm.
const FORWARD_WINDOW: Duration = Duration::from_secs(10);

/// How long a handler works between reading the session and writing it, in milliseconds.
const WORK: std::ops::Range<u64> = 20..60;

/// How long a request, and a response, are on their way through a network that is not quite there.
const NETWORK: std::ops::Range<u64> = 5..70;

const COUNT: Key<i64> = Key::new("storm.count");
const ARRIVED: Key<Vec<u32>> = Key::new("storm.arrived");

/// One choice of the switches: the rules that hold, and the sessions that live by them.
#[derive(Debug)]
struct Weather {
    /// In the addresses, and in the name of the cookie.
    name: &'static str,
    sessions: Sessions,
}

/// The sessions of the storm, one set for each choice of the switches.
#[derive(Debug)]
pub struct Arena {
    weathers: Vec<Weather>,
}

impl Arena {
    /// Opens a store for the storm.
    ///
    /// # Errors
    ///
    /// If the store can't be opened.
    pub async fn connect(store: &str) -> Result<Self, Error> {
        // Without them a commit writes over whatever others have written since it read the session.
        let mut last_writer_wins = Rules::ALL;
        last_writer_wins.conditional_writes = false;

        // Without them a replaced cookie is refused at once, and requests that overlap may each replace it.
        let mut no_forwarding = Rules::ALL;
        no_forwarding.forward_in_window = false;
        no_forwarding.forward_until_delivered = false;
        no_forwarding.one_successor_at_a_time = false;

        let mut neither = no_forwarding;
        neither.conditional_writes = false;

        let mut weathers = Vec::new();
        for (name, rules) in [
            ("protected", Rules::ALL),
            ("last-writer-wins", last_writer_wins),
            ("no-forwarding", no_forwarding),
            ("neither", neither),
        ] {
            let policy = Policy::builder()
                .cookie_name(format!("storm-{name}"))
                .dangerous_insecure_cookie() // as in `setup.rs`: for plain HTTP on this machine, no further
                .rotate_every(ROTATE_EVERY)
                .forward_window(FORWARD_WINDOW)
                .dangerous_rules(rules)
                .build()?;
            let sessions = Sessions::builder().policy(policy).connect(store).await?;
            weathers.push(Weather { name, sessions });
        }
        Ok(Self { weathers })
    }

    /// Returns the routes of the storm: the same handlers, once for each choice of the switches.
    pub(crate) fn routes(&self) -> Router {
        self.weathers.iter().fold(Router::new(), |router, Weather { name, sessions }| {
            let routes = Router::new()
                .route("/start", post(start))
                .route("/hit", post(hit))
                .route("/hit-in-turn", post(hit_in_turn))
                .route("/result", get(result))
                .layer(sessions.layer())
                .layer(from_fn(network));
            router.nest(&format!("/storm/{name}"), routes)
        })
    }

    /// Waits for what the storm's sessions still have to do.
    pub async fn shutdown(&self) {
        for weather in &self.weathers {
            weather.sessions.shutdown().await;
        }
    }
}

#[derive(Template)]
#[template(path = "storm.html")]
struct Show {
    page: Page,
}

/// Shows the page.
pub(crate) async fn show(session: Session) -> Answer {
    render(&Show { page: Page::new(&session, "/storm")? })
}

#[derive(Serialize)]
struct Started {
    csrf: String,
}

/// Signs the storm's visitor in.
///
/// It needs no token: all that a page of another site could do with it is begin a storm.
async fn start(session: Session) -> Result<Json<Started>, Error> {
    session.destroy()?;
    session.login("visitor")?;
    session.set(COUNT, 0)?;
    // Asked for after `login`: tokens don't outlive a change of privilege. They do outlive rotations.
    Ok(Json(Started { csrf: session.csrf_token()? }))
}

#[derive(Deserialize)]
struct Hit {
    number: u32,
}

/// Counts a request; those that overlap are joined.
async fn hit(Merge(session): Merge, form: Result<Posted<Hit>, Response>) -> Result<Response, Error> {
    count(&session, form).await
}

/// Counts a request; those that overlap come one after another.
async fn hit_in_turn(
    Exclusive(session): Exclusive,
    form: Result<Posted<Hit>, Response>,
) -> Result<Response, Error> {
    count(&session, form).await
}

/// What the storm is about: an ordinary handler that reads, works, and writes. Nothing in it knows of the
/// others.
async fn count(session: &Session, form: Result<Posted<Hit>, Response>) -> Result<Response, Error> {
    let (Some(_), Ok(Posted(Hit { number }))) = (session.user(), form) else {
        // As on any site: a message for the sign-in page. A message needs a session, a new session needs a
        // cookie, and that cookie takes the place of the one that was good.
        session.flash(NOTICE, "Please sign in first.".to_owned())?;
        return Ok((StatusCode::UNAUTHORIZED, "signed out").into_response());
    };
    tokio::time::sleep(a_while(WORK)).await;
    session.increment(COUNT, 1)?;
    session.push(ARRIVED, number)?;
    Ok("counted".into_response())
}

#[derive(Serialize)]
struct Outcome {
    signed_in: bool,
    count: i64,
    /// The numbers of the requests that the session knows of.
    arrived: Vec<u32>,
}

/// Tells what is left when the storm is over.
async fn result(session: SessionView) -> Result<Json<Outcome>, Error> {
    Ok(Json(Outcome {
        signed_in: session.user().is_some(),
        count: session.get(COUNT)?.unwrap_or_default(),
        arrived: session.get(ARRIVED)?.unwrap_or_default(),
    }))
}

/// Plays a network that takes its time, outside of the session layer, and tells the page what a script can't
/// see: when the server had the request, and which cookie the response sets.
async fn network(request: Request, next: Next) -> Response {
    let began = Instant::now();
    tokio::time::sleep(a_while(NETWORK)).await;
    let arrived = began.elapsed().as_millis();
    let mut response = next.run(request).await;
    let left = began.elapsed().as_millis();
    tokio::time::sleep(a_while(NETWORK)).await;

    let report = format!(
        "arrived;dur={arrived}, left;dur={left}, all;dur={}, status;desc=\"{}\", cookie;desc=\"{}\"",
        began.elapsed().as_millis(),
        response.status().as_u16(),
        fingerprint(response.headers()),
    );
    let report = HeaderValue::try_from(report).expect("numbers and hexadecimal digits are fit for a header");
    let headers = response.headers_mut();
    headers.insert("server-timing", report);
    // The storm's own page shows these in frames.
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'self'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Returns a few digits that tell one cookie from another, and nothing else of it; none without a cookie.
fn fingerprint(headers: &HeaderMap) -> String {
    let Some(cookie) = headers.get(header::SET_COOKIE) else { return String::new() };
    let mut hasher = DefaultHasher::new();
    cookie.as_bytes().split(|byte| *byte == b';').next().hash(&mut hasher);
    format!("{:04x}", hasher.finish() & 0xffff)
}

fn a_while(milliseconds: std::ops::Range<u64>) -> Duration {
    let span = milliseconds.end - milliseconds.start;
    Duration::from_millis(milliseconds.start + crate::random() % span)
}
