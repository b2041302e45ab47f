//! Serves the demo: `cargo run`, or `cargo run -- --port 8081`.

use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use steadfast_demo::storm::Arena;
use steadfast_demo::{setup, site, storm};
use tokio::net::TcpListener;

/// The port, unless `--port` or `PORT` names another.
const PORT: u16 = 8_080;

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("The demo can't run: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let listener = listen(port()?).await?;
    let sessions = setup::connect(setup::STORE).await?;
    let arena = Arena::connect(storm::STORE).await?;

    let address = listener.local_addr()?;
    say(&format!(
        "\n  Steadfast’s demo: http://{address}\n  (Ctrl+C ends it; your sessions stay in ./writable)\n"
    ));

    // With the address of the peer, so that the page of devices can show it.
    let site = site(&sessions, &arena).into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        result = axum::serve(listener, site) => result?,
        _ = tokio::signal::ctrl_c() => {}
    }
    // Finishes what no response waited for.
    sessions.shutdown().await;
    arena.shutdown().await;
    Ok(())
}

async fn listen(port: u16) -> Result<TcpListener, String> {
    // Not to be reached from elsewhere: its cookies are not for a network.
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            format!(
                "port {port} is taken by another program; choose one: cargo run -- --port {}",
                port.wrapping_add(1).max(1_024)
            )
        }
        _ => format!("port {port} can't be opened: {error}"),
    })
}

/// Reads the port from `--port`, or from `PORT`.
fn port() -> Result<u16, String> {
    let mut arguments = std::env::args().skip(1);
    let named = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => std::env::var("PORT").ok(),
        (Some("--port"), Some(port)) => Some(port),
        (Some(_), _) => return Err("the only argument is --port NUMBER".to_owned()),
    };
    named.map_or(Ok(PORT), |text| text.parse().map_err(|_| format!("`{text}` is no port")))
}

/// Writes a line for whoever started the program. It goes on if nobody reads it.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
