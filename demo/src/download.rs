//! 7. A link that works once.

use askama::Template;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use steadfast::Session;

use crate::form::{JustAButton, Posted};
use crate::page::{Answer, Page, apology, redirect_with, render};
use crate::sign_in::Member;

/// Every ticket is a value of the session, under a key that begins with this.
const TICKETS: &str = "download.ticket:";

/// What there is to download.
const CHART: &str = "Here be dragons. Elsewhere, the sea is calm.\n";

#[derive(Template)]
#[template(path = "download.html")]
struct Show {
    page: Page,
    tickets: Vec<String>,
}

/// Shows the links that were not used yet.
pub(crate) async fn show(Member { session, .. }: Member) -> Answer {
    render(&Show { page: Page::new(&session, "/download")?, tickets: tickets(&session) })
}

/// Makes a link.
pub(crate) async fn make(Member { session, .. }: Member, _: Posted<JustAButton>) -> Answer {
    session.set(&key(&new_ticket()), true)?;
    redirect_with(&session, "Here is your link.", "/download")
}

/// Answers the link: with the file to the first who asks, and never again.
pub(crate) async fn fetch(Member { session, .. }: Member, Path(ticket): Path<String>) -> Answer {
    // `take` reads and removes in one step. Of two requests that come at the same time, one gets it.
    if session.take::<bool>(&key(&ticket))?.is_none() {
        let text = "It worked for the first who asked. Make another one.";
        return Ok(apology(StatusCode::GONE, "This link has been used", text));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"chart.txt\""),
    ];
    Ok((headers, CHART).into_response())
}

fn key(ticket: &str) -> String {
    format!("{TICKETS}{ticket}")
}

fn tickets(session: &Session) -> Vec<String> {
    let keys = session.keys().into_iter().filter_map(|key| String::from_utf8(key).ok());
    keys.filter_map(|key| key.strip_prefix(TICKETS).map(str::to_owned)).collect()
}

fn new_ticket() -> String {
    format!("{:016x}", crate::random())
}
