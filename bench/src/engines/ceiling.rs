//! The ceiling of a network engine: the probe's server, whose handlers make the raw calls that no session
//! layer could do without.
//!
//! A cookie is found, a blob of the same size as a session's record comes from the store and goes back, and
//! the same JSON is encoded. Nothing is checked, hashed, decoded or made safe.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn, map_request};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

use super::raw::{BLOB, Key, MariaDb, Memcached, Postgres, Raw, Redis, number};
use crate::Result;
use crate::http::without_delay;

#[derive(Args)]
pub(crate) struct CeilingOptions {
    /// Address to listen on.
    #[arg(long)]
    listen: SocketAddr,
    /// Connection string of the store.
    #[arg(long)]
    store: String,
    /// Threads that serve.
    #[arg(long)]
    workers: usize,
}

/// Serves until it is stopped.
pub(crate) fn serve(options: &CeilingOptions) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(options.workers).enable_all().build()?.block_on(async {
        let dsn = options.store.as_str();
        let routes = match dsn.split(':').next() {
            Some("redis") => routes(Redis::connect(dsn).await?),
            Some("postgres") => routes(Postgres::connect(dsn).await?),
            Some("mysql") => routes(MariaDb::connect(dsn).await?),
            _ => routes(Memcached::connect(dsn).await?),
        };
        let listener = without_delay(TcpListener::bind(options.listen).await?);
        Ok(axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>()).await?)
    })
}

/// Makes the routes, in layers as the probe's but for the sessions.
fn routes<R: Raw>(raw: R) -> Router {
    Router::new()
        .route("/none", get(async || Json(json!({ "ok": true }))))
        .route("/start", get(start::<R>))
        .route("/get", get(read::<R>))
        .route("/incr", get(increment::<R>))
        .route("/exclusive", get(increment_exclusively::<R>))
        .with_state(Arc::new(raw))
        .layer(from_fn(look_at_response))
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| -> Response {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }))
        .layer(map_request(note_arrival))
}

/// When a request came.
#[derive(Clone, Copy)]
struct Arrived(Instant);

async fn note_arrival(mut request: Request) -> Request {
    request.extensions_mut().insert(Arrived(Instant::now()));
    request
}

async fn look_at_response(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    // The probe explains failures here, which nothing here has.
    let _ = response.extensions().get::<Arrived>();
    response
}

async fn start<R: Raw>(State(raw): State<Arc<R>>) -> Answer<impl IntoResponse> {
    let number = number();
    raw.create(format!("{number:016}").as_bytes().try_into()?, vec![0; BLOB]).await?;
    Ok([(SET_COOKIE, format!("session={number:016}"))])
}

async fn read<R: Raw>(State(raw): State<Arc<R>>, headers: HeaderMap) -> Answer<Json<Value>> {
    let blob = raw.read(key(&headers)?).await?;
    Ok(Json(json!({ "k": "n", "v": first(&blob)? })))
}

async fn increment<R: Raw>(
    State(raw): State<Arc<R>>,
    Extension(Arrived(at)): Extension<Arrived>,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    let key = key(&headers)?;
    let (n, blob) = incremented(raw.read(key).await?)?;
    let waited = at.elapsed();
    raw.write(key, blob).await?;
    Ok(Json(json!({ "n": n, "wait_ms": waited.as_secs_f64() * 1_000.0 })))
}

async fn increment_exclusively<R: Raw>(
    State(raw): State<Arc<R>>,
    Extension(Arrived(at)): Extension<Arrived>,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    let (key, token) = (key(&headers)?, number());
    let (n, blob) = incremented(raw.acquire(key, token).await?)?;
    let waited = at.elapsed();
    raw.release(key, token, blob).await?;
    Ok(Json(json!({ "n": n, "wait_ms": waited.as_secs_f64() * 1_000.0 })))
}

fn key(headers: &HeaderMap) -> Result<Key> {
    let cookies = headers.get(COOKIE).ok_or("a request without a cookie")?.to_str()?;
    let value = cookies.split("; ").find_map(|pair| pair.strip_prefix("session="));
    Ok(value.ok_or("a request without the cookie of its session")?.as_bytes().try_into()?)
}

fn first(blob: &[u8]) -> Result<u64> {
    Ok(u64::from_le_bytes(*blob.first_chunk().ok_or("a blob that is too short")?))
}

fn incremented(mut blob: Vec<u8>) -> Result<(u64, Vec<u8>)> {
    let n = first(&blob)? + 1;
    blob[..8].copy_from_slice(&n.to_le_bytes());
    Ok((n, blob))
}

type Answer<T> = Result<T, Failure>;

/// Why there is no answer. The load stops at the first one.
struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}
