//! The application that is measured: the least that a handler can do with a session.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use serde::Serialize;
use steadfast::axum::{Exclusive, Merge};
use steadfast::{Session, SessionView, Sessions};
use tower::util::MapRequestLayer;

use crate::Result;

/// What a visitor's session holds: 349 bytes as JSON, as in comparisons of other session layers.
#[derive(Serialize)]
pub(crate) struct Profile {
    pub(crate) user_id: u64,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    pub(crate) roles: [&'static str; 3],
    pub(crate) csrf: &'static str,
    pub(crate) cart: [Item; 3],
    pub(crate) n: u64,
}

#[derive(Serialize)]
pub(crate) struct Item {
    sku: &'static str,
    qty: u32,
    price: f64,
}

pub(crate) const PROFILE: Profile = Profile {
    user_id: 184_467,
    name: "Marguerite Delacroix",
    email: "marguerite.delacroix@example.org",
    roles: ["customer", "reviewer", "beta"],
    csrf: "8f14e45fceea167a5a36dedd4bea2543f0c1a9c2b7d8e9f0a1b2c3d4e5f60718",
    cart: [
        Item { sku: "SKU-100234", qty: 2, price: 19.9 },
        Item { sku: "SKU-100871", qty: 1, price: 249.0 },
        Item { sku: "SKU-101442", qty: 5, price: 3.25 },
    ],
    n: 0,
};

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
    fill(&session)?;
    Ok("1")
}

/// Fills a session with the profile, one value for each of its keys.
pub(crate) fn fill(session: &Session) -> steadfast::Result<()> {
    let Profile { user_id, name, email, roles, csrf, cart, n } = PROFILE;
    session.set("user_id", user_id)?;
    session.set("name", name)?;
    session.set("email", email)?;
    session.set("roles", roles)?;
    session.set("csrf", csrf)?;
    session.set("cart", cart)?;
    session.set("n", n)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_as_large_as_in_other_measurements() {
        let bytes = serde_json::to_vec(&PROFILE).unwrap().len();
        assert!((330..370).contains(&bytes), "{bytes}");
    }
}
