//! The routes on Steadfast.

use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::routing::get;
use steadfast::{Concurrency, Error, Policy, Session, SessionView, Sessions, SessionsBuilder};
use steadfast_bench_routes::{Profile, View, Visit, answer_view, axum_routes, fill, sleep};

use crate::Result;

const LIFETIME: Duration = Duration::from_secs(86_400);

/// Returns the settings of what is measured.
pub(crate) fn settings(concurrency: Concurrency) -> Result<SessionsBuilder, Error> {
    let policy = Policy::builder()
        .concurrency(concurrency)
        .idle_timeout(LIFETIME)
        .absolute_timeout(7 * LIFETIME)
        .dangerous_insecure_cookie()
        .build()?;
    Ok(Sessions::builder().policy(policy))
}

/// Makes the routes in merge mode.
pub(crate) fn merged(sessions: &Sessions) -> Router {
    axum_routes!(Session, Merged).route("/view", get(view)).layer(sessions.layer())
}

/// Makes the routes in exclusive mode.
pub(crate) fn exclusive(sessions: &Sessions) -> Router {
    axum_routes!(Session, Exclusive).layer(sessions.layer())
}

async fn view(RawQuery(query): RawQuery, session: SessionView) -> impl axum::response::IntoResponse {
    answer_view(query.as_deref(), &mut ReadOnly(session)).await
}

struct ReadOnly(SessionView);

impl View for ReadOnly {
    type Error = Error;

    async fn number(&mut self, key: &str) -> Result<Option<u64>, Error> {
        self.0.get(key)
    }

    fn status(error: &Error) -> u16 {
        error.kind().http_status()
    }
}

/// The two modes. Their extractors are the same, the policy tells them apart; they differ in what suits a counter: under the session's lease a value is read and set, and
/// where changes are merged, it is changed by a step.
macro_rules! mode {
    ($name:ident $($add_one:tt)*) => {
        pub(super) struct $name(pub(super) Session);

        impl View for $name {
            type Error = Error;

            async fn number(&mut self, key: &str) -> Result<Option<u64>, Error> {
                self.0.get(key)
            }

            fn status(error: &Error) -> u16 {
                error.kind().http_status()
            }
        }

        impl Visit for $name {
            async fn set(&mut self, key: &str, number: u64) -> Result<(), Error> {
                self.0.set(key, number)
            }

            async fn sign_in(&mut self, profile: Profile) -> Result<(), Error> {
                self.0.rotate()?;
                fill!(profile, |key, value| self.0.set(key, value)?);
                Ok(())
            }

            async fn sign_out(&mut self) -> Result<(), Error> {
                self.0.destroy()
            }

            async fn rotate(&mut self) -> Result<(), Error> {
                self.0.rotate()
            }

            $($add_one)*
        }
    };
}

mode!(Exclusive);
mode!(Merged
    async fn add_one(&mut self, key: &str, pause: Duration) -> Result<u64, Error> {
        self.number(key).await?;
        sleep(pause).await;
        Ok(self.0.increment(key, 1)?.cast_unsigned())
    }
);
