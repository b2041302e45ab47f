//! The routes on tower-sessions, each store set up as its own example does, for a day and without `Secure`.

use axum::Router;
use clap::Parser as _;
use fred_stores::RedisStore;
use fred_stores::fred::prelude::{ClientLike as _, Config, Pool};
use moka_store::MokaStore;
use sql_stores::{PostgresStore, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{PgPool, SqlitePool};
use steadfast_bench_routes::{Profile, Result, Serve, View, Visit, axum::serve, axum_routes, fill};

/// Connections of the pool of its Redis example.
const REDIS_POOL: usize = 6;

/// Sessions that the cache may hold: more than any measurement starts.
const CACHED: u64 = 10_000_000;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    serve: Serve,
}

fn main() -> Result<()> {
    let Cli { serve: options } = Cli::parse();
    options.run(async {
        let app = app(&options).await?;
        serve(&options, app).await
    })
}

async fn app(options: &Serve) -> Result<Router> {
    Ok(match (options.kind.as_str(), options.engine()) {
        ("newest", "memory") => newest::app(tower_sessions::MemoryStore::default()),
        ("0.14", "memory") => with_stores::app(MokaStore::new(Some(CACHED))),
        ("0.14", "redis") => {
            let pool = Pool::new(Config::from_url(&options.store)?, None, None, None, REDIS_POOL)?;
            pool.connect();
            pool.wait_for_connect().await?;
            with_stores::app(RedisStore::new(pool))
        }
        ("0.14", "postgres") => {
            let store = PostgresStore::new(PgPool::connect(&options.store).await?);
            store.migrate().await?;
            with_stores::app(store)
        }
        ("0.14", "sqlite") => {
            let file = SqliteConnectOptions::new().filename(options.path()).create_if_missing(true);
            let wal = file.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
            let wal = wal.synchronous(sqlx::sqlite::SqliteSynchronous::Normal);
            let store = SqliteStore::new(SqlitePool::connect_with(wal).await?);
            store.migrate().await?;
            with_stores::app(store)
        }
        _ => return Err(options.unknown()),
    })
}

/// The same for both versions: the newest has no other stores yet.
macro_rules! version {
    ($module:ident, $library:ident) => {
        mod $module {
            use $library::cookie::time::Duration;
            use $library::{Expiry, Session, SessionManagerLayer, SessionStore};

            use super::*;

            pub(super) fn app(store: impl SessionStore + Clone) -> Router {
                let layer = SessionManagerLayer::new(store)
                    .with_secure(false)
                    .with_expiry(Expiry::OnInactivity(Duration::days(1)));
                axum_routes!(Session, Mine).layer(layer)
            }

            struct Mine(Session);

            impl View for Mine {
                type Error = $library::session::Error;

                async fn number(&mut self, key: &str) -> Result<Option<u64>, Self::Error> {
                    self.0.get(key).await
                }
            }

            impl Visit for Mine {
                async fn set(&mut self, key: &str, number: u64) -> Result<(), Self::Error> {
                    self.0.insert(key, number).await
                }

                async fn sign_in(&mut self, profile: Profile) -> Result<(), Self::Error> {
                    self.0.cycle_id().await?;
                    fill!(profile, |key, value| self.0.insert(key, value).await?);
                    Ok(())
                }

                async fn sign_out(&mut self) -> Result<(), Self::Error> {
                    self.0.flush().await
                }

                async fn rotate(&mut self) -> Result<(), Self::Error> {
                    self.0.cycle_id().await
                }
            }
        }
    };
}

version!(newest, tower_sessions);
version!(with_stores, tower_sessions_0_14);
