//! A site whose pages do what a test tells them: on the memory driver, with a clock that stands in the
//! test's hand and a store that fails on command.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::response::IntoResponse;
use http::Request;
use steadfast::store::memory::MemoryStore;
use steadfast::testing::{FaultyStore, ManualClock, Reply, TestBrowser};
use steadfast::{EventKind, Policy, PolicyBuilder, Result, Session, SessionView, Sessions, SessionsBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::{Act, Adaptor, App, Around};

/// The name of the cookie, which a policy without `Secure` has by default.
pub(crate) const COOKIE: &str = "session";

/// A site with its store, its clock, and the events that happened.
pub(crate) struct Site {
    pub(crate) sessions: Sessions,
    pub(crate) store: FaultyStore<MemoryStore>,
    pub(crate) clock: ManualClock,
    pub(crate) events: Events,
    pub(crate) app: App,
}

/// The events of a site, in their order.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<EventKind>>>);

impl Events {
    pub(crate) fn count(&self, kind: EventKind) -> usize {
        self.0.lock().unwrap().iter().filter(|happened| **happened == kind).count()
    }

    pub(crate) fn add(&self, kind: EventKind) {
        self.0.lock().unwrap().push(kind);
    }

    pub(crate) fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Site {
    pub(crate) fn new(policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        Self::with(Adaptor::Axum, policy)
    }

    /// A site that is made with another framework.
    pub(crate) fn with(adaptor: Adaptor, policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        let clock = ManualClock::new();
        let store = FaultyStore::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        Self::built(adaptor, store, clock, policy, |builder| builder)
    }

    /// Another node on the same store.
    pub(crate) fn on(
        store: FaultyStore<MemoryStore>,
        clock: ManualClock,
        policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
    ) -> Self {
        Self::built(Adaptor::Axum, store, clock, policy, |builder| builder)
    }

    /// The site after a migration has begun: on a store of its own, with the sessions of before behind it.
    pub(crate) fn after(before: &Self, policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        let clock = before.clock.clone();
        let store = FaultyStore::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        Self::after_on(store, before, policy)
    }

    /// The same on a store that is there already.
    pub(crate) fn after_on(
        store: FaultyStore<MemoryStore>,
        before: &Self,
        policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
    ) -> Self {
        let sessions = before.sessions.clone();
        Self::built(Adaptor::Axum, store, before.clock.clone(), policy, |builder| {
            builder.migrate_from(sessions)
        })
    }

    fn built(
        adaptor: Adaptor,
        store: FaultyStore<MemoryStore>,
        clock: ManualClock,
        policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
        with: impl FnOnce(SessionsBuilder) -> SessionsBuilder,
    ) -> Self {
        let policy = policy(Policy::builder().dangerous_insecure_cookie()).build().unwrap();
        let events = Events::default();
        let happened = events.clone();
        let builder = Sessions::builder()
            .policy(policy)
            .clock(clock.clone())
            .purge_every(None)
            .on_event(move |event| happened.add(event.kind));
        let sessions = with(builder).store(store.clone());
        let app = adaptor.app(vec![Around::Sessions(sessions.clone())]);
        Self { sessions, store, clock, events, app }
    }

    /// A browser without cookies.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor { browser: TestBrowser::new(self.app.clone()), last: None }
    }

    /// A browser with the cookie of a session that is there already.
    pub(crate) async fn visitor_with<T>(&self, prepare: impl FnOnce(&Session) -> Result<T>) -> Visitor {
        let mut visitor = self.visitor();
        visitor.browser.set_cookie(self.sessions.prepare(prepare).await.unwrap().set_cookie());
        self.settle().await;
        visitor
    }

    /// Waits until all that no response waits for is done, and forgets what was counted.
    pub(crate) async fn settle(&self) {
        self.sessions.shutdown().await;
        self.store.faults().reset_calls();
        self.events.take();
    }

    /// How many store calls there were on and off the requests' path.
    pub(crate) async fn round_trips(&self) -> u64 {
        self.sessions.shutdown().await;
        self.store.faults().round_trips()
    }
}

/// A request under way.
pub(crate) type Replying = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A browser at the site.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) browser: TestBrowser,
    last: Option<Reply>,
}

impl Visitor {
    pub(crate) fn of(browser: TestBrowser) -> Self {
        Self { browser, last: None }
    }

    /// Does something in the handler of a page, which succeeds.
    pub(crate) async fn page<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&Session) -> Result<T> + Send + 'static,
    ) -> T {
        self.succeed(page("/"), act).await
    }

    /// As [`page`](Self::page), in `Merge`.
    pub(crate) async fn merge<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&Session) -> Result<T> + Send + 'static,
    ) -> T {
        self.succeed(page("/merge"), act).await
    }

    /// As [`page`](Self::page), behind the page.
    pub(crate) async fn fetch<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&Session) -> Result<T> + Send + 'static,
    ) -> T {
        self.succeed(fetch("/"), act).await
    }

    /// Reads in the handler of a page that only reads.
    pub(crate) async fn view<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&SessionView) -> Result<T> + Send + 'static,
    ) -> T {
        self.succeed(page("/view"), act).await
    }

    /// Does something in the handler of a page, and keeps the cookies of whatever comes of it.
    pub(crate) async fn reply<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&Session) -> Result<T> + Send + 'static,
    ) -> Reply {
        let reply = self.start(page("/"), move |session: Session| ready(act(&session).map(drop))).await;
        self.browser.keep(&reply);
        reply
    }

    /// Opens a path whose page does nothing.
    pub(crate) async fn open(&mut self, path: &str) -> Reply {
        self.browser.get(path).await
    }

    /// Sends a request whose handler does something, and keeps nothing of the reply.
    pub(crate) fn start<S, F, R>(
        &self,
        mut request: Request<String>,
        act: impl FnOnce(S) -> F + Send + 'static,
    ) -> Replying
    where
        S: Send + 'static,
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        request.extensions_mut().insert(Act::new(act));
        Box::pin(self.browser.send(request))
    }

    /// Sends a request whose handler has the session and waits to be told to go on.
    pub(crate) async fn hold<T: Send + 'static>(
        &self,
        path: &str,
        then: impl FnOnce(&Session) -> Result<T> + Send + 'static,
    ) -> Held {
        let (entered, has_entered) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel();
        let reply = tokio::spawn(self.start(page(path), async |session: Session| {
            entered.send(()).unwrap();
            goes_on.await.unwrap();
            then(&session).map(drop)
        }));
        has_entered.await.unwrap();
        Held { go_on, reply }
    }

    /// What the last successful response did to the session's cookie.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        self.last.as_ref().and_then(|reply| reply.cookie(COOKIE))
    }

    /// The value of the session's cookie.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.browser.cookie(COOKIE)
    }

    async fn succeed<S: Send + 'static, T: Send + 'static>(
        &mut self,
        request: Request<String>,
        act: impl FnOnce(&S) -> Result<T> + Send + 'static,
    ) -> T {
        let (sender, mut outcome) = oneshot::channel();
        let reply = self
            .start(request, move |session: S| {
                ready(act(&session).map(|value| {
                    let _ = sender.send(value);
                }))
            })
            .await;
        assert_eq!(reply.status(), 200, "{}", reply.text());
        self.browser.keep(&reply);
        self.last = Some(reply);
        outcome.try_recv().unwrap()
    }
}

/// A request whose handler has the session and waits.
pub(crate) struct Held {
    go_on: oneshot::Sender<()>,
    reply: JoinHandle<Reply>,
}

impl Held {
    /// Lets the handler go on, and returns what came of it.
    pub(crate) async fn finish(self) -> Reply {
        self.go_on.send(()).unwrap();
        self.reply.await.unwrap()
    }

    /// Drops the request with its handler, as a server does whose client hangs up.
    pub(crate) async fn hang_up(self) {
        self.reply.abort();
        assert!(self.reply.await.unwrap_err().is_cancelled());
    }
}

/// A request for a page.
pub(crate) fn page(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).unwrap()
}

/// A request that a script makes.
pub(crate) fn fetch(path: &str) -> Request<String> {
    let request = Request::get(path).header("sec-fetch-mode", "cors").header("sec-fetch-dest", "empty");
    request.body(String::new()).unwrap()
}

/// A browser with the cookies of another one, at another site.
pub(crate) fn moved(browser: &TestBrowser, to: &Site) -> TestBrowser {
    let mut moved = TestBrowser::new(to.app.clone());
    browser.cookies().split("; ").for_each(|cookie| moved.set_cookie(cookie));
    moved
}
