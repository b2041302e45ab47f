//! The routes on Salvo's sessions, set up as its own example does, for a day and without `Secure`; and on
//! Salvo alone.

use std::time::Duration;

use clap::Parser as _;
use salvo::conn::TcpListener;
use salvo::http::StatusCode;
use salvo::http::header::{CONTENT_TYPE, HeaderValue};
use salvo::session::{MemoryStore, Session, SessionDepotExt as _, SessionHandler, SessionStore};
use salvo::{Depot, FlowCtrl, Handler, Listener as _, Request, Response, Router, Server, async_trait};
use saysion::RedisStore;
use steadfast_bench_routes::{
    NONE, Profile, Reply, Result, Route, Serve, USAGE, View, Visit, answer, fill, usage,
};

const LIFETIME: Duration = Duration::from_secs(86_400);

/// What signs the cookies: any 64 bytes.
const SECRET: [u8; 64] = *b"secretabsecretabsecretabsecretabsecretabsecretabsecretabsecretab";

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    serve: Serve,
}

fn main() -> Result<()> {
    let Cli { serve: options } = Cli::parse();
    options.run(async {
        let app = match (options.kind.as_str(), options.engine()) {
            ("none", "none") => none(),
            ("default", "memory") => sessions(MemoryStore::new())?,
            ("default", "redis") => sessions(RedisStore::from_url(&options.store).await?)?,
            _ => return Err(options.unknown()),
        };
        let routes = Router::new().push(Router::with_path(USAGE).get(Usage)).push(app);
        let listener = TcpListener::new(options.listen.to_string()).bind().await;
        Server::new(listener).serve(routes).await;
        Ok(())
    })
}

fn none() -> Router {
    Router::new().push(Router::with_path("none").get(NoSession))
}

fn sessions(store: impl SessionStore + Send + Sync + 'static) -> Result<Router> {
    let handler =
        SessionHandler::builder(store, &SECRET).session_ttl(Some(LIFETIME)).secure_cookie(false).build()?;
    let mut routes = none().hoop(handler);
    for route in Route::ALL {
        routes = routes.push(Router::with_path(route.path()).get(OneRoute(route)));
    }
    Ok(routes)
}

struct Usage;

#[async_trait]
impl Handler for Usage {
    async fn handle(&self, _: &mut Request, _: &mut Depot, response: &mut Response, _: &mut FlowCtrl) {
        response.body(usage());
    }
}

struct NoSession;

#[async_trait]
impl Handler for NoSession {
    async fn handle(&self, _: &mut Request, _: &mut Depot, response: &mut Response, _: &mut FlowCtrl) {
        json(response, StatusCode::OK, NONE.to_owned());
    }
}

struct OneRoute(Route);

#[async_trait]
impl Handler for OneRoute {
    async fn handle(
        &self,
        request: &mut Request,
        depot: &mut Depot,
        response: &mut Response,
        _: &mut FlowCtrl,
    ) {
        let session = depot.session_mut().expect("the handler of sessions comes first");
        let Reply { status, body } = answer(self.0, request.uri().query(), &mut Mine(session)).await;
        json(response, StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
    }
}

fn json(response: &mut Response, status: StatusCode, body: String) {
    response.status_code(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.body(body);
}

struct Mine<'a>(&'a mut Session);

impl View for Mine<'_> {
    type Error = serde_json::Error;

    async fn number(&mut self, key: &str) -> Result<Option<u64>, Self::Error> {
        Ok(self.0.get(key))
    }
}

impl Visit for Mine<'_> {
    async fn set(&mut self, key: &str, number: u64) -> Result<(), Self::Error> {
        self.0.insert(key, number)
    }

    async fn sign_in(&mut self, profile: Profile) -> Result<(), Self::Error> {
        self.0.regenerate();
        fill!(profile, |key, value| self.0.insert(key, value)?);
        Ok(())
    }

    async fn sign_out(&mut self) -> Result<(), Self::Error> {
        self.0.destroy();
        Ok(())
    }

    async fn rotate(&mut self) -> Result<(), Self::Error> {
        self.0.regenerate();
        Ok(())
    }
}
