//! A counter on actix-web: `cargo run -p steadfast --example actix --features actix`.
//!
//! Open http://127.0.0.1:8080 and reload it. `/slow` counts as well, and the two wait for each other.

use std::time::Duration;

use actix_web::{App, HttpServer, web};
use steadfast::actix::Exclusive;
use steadfast::{Result, Session, Sessions};

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::connect("memory:").await?;
    let layer = sessions.layer();
    let app = move || {
        App::new()
            .wrap(layer.clone())
            .route("/", web::get().to(count))
            .route("/slow", web::get().to(count_slowly))
    };
    HttpServer::new(app).bind(("127.0.0.1", 8080))?.run().await?;
    // The server has finished its last request; what no response waited for is still to be done.
    sessions.shutdown().await;
    Ok(())
}

async fn count(session: Session) -> Result<String> {
    let visits = session.increment("visits", 1)?;
    Ok(format!("visit {visits}"))
}

async fn count_slowly(Exclusive(session): Exclusive) -> Result<String> {
    let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
    tokio::time::sleep(Duration::from_secs(3)).await;
    session.set("visits", visits)?;
    Ok(format!("visit {visits}, and nobody counted meanwhile"))
}
