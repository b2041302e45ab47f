//! Flash values.

use serde_json::json;

use super::open::Open;
use super::routes;
use super::values::shown;
use crate::answers::{Answer, answer, ok, to_json_or_null};

routes! {
    "/flash" => flash,
    "/readflash" => read,
    "/keepflash" => keep,
    "/unmarkflash" => unmark,
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
