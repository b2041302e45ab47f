//! The routes on axum_session, each store set up as its own example does.
//!
//! By default each process keeps a copy of the sessions that it has seen and asks the store only for others.
//! The kind `each-time` has no copy (`memory_lifetime` of zero), so that each request asks the store.

use std::convert::Infallible;
use std::fmt::Debug;

use axum::Router;
use axum_session::{DatabasePool, Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use axum_session_redispool::SessionRedisPool;
use axum_session_sqlx::{SessionPgPool, SessionSqlitePool};
use clap::Parser as _;
use redis_pool::RedisPool;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use steadfast_bench_routes::{Profile, Result, Serve, View, Visit, axum::serve, axum_routes, fill};
use time::Duration;

/// Connections of the pools of its SQL examples.
const SQL_POOL: u32 = 5;

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
    let config = SessionConfig::default().with_lifetime(Duration::days(1));
    let config = match options.kind.as_str() {
        "copy" => config,
        "each-time" => config.with_memory_lifetime(Duration::ZERO),
        _ => return Err(options.unknown()),
    };
    // Two processes may share a database.
    let table = format!("sessions_{}", options.kind.replace('-', "_"));
    Ok(match options.engine() {
        "memory" => routes::<SessionNullPool>(None, config).await?,
        "redis" => {
            let pool = RedisPool::from(redis::Client::open(options.store.as_str())?);
            routes::<SessionRedisPool>(Some(pool.into()), config).await?
        }
        "postgres" => {
            let pool = PgPoolOptions::new().max_connections(SQL_POOL).connect(&options.store).await?;
            let config = config.with_table_name(table);
            routes::<SessionPgPool>(Some(pool.into()), config).await?
        }
        "sqlite" => {
            let file = SqliteConnectOptions::new().filename(options.path()).create_if_missing(true);
            let wal = file.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
            let pool = SqlitePoolOptions::new().max_connections(SQL_POOL).connect_with(wal).await?;
            let config = config.with_table_name(table);
            routes::<SessionSqlitePool>(Some(pool.into()), config).await?
        }
        _ => return Err(options.unknown()),
    })
}

async fn routes<P>(pool: Option<P>, config: SessionConfig) -> Result<Router>
where
    P: DatabasePool + Clone + Debug + Sync + Send + 'static,
{
    let store = SessionStore::<P>::new(pool, config).await?;
    Ok(axum_routes!(Session<P>, Mine).layer(SessionLayer::new(store)))
}

struct Mine<P>(Session<P>)
where
    P: DatabasePool + Clone + Debug + Sync + Send + 'static;

impl<P> View for Mine<P>
where
    P: DatabasePool + Clone + Debug + Sync + Send + 'static,
{
    type Error = Infallible;

    async fn number(&mut self, key: &str) -> Result<Option<u64>, Infallible> {
        Ok(self.0.get(key))
    }
}

impl<P> Visit for Mine<P>
where
    P: DatabasePool + Clone + Debug + Sync + Send + 'static,
{
    async fn set(&mut self, key: &str, number: u64) -> Result<(), Infallible> {
        self.0.set(key, number);
        Ok(())
    }

    async fn sign_in(&mut self, profile: Profile) -> Result<(), Infallible> {
        self.0.renew();
        fill!(profile, |key, value| self.0.set(key, value));
        Ok(())
    }

    async fn sign_out(&mut self) -> Result<(), Infallible> {
        self.0.destroy();
        Ok(())
    }

    async fn rotate(&mut self) -> Result<(), Infallible> {
        self.0.renew();
        Ok(())
    }
}
