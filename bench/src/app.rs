//! The application whose instructions are counted: the least that a handler can do with a session.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use steadfast::axum::{Exclusive, Merge};
use steadfast::{Session, SessionView, Sessions};
use steadfast_bench_routes::{PROFILE, fill};
use tower::util::MapRequestLayer;

use crate::Result;

/// The drivers that are measured.
pub(crate) const DRIVERS: [&str; 3] = ["memory", "files", "sqlite"];

/// Opens a driver's store in a folder.
pub(crate) async fn sessions(driver: &str, folder: &Path) -> Result<Sessions> {
    let dsn = match driver {
        "memory" => "memory:".to_owned(),
        "files" => format!("files:{}", folder.join("sessions").display()),
        _ => format!("sqlite:{}", folder.join("sessions.db").display()),
    };
    Ok(Sessions::connect(&dsn).await?)
}

/// Makes the routes of one driver, all below `/DRIVER/`.
pub(crate) fn routes(driver: &str, sessions: &Sessions) -> Router {
    let at = |name: &str| format!("/{driver}/{name}");
    Router::new()
        .route(&at("start"), get(start))
        .route(&at("none"), get(none))
        .route(&at("view"), get(view))
        .route(&at("get"), get(read))
        .route(&at("incr"), get(increment_exclusively))
        .route(&at("merge"), get(increment_merged))
        .layer(sessions.layer())
}

/// Makes the routes without sessions: one without any layer, one with a layer that does nothing.
pub(crate) fn base() -> Router {
    let layered = Router::new()
        .route("/layer/none", get(none))
        .layer(MapRequestLayer::new(|request: axum::extract::Request| request));
    Router::new().route("/base/none", get(none)).merge(layered)
}

async fn none() -> &'static str {
    "1"
}

async fn start(session: Session) -> steadfast::Result<&'static str> {
    fill!(PROFILE, |key, value| session.set(key, value)?);
    Ok("1")
}

async fn view(session: SessionView) -> steadfast::Result<String> {
    Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
}

async fn read(session: Session) -> steadfast::Result<String> {
    Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
}

async fn increment_exclusively(Exclusive(session): Exclusive) -> steadfast::Result<String> {
    let n = session.get::<u64>("n")?.unwrap_or(0) + 1;
    session.set("n", n)?;
    Ok(n.to_string())
}

async fn increment_merged(Merge(session): Merge) -> steadfast::Result<String> {
    Ok(session.increment("n", 1)?.to_string())
}
