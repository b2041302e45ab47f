//! The application that is measured: the least that a handler can do with a session.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use serde::Serialize;
use steadfast::axum::{Exclusive, Merge};
use steadfast::{Session, SessionView, Sessions};
use tower::util::MapRequestLayer;

use crate::Result;

#[derive(Serialize)]
struct Item {
    sku: &'static str,
    qty: u32,
    price: f64,
}

const CART: [Item; 3] = [
    Item { sku: "SKU-100234", qty: 2, price: 19.9 },
    Item { sku: "SKU-100871", qty: 1, price: 249.0 },
    Item { sku: "SKU-101442", qty: 5, price: 3.25 },
];

/// Opens a driver's store in a folder.
///
/// # Errors
///
/// If the store can't be opened.
pub(crate) async fn sessions(driver: &str, folder: &Path) -> Result<Sessions> {
    let dsn = match driver {
        "files" => format!("files:{}", folder.join("sessions").display()),
        _ => "memory:".to_owned(),
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

/// Fills a session with what a shop knows of a visitor: 349 bytes as JSON, one value for each key.
async fn start(session: Session) -> steadfast::Result<&'static str> {
    session.set("user_id", 184_467)?;
    session.set("name", "Marguerite Delacroix")?;
    session.set("email", "marguerite.delacroix@example.org")?;
    session.set("roles", ["customer", "reviewer", "beta"])?;
    session.set("csrf", "8f14e45fceea167a5a36dedd4bea2543f0c1a9c2b7d8e9f0a1b2c3d4e5f60718")?;
    session.set("cart", CART)?;
    session.set("n", 0)?;
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
