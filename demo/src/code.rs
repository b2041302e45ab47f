//! 8. A code that is gone after a minute.

use std::time::Duration;

use askama::Template;
use serde::Deserialize;
use steadfast::Key;

use crate::form::{JustAButton, Posted};
use crate::page::{Answer, Page, redirect_with, render};
use crate::sign_in::Member;

/// The code: a temp value, with a lifetime of its own.
const CODE: Key<String> = Key::new("code");

/// How long a code is good.
const TTL: Duration = Duration::from_secs(60);

#[derive(Template)]
#[template(path = "code.html")]
struct Show {
    page: Page,
    code: Option<String>,
    /// How long it is good, in seconds.
    left: u64,
    ttl: u64,
}

/// Shows the code, and how long it is still good. (A real site sends it to the visitor's phone.)
pub(crate) async fn show(Member { session, .. }: Member) -> Answer {
    // Whether it is still there is decided here, when it is read, and by nothing that has to run in time.
    let code = session.temp_get(CODE)?;
    let left = session.temp_left(CODE).unwrap_or_default().as_secs_f64().ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 60")]
    let left = left as u64;
    render(&Show { page: Page::new(&session, "/code")?, code, left, ttl: TTL.as_secs() })
}

/// Makes a code.
pub(crate) async fn make(Member { session, .. }: Member, _: Posted<JustAButton>) -> Answer {
    session.set_temp(CODE, format!("{:06}", crate::random() % 1_000_000), TTL)?;
    redirect_with(&session, "A new code, good for a minute.", "/code")
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Attempt {
    code: String,
}

/// Compares what was typed.
pub(crate) async fn check(
    Member { session, .. }: Member,
    Posted(Attempt { code }): Posted<Attempt>,
) -> Answer {
    // Taken, whether it is right or not: one attempt per code.
    let notice = match session.take(CODE)? {
        None => "There is no code, or its minute is over.",
        Some(expected) if expected == code.trim() => "That is the code. It will not work a second time.",
        Some(_) => "That was not the code, and now it is gone.",
    };
    redirect_with(&session, notice, "/code")
}
