//! The routes on actix-session, set up as its own example does, for a day and without `Secure`; and on
//! actix-web alone.

use actix_session::config::PersistentSession;
use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::{Key, time::Duration};
use actix_web::{App, HttpServer, web};
use clap::Parser as _;
use steadfast_bench_routes::actix::{none, outside};
use steadfast_bench_routes::{Profile, Result, Serve, View, Visit, actix_routes, fill};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    serve: Serve,
}

#[actix_web::main]
async fn main() -> Result<()> {
    let Cli { serve: options } = Cli::parse();
    match (options.kind.as_str(), options.engine()) {
        ("none", "none") => {
            let server = HttpServer::new(|| App::new().configure(outside).configure(none));
            Ok(server.workers(options.workers).disable_signals().bind(options.listen)?.run().await?)
        }
        ("default", "redis") => {
            let store = RedisSessionStore::new(options.store.as_str()).await?;
            let key = Key::generate();
            let server = HttpServer::new(move || {
                let sessions = SessionMiddleware::builder(store.clone(), key.clone())
                    .cookie_secure(false)
                    .session_lifecycle(PersistentSession::default().session_ttl(Duration::days(1)))
                    .build();
                App::new().configure(outside).service(web::scope("").wrap(sessions).configure(routes))
            });
            Ok(server.workers(options.workers).disable_signals().bind(options.listen)?.run().await?)
        }
        _ => Err(options.unknown()),
    }
}

fn routes(config: &mut web::ServiceConfig) {
    none(config);
    actix_routes!(config, Session, Mine);
}

struct Mine(Session);

impl View for Mine {
    type Error = actix_web::Error;

    async fn number(&mut self, key: &str) -> Result<Option<u64>, Self::Error> {
        Ok(self.0.get(key)?)
    }
}

impl Visit for Mine {
    async fn set(&mut self, key: &str, number: u64) -> Result<(), Self::Error> {
        Ok(self.0.insert(key, number)?)
    }

    async fn sign_in(&mut self, profile: Profile) -> Result<(), Self::Error> {
        self.0.renew();
        fill!(profile, |key, value| self.0.insert(key, value)?);
        Ok(())
    }

    async fn sign_out(&mut self) -> Result<(), Self::Error> {
        self.0.purge();
        Ok(())
    }

    async fn rotate(&mut self) -> Result<(), Self::Error> {
        self.0.renew();
        Ok(())
    }
}
