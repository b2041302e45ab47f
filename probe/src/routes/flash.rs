//! Flash values.

use axum::Router;
use axum::routing::get;
use serde_json::json;

use super::Node;
use super::open::Open;
use super::values::shown;
use crate::answers::{Answer, answer, ok, to_json_or_null};

pub(super) fn routes() -> Router<Node> {
    Router::new()
        .route("/flash", get(flash))
        .route("/readflash", get(read))
        .route("/keepflash", get(keep))
        .route("/unmarkflash", get(unmark))
}

async fn flash(open: Open) -> Answer {
    open.sleep().await?;
    open.session.flash(&open.query.key()?, open.query.value()?)?;
    ok()
}

async fn read(open: Open) -> Answer {
    open.sleep().await?;
    let (session, key) = (open.session, open.query.key()?);
    answer(json!({
        "flash": to_json_or_null(session.flash_get(&key)?),
        "keys": shown(session.flash_keys()),
        "get": to_json_or_null(session.get(&key)?),
    }))
}

async fn keep(open: Open) -> Answer {
    open.sleep().await?;
    open.session.keep_flash([open.query.key()?])?;
    ok()
}

async fn unmark(open: Open) -> Answer {
    open.sleep().await?;
    open.session.unmark_flash([open.query.key()?])?;
    ok()
}
