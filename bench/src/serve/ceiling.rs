//! The ceiling of an engine: the same server with the same routes, whose handlers make only the raw calls that
//! no session layer could do without.
//!
//! A cookie is found, a blob of the same size as a session's record comes from the store and goes back with
//! eight of its bytes changed, and the same JSON is encoded. Nothing is checked, hashed, decoded or made safe.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use steadfast_bench_routes::{Error, PROFILE, Reply, Route, Serve, View, Visit, answer, axum::none};

use crate::Result;
use crate::raw::{BLOB, Files, Key, MariaDb, Memcached, Memory, Postgres, Raw, Redis, Sqlite, number};

/// Which calls an increment makes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Calls {
    /// Read; write.
    ReadWrite,
    /// Take the lease and read; write and end the lease.
    AcquireRelease,
}

pub(super) async fn routes(options: &Serve, calls: Calls) -> Result<Router> {
    let dsn = options.store.as_str();
    Ok(match options.engine() {
        "memory" => of(Memory::connect(dsn).await?, calls),
        "files" => of(Files::connect(dsn).await?, calls),
        "sqlite" => of(Sqlite::connect(dsn).await?, calls),
        "redis" => of(Redis::connect(dsn).await?, calls),
        "postgres" => of(Postgres::connect(dsn).await?, calls),
        "mysql" => of(MariaDb::connect(dsn).await?, calls),
        "memcached" => of(Memcached::connect(dsn).await?, calls),
        _ => return Err(options.unknown()),
    })
}

fn of<R: Raw>(raw: R, calls: Calls) -> Router {
    let app = App { raw: Arc::new(raw), calls };
    none()
        .route("/login", get(login::<R>))
        .route("/get", get(async |blob: Blob<R>| by(Route::Get, blob).await))
        .route("/incr", get(async |blob: Blob<R>| by(Route::Incr, blob).await))
        .with_state(app)
}

async fn by<R: Raw>(route: Route, mut blob: Blob<R>) -> Reply {
    answer(route, None, &mut blob).await
}

struct App<R> {
    raw: Arc<R>,
    calls: Calls,
}

impl<R> Clone for App<R> {
    fn clone(&self) -> Self {
        Self { raw: Arc::clone(&self.raw), calls: self.calls }
    }
}

async fn login<R: Raw>(State(app): State<App<R>>) -> impl IntoResponse {
    // Two processes may share a store.
    let name = format!("{:08}{:08}", std::process::id() % 100_000_000, number() % 100_000_000);
    let key = name.as_bytes().try_into().expect("sixteen digits");
    let created = app.raw.create(key, vec![0; BLOB]).await;
    let status = if created.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, [(SET_COOKIE, format!("session={name}"))], Reply::of(&PROFILE.user_id).body)
}

/// The blob of a request's cookie.
struct Blob<R> {
    app: App<R>,
    key: Key,
}

impl<R: Raw, S: Sync> FromRequestParts<S> for Blob<R>
where
    App<R>: FromRef<S>,
{
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, StatusCode> {
        let key = key(&parts.headers).ok_or(StatusCode::BAD_REQUEST)?;
        Ok(Self { app: App::from_ref(state), key })
    }
}

fn key(headers: &HeaderMap) -> Option<Key> {
    let cookies = headers.get(COOKIE)?.to_str().ok()?;
    let value = cookies.split("; ").find_map(|pair| pair.strip_prefix("session="))?;
    value.as_bytes().try_into().ok()
}

impl<R: Raw> View for Blob<R> {
    type Error = Error;

    async fn number(&mut self, _key: &str) -> Result<Option<u64>> {
        first(&self.app.raw.read(self.key).await?).map(Some)
    }
}

impl<R: Raw> Visit for Blob<R> {
    async fn add_one(&mut self, _key: &str, _pause: Duration) -> Result<u64> {
        let (raw, key) = (&self.app.raw, self.key);
        if self.app.calls == Calls::AcquireRelease {
            let token = number();
            let (n, blob) = incremented(raw.acquire(key, token).await?)?;
            raw.release(key, token, blob).await?;
            return Ok(n);
        }
        let (n, blob) = incremented(raw.read(key).await?)?;
        raw.write(key, blob).await?;
        Ok(n)
    }

    async fn set(&mut self, _key: &str, _number: u64) -> Result<()> {
        Err(NOT_HERE.into())
    }

    async fn sign_in(&mut self, _profile: steadfast_bench_routes::Profile) -> Result<()> {
        Err(NOT_HERE.into())
    }

    async fn sign_out(&mut self) -> Result<()> {
        Err(NOT_HERE.into())
    }

    async fn rotate(&mut self) -> Result<()> {
        Err(NOT_HERE.into())
    }
}

/// The routes that are measured beside a ceiling are those that read and write.
const NOT_HERE: &str = "a ceiling reads and increments only";

fn first(blob: &[u8]) -> Result<u64> {
    Ok(u64::from_le_bytes(*blob.first_chunk().ok_or("a blob that is too short")?))
}

fn incremented(mut blob: Vec<u8>) -> Result<(u64, Vec<u8>)> {
    let n = first(&blob)? + 1;
    blob[..8].copy_from_slice(&n.to_le_bytes());
    Ok((n, blob))
}
