//! The routes on Poem's server-side sessions, set up as its own example does, for a day and without `Secure`;
//! and on Poem alone.

use std::convert::Infallible;
use std::time::Duration;

use clap::Parser as _;
use poem::http::StatusCode;
use poem::listener::TcpListener;
use poem::session::{CookieConfig, MemoryStorage, RedisStorage, ServerSession, Session, SessionStorage};
use poem::{Endpoint, EndpointExt as _, IntoEndpoint, Request, Response, Server};
use redis::Client;
use redis::aio::ConnectionManager;
use steadfast_bench_routes::{
    NONE, Profile, Reply, Result, Route, Serve, USAGE, View, Visit, answer, fill, usage,
};

const LIFETIME: Duration = Duration::from_secs(86_400);

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    serve: Serve,
}

fn main() -> Result<()> {
    let Cli { serve: options } = Cli::parse();
    options.run(async {
        match (options.kind.as_str(), options.engine()) {
            ("none", "none") => serve(&options, none()).await,
            ("default", "memory") => serve(&options, sessions(MemoryStorage::new())).await,
            ("default", "redis") => {
                let client = Client::open(options.store.as_str())?;
                serve(&options, sessions(RedisStorage::new(ConnectionManager::new(client).await?))).await
            }
            _ => Err(options.unknown()),
        }
    })
}

async fn serve<E>(options: &Serve, app: E) -> Result<()>
where
    E: IntoEndpoint<Endpoint: 'static>,
{
    let routes =
        poem::Route::new().at(USAGE, poem::get(poem::endpoint::make_sync(|_| usage()))).nest("/", app);
    Ok(Server::new(TcpListener::bind(options.listen.to_string())).run(routes).await?)
}

fn none() -> poem::Route {
    let none = poem::endpoint::make_sync(|_| json(StatusCode::OK, NONE.to_owned()));
    poem::Route::new().at("/none", poem::get(none))
}

fn sessions(storage: impl SessionStorage + 'static) -> impl Endpoint + 'static {
    let cookies = CookieConfig::new().secure(false).max_age(LIFETIME);
    let mut routes = none();
    for route in Route::ALL {
        routes = routes.at(route.path(), poem::get(Handler(route)));
    }
    routes.with(ServerSession::new(cookies, storage))
}

struct Handler(Route);

impl Endpoint for Handler {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let session = <&Session as poem::FromRequest>::from_request_without_body(&request).await?;
        let Reply { status, body } = answer(self.0, request.uri().query(), &mut Mine(session)).await;
        Ok(json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body))
    }
}

fn json(status: StatusCode, body: String) -> Response {
    Response::builder().status(status).content_type("application/json").body(body)
}

struct Mine<'a>(&'a Session);

impl View for Mine<'_> {
    type Error = Infallible;

    async fn number(&mut self, key: &str) -> Result<Option<u64>, Infallible> {
        Ok(self.0.get(key))
    }
}

impl Visit for Mine<'_> {
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
        self.0.purge();
        Ok(())
    }

    async fn rotate(&mut self) -> Result<(), Infallible> {
        self.0.renew();
        Ok(())
    }
}
