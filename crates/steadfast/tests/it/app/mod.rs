//! The applications of tests, on every framework: pages that do what a test tells them, and what is around them.

#[cfg(feature = "actix")]
mod actix;
mod axum;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use ::axum::Router;
use ::axum::response::{IntoResponse, Response};
use http::Request;
use steadfast::testing::RequestBody;
use steadfast::{Result, Session, SessionView, Sessions};
use tower::Service;

/// The web framework that an application is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adaptor {
    Axum,
    #[cfg(feature = "actix")]
    Actix,
}

/// Makes a test of each function for each framework.
macro_rules! on_every_adaptor {
    ($($test:ident)*) => {
        mod on_axum {
            $(#[tokio::test] async fn $test() { super::$test(crate::app::Adaptor::Axum).await; })*
        }
        #[cfg(feature = "actix")]
        mod on_actix {
            $(#[tokio::test] async fn $test() { super::$test(crate::app::Adaptor::Actix).await; })*
        }
    };
}
pub(crate) use on_every_adaptor;

/// What is around pages.
pub(crate) enum Around {
    Sessions(Sessions),
    /// Middleware that takes the session.
    Session(Before<Session>),
    /// Middleware that takes the session with others.
    Merge(Before<Session>),
    /// Middleware that reads the session.
    View(Before<SessionView>),
}

/// What middleware does before the pages. An error is the response.
pub(crate) type Before<S> = Arc<dyn Fn(&S) -> Result<()> + Send + Sync>;

impl Around {
    pub(crate) fn session(before: impl Fn(&Session) -> Result<()> + Send + Sync + 'static) -> Self {
        Self::Session(Arc::new(before))
    }

    pub(crate) fn merge(before: impl Fn(&Session) -> Result<()> + Send + Sync + 'static) -> Self {
        Self::Merge(Arc::new(before))
    }

    pub(crate) fn view(before: impl Fn(&SessionView) -> Result<()> + Send + Sync + 'static) -> Self {
        Self::View(Arc::new(before))
    }
}

/// An application, as a service of tower whatever it was made with.
#[derive(Clone, Debug)]
pub(crate) enum App {
    Axum(Router),
    #[cfg(feature = "actix")]
    Actix(actix::Worker),
}

impl Adaptor {
    /// Makes an application of the pages, with things around them from the inside out.
    pub(crate) fn app(self, around: Vec<Around>) -> App {
        match self {
            Self::Axum => App::Axum(axum::router(around)),
            #[cfg(feature = "actix")]
            Self::Actix => App::Actix(actix::Worker::start(around)),
        }
    }
}

impl App {
    /// Waits until nothing is left of requests that were given up or whose handler panicked.
    pub(crate) async fn quiet(&self) {
        match self {
            // It is all in the caller's hands.
            Self::Axum(_) => {}
            #[cfg(feature = "actix")]
            Self::Actix(worker) => worker.quiet().await,
        }
    }
}

impl Service<Request<RequestBody>> for App {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        match self {
            Self::Axum(router) => Box::pin(router.call(request)),
            #[cfg(feature = "actix")]
            Self::Actix(worker) => Box::pin(worker.answer(request)),
        }
    }
}

/// What a page is to do with what it was handed.
pub(crate) struct Act<S>(Arc<Mutex<Option<Doing<S>>>>);
type Doing<S> = Box<dyn FnOnce(S) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send>;

impl<S> Clone for Act<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: 'static> Act<S> {
    pub(crate) fn new<F, R>(act: impl FnOnce(S) -> F + Send + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        let doing: Doing<S> = Box::new(|session| {
            let acting = act(session);
            Box::pin(async move { acting.await.into_response() })
        });
        Self(Arc::new(Mutex::new(Some(doing))))
    }

    async fn run(self, session: S) -> Response {
        let doing = self.0.lock().unwrap().take().expect("a request is answered once");
        doing(session).await
    }
}

/// What the page is handed that takes everything.
pub(crate) type All = (Session, SessionView, Session, Session);
