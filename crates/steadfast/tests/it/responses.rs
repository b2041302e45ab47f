//! What becomes of the session with each way in which a request can end, and what the response says.

use std::future::{pending, ready};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, StatusCode, header};
use steadfast::axum::{Exclusive, Merge};
use steadfast::testing::{Fault, Op, TestBrowser};
use steadfast::{CommitError, ErrorKind, OnServerError, Result, Session, SessionView};
use tokio::sync::{Notify, oneshot};
use tower::ServiceExt as _;

use crate::site::{COOKIE, Site, Visitor, page};

/// What a handler does.
type Doing = fn(&Session) -> Result<()>;

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    (site, visitor)
}

#[tokio::test]
async fn a_response_of_a_session_is_private() {
    let (_site, mut visitor) = site().await;
    for path in ["/", "/merge"] {
        let reply = visitor.start(page(path), |_: Session| ready(())).await;
        assert_eq!((reply.header("cache-control"), reply.header("vary")), (Some("no-store"), Some("cookie")));
    }
    let reply = visitor.start(page("/view"), |_: SessionView| ready(())).await;
    assert_eq!((reply.header("cache-control"), reply.header("vary")), (Some("no-store"), Some("cookie")));
    let reply = visitor.open("/static").await;
    assert_eq!((reply.header("cache-control"), reply.header("vary")), (None, None));
}

#[tokio::test]
async fn a_visitor_without_a_session_gets_a_private_response_too() {
    let site = Site::new(|p| p);
    let reply = site.visitor().start(page("/"), |_: Session| ready(())).await;
    assert_eq!((reply.header("cache-control"), reply.header("vary")), (Some("no-store"), Some("cookie")));
}

#[tokio::test]
async fn what_the_handler_says_about_caching_stays() {
    let (_site, visitor) = site().await;
    let headers = [(header::CACHE_CONTROL, "private, max-age=5"), (header::VARY, "Accept")];
    let reply = visitor.start(page("/"), move |_: Session| ready(headers)).await;
    assert_eq!(reply.header("cache-control"), Some("private, max-age=5"));
    let vary: Vec<_> = reply.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept", "cookie"]);
    for said in ["Accept, Cookie", "*"] {
        let reply = visitor.start(page("/"), move |_: Session| ready([(header::VARY, said)])).await;
        assert_eq!(reply.headers().get_all("vary").iter().count(), 1);
    }
}

#[tokio::test]
async fn each_status_is_committed() {
    let (_site, visitor) = site().await;
    for (n, status) in [200_u16, 303, 404, 422, 500, 503].into_iter().enumerate() {
        let reply = visitor
            .start(page("/"), move |s: Session| {
                ready(s.set("a", n).map(|()| StatusCode::from_u16(status).unwrap()))
            })
            .await;
        assert_eq!(reply.status(), status);
        assert_eq!(visitor.clone().page(a).await, Some(n as u32));
    }
}

async fn fail_with_500(visitor: &Visitor) -> steadfast::testing::Reply {
    let act = |s: Session| ready(s.set("a", 9).map(|()| StatusCode::INTERNAL_SERVER_ERROR));
    visitor.start(page("/"), act).await
}

#[tokio::test]
async fn a_policy_can_discard_what_a_5xx_did() {
    let site = Site::new(|p| p.on_server_error(OnServerError::Discard));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let reply = fail_with_500(&visitor).await;
    assert_eq!((reply.status().as_u16(), reply.header("cache-control")), (500, Some("no-store")));
    assert_eq!(visitor.page(a).await, Some(1));
    let reply = fail_with_500(&site.visitor()).await;
    assert_eq!(reply.cookie(COOKIE), None);
    let reply =
        visitor.start(page("/"), |s: Session| ready(s.set("a", 2).map(|()| StatusCode::NOT_FOUND))).await;
    assert_eq!(reply.status(), 404);
    assert_eq!(visitor.page(a).await, Some(2), "only 5xx is discarded");
}

#[tokio::test]
async fn what_was_closed_before_a_discarded_5xx_keeps_its_cookie() {
    let site = Site::new(|p| p.on_server_error(OnServerError::Discard));
    let mut visitor = site.visitor();
    let reply = visitor
        .start(page("/"), async |s: Session| {
            s.set("a", 1)?;
            s.close().await?;
            Result::<_>::Ok(StatusCode::INTERNAL_SERVER_ERROR)
        })
        .await;
    visitor.browser.keep(&reply);
    assert_eq!(visitor.page(a).await, Some(1));
}

#[tokio::test]
async fn a_handler_that_panics_writes_nothing_and_holds_up_nobody() {
    let (site, visitor) = site().await;
    let act = |s: Session| {
        s.set("a", 9).unwrap();
        s.login("alice").unwrap();
        if s.has("a") {
            panic!("on purpose");
        }
        ready(())
    };
    assert!(tokio::spawn(visitor.start(page("/"), act)).await.unwrap_err().is_panic());
    site.sessions.shutdown().await;
    assert_eq!(site.store.faults().calls(Op::Release), 1);
    assert_eq!(visitor.clone().page(|s| Ok((a(s)?, s.user()))).await, (Some(1), None));
}

#[tokio::test]
async fn a_closure_that_panics_under_the_session_leaves_nothing_locked() {
    let (_site, visitor) = site().await;
    let act = |s: Session| ready(s.update::<u32>("a", |_| panic!("on purpose")));
    assert!(tokio::spawn(visitor.start(page("/"), act)).await.unwrap_err().is_panic());
    assert_eq!(visitor.clone().page(a).await, Some(1));
}

#[tokio::test]
async fn a_handler_that_is_dropped_writes_nothing_and_holds_up_nobody() {
    for path in ["/exclusive", "/merge"] {
        let (site, visitor) = site().await;
        let slow = visitor.hold(path, |s| s.set("a", 9)).await;
        slow.hang_up().await;
        site.sessions.shutdown().await;
        assert_eq!(visitor.clone().page(a).await, Some(1), "{path}");
    }
}

#[tokio::test]
async fn staged_changes_of_a_dropped_handler_are_dropped() {
    let (_site, visitor) = site().await;
    let staged = Arc::new(Notify::new());
    let is_staged = Arc::clone(&staged);
    let request = tokio::spawn(visitor.start(page("/"), async move |s: Session| {
        s.set("a", 9).unwrap();
        is_staged.notify_one();
        pending::<()>().await;
    }));
    staged.notified().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    assert_eq!(visitor.clone().page(a).await, Some(1));
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_cancel_the_commit() {
    let acts: [(Op, Doing); 3] =
        [(Op::Update, |s| s.set("a", 9)), (Op::Replace, |s| s.login("alice")), (Op::Delete, |s| s.logout())];
    for (nth, (op, act)) in acts.into_iter().enumerate() {
        let (site, visitor) = site().await;
        let gate = site.store.faults().hold(op);
        let request = tokio::spawn(visitor.start(page("/"), move |s: Session| ready(act(&s))));
        gate.arrived(1).await;
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        gate.open();
        site.sessions.shutdown().await;
        match nth {
            0 => assert_eq!(visitor.clone().page(a).await, Some(9)),
            1 => assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 1),
            _ => assert_eq!(site.sessions.count().await.unwrap(), 0),
        }
    }
}

#[tokio::test]
async fn after_the_head_reads_see_what_was_committed_and_writes_are_closed() {
    let (site, visitor) = site().await;
    let (hand_out, handed) = oneshot::channel();
    let reply = visitor
        .start(page("/"), |s: Session| {
            s.set("a", 2).unwrap();
            let _ = hand_out.send(s);
            ready(())
        })
        .await;
    assert_eq!(reply.status(), 200);
    let session = handed.await.unwrap();
    visitor.clone().page(|s| s.set("a", 3)).await;
    assert_eq!(a(&session).unwrap(), Some(2));
    assert!(session.metadata().is_some());
    let no_strings: [&str; 0] = [];
    let refused: [Result<()>; 12] = [
        session.set("a", 4),
        session.flash("a", 4),
        session.set_temp("a", 4, std::time::Duration::ZERO),
        session.increment("a", 1).map(drop),
        session.remove("a").map(drop),
        session.take::<u32>("a").map(drop),
        session.clear(),
        session.keep_flash(no_strings),
        session.login("alice"),
        session.destroy(),
        session.rotate(),
        session.remember(true),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    }
    assert_eq!(visitor.clone().page(a).await, Some(3));
    drop(site);
}

#[tokio::test]
async fn a_streaming_body_reads_on_after_the_commit() {
    async fn stream(session: Session) -> Result<Body> {
        session.set("a", 2)?;
        let (go, gone) = oneshot::channel::<()>();
        let body = LateBody { session, first: Some(go), gone };
        Ok(Body::new(body))
    }
    let (site, visitor) = site().await;
    let app: Router = Router::new().route("/", get(stream)).layer(site.sessions.layer());
    let cookies = visitor.browser.cookies();
    let request = http::Request::get("/").header(header::COOKIE, cookies).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(visitor.clone().page(a).await, Some(2), "committed before the body began");
    let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
    assert_eq!(body, "2 closed");
}

/// A body that looks at the session when it is read.
struct LateBody {
    session: Session,
    first: Option<oneshot::Sender<()>>,
    gone: oneshot::Receiver<()>,
}

impl http_body::Body for LateBody {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        if self.first.take().is_none() {
            self.gone.close();
            return std::task::Poll::Ready(None);
        }
        let seen = a(&self.session).unwrap().unwrap();
        let write = self.session.set("a", 3).unwrap_err().kind();
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(format!("{seen} {write}").into()))))
    }
}

#[tokio::test]
async fn closing_commits_and_lets_the_next_request_have_the_session() {
    let (_site, visitor) = site().await;
    let mut next = visitor.clone();
    let reply = visitor
        .start(page("/exclusive"), async move |s: Session| {
            s.set("a", 2)?;
            s.close().await?;
            assert_eq!(next.page(|s| s.increment("a", 1)).await, 3, "while this handler still runs");
            assert_eq!(a(&s)?, Some(2));
            assert_eq!(s.set("a", 9).unwrap_err().kind(), ErrorKind::Closed);
            s.close().await
        })
        .await;
    assert_eq!(reply.status(), 200);
    assert_eq!(visitor.clone().page(a).await, Some(3));
}

#[tokio::test]
async fn what_was_closed_sends_its_cookie_with_the_response() {
    let site = Site::new(|p| p);
    let mut visitor = site.visitor();
    let reply = visitor
        .start(page("/"), async |s: Session| {
            s.set("a", 1)?;
            s.close().await?;
            Result::<_>::Ok(s.tag().unwrap())
        })
        .await;
    visitor.browser.keep(&reply);
    assert_eq!(visitor.page(|s| Ok(s.tag())).await.as_deref(), Some(&*reply.text()));
}

#[tokio::test]
async fn a_close_that_fails_says_so_and_sends_no_cookie() {
    let site = Site::new(|p| p);
    let visitor = site.visitor();
    site.store.faults().fail_next(Op::Create, Fault::Refused, 1);
    let reply = visitor
        .start(page("/"), async |s: Session| {
            s.set("a", 1)?;
            Result::<_>::Ok(s.close().await.unwrap_err().kind().to_string())
        })
        .await;
    assert_eq!((reply.text().as_ref(), reply.cookie(COOKIE)), ("unavailable", None));
}

#[tokio::test]
async fn a_failed_commit_replaces_the_response() {
    let (site, visitor) = site().await;
    site.store.faults().fail_next(Op::Update, Fault::Refused, 1);
    let reply = visitor
        .start(page("/"), |s: Session| {
            s.set("a", 2).unwrap();
            ready(([("x-private", "yes"), ("set-cookie", "other=1")], "saved!"))
        })
        .await;
    assert_eq!((reply.status().as_u16(), reply.header("retry-after")), (503, Some("1")));
    assert_eq!((reply.text().as_ref(), reply.header("x-private")), ("", None));
    assert_eq!(reply.set_cookies().count(), 0);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.extensions().get::<CommitError>().unwrap().0.kind(), ErrorKind::Unavailable);
    assert_eq!(visitor.clone().page(a).await, Some(1));
}

fn layered(site: &Site, depth: usize) -> Router {
    let app = Router::new().route("/", get(async |s: Session| s.increment("n", 1).map(|n| n.to_string())));
    (0..depth).fold(app, |app, _| app.layer(site.sessions.layer()))
}

#[tokio::test]
async fn the_same_layer_twice_is_the_layer_once() {
    let (site, visitor) = site().await;
    let mut browser = TestBrowser::new(layered(&site, 2));
    browser.set_cookie(&visitor.browser.cookies());
    let reply = browser.get("/").await;
    assert_eq!((reply.text().as_ref(), reply.headers().get_all("vary").iter().count()), ("1", 1));
    assert_eq!(site.round_trips().await, 2);
    let mut fresh = TestBrowser::new(layered(&site, 3));
    assert_eq!(fresh.get("/").await.set_cookies().count(), 1);
}

#[tokio::test]
async fn two_layers_of_different_sessions_live_beside_each_other() {
    let (inner, outer) = (Site::new(|p| p.cookie_name("inner")), Site::new(|p| p.cookie_name("outer")));
    let tick = async |request: Request, next: Next| {
        let (parts, body) = request.into_parts();
        let session = steadfast::session(&parts).await?;
        session.increment("n", 1)?;
        Result::<Response>::Ok(next.run(Request::from_parts(parts, body)).await)
    };
    let app: Router = Router::new()
        .route("/", get(async |s: Session| s.increment("n", 10).map(|n| n.to_string())))
        .layer(inner.sessions.layer())
        .layer(middleware::from_fn(tick))
        .layer(outer.sessions.layer());
    let mut browser = TestBrowser::new(app);
    browser.get("/").await;
    assert_eq!(browser.get("/").await.text(), "20");
    let left = outer.sessions.inspect(browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.get::<u32>("n").unwrap(), Some(2));
}

#[tokio::test]
async fn a_route_without_the_layer_says_what_to_do() {
    let app: Router = Router::new().route("/", get(|_: Session| ready(())));
    let reply = TestBrowser::new(app).get("/").await;
    assert_eq!(reply.status(), 500);
    let (parts, ()) = http::Request::new(()).into_parts();
    let error = steadfast::session_view(&parts).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSetUp);
    assert!(error.to_string().contains(".layer(sessions.layer())"));
}

/// What a middleware does before the handler.
#[derive(Clone, Copy)]
struct Before(fn(&Session) -> Result<()>);

async fn merged_before(
    Extension(Before(before)): Extension<Before>,
    Merge(session): Merge,
    request: Request,
    next: Next,
) -> Response {
    before(&session).unwrap();
    next.run(request).await
}

async fn viewed_before(view: SessionView, request: Request, next: Next) -> Response {
    view.do_not_extend();
    next.run(request).await
}

async fn exclusive_report(Exclusive(s): Exclusive) -> Result<impl IntoResponse> {
    let mut seen = HeaderMap::new();
    seen.insert("x-notice", s.flash_get::<String>("notice")?.unwrap_or_default().parse().unwrap());
    seen.insert("x-n", s.increment("n", 1)?.into());
    seen.insert("x-user", s.user().unwrap_or_default().parse().unwrap());
    Ok(seen)
}

/// A browser at a site whose middleware merges and whose handler is exclusive.
fn upgrading(site: &Site, before: fn(&Session) -> Result<()>) -> TestBrowser {
    let app: Router = Router::new()
        .route("/", get(exclusive_report))
        .layer(middleware::from_fn(merged_before))
        .layer(Extension(Before(before)))
        .layer(site.sessions.layer());
    TestBrowser::new(app)
}

#[tokio::test]
async fn middleware_and_handler_share_one_session() {
    let (site, visitor) = site().await;
    let mut browser = upgrading(&site, |s| s.increment("n", 10).map(drop));
    browser.set_cookie(&visitor.browser.cookies());
    assert_eq!(browser.get("/").await.header("x-n"), Some("11"));
    assert_eq!(browser.get("/").await.header("x-n"), Some("22"));
}

#[tokio::test]
async fn a_sign_in_of_the_middleware_is_one_of_the_request() {
    let (site, visitor) = site().await;
    let mut browser = upgrading(&site, |s| s.login("alice"));
    browser.set_cookie(&visitor.browser.cookies());
    assert_eq!(browser.get("/").await.header("x-user"), Some("alice"));
    assert_eq!(
        site.sessions.inspect(browser.cookies()).await.unwrap().unwrap().user().as_deref(),
        Some("alice")
    );
}

#[tokio::test]
async fn a_request_that_takes_the_session_twice_ages_flash_once() {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.flash("notice", "saved")).await;
    let mut browser = upgrading(&site, |_| Ok(()));
    browser.set_cookie(&visitor.browser.cookies());
    assert_eq!(browser.get("/").await.header("x-notice"), Some("saved"));
    assert_eq!(browser.get("/").await.header("x-notice"), Some(""));
}

#[tokio::test]
async fn a_csrf_token_of_the_middleware_is_one_of_the_session() {
    let site = Site::new(|p| p);
    let app: Router = Router::new()
        .route("/", get(async |Exclusive(_): Exclusive, Extension(Token(token)): Extension<Token>| token))
        .layer(middleware::from_fn(async |Merge(session): Merge, mut request: Request, next: Next| {
            let token = session.csrf_token()?;
            request.extensions_mut().insert(Token(token));
            Result::<Response>::Ok(next.run(request).await)
        }))
        .layer(site.sessions.layer());
    let mut browser = TestBrowser::new(app);
    let token = browser.get("/").await.text().into_owned();
    let mut visitor = Visitor::of(crate::site::moved(&browser, &site));
    assert!(visitor.page(move |s| Ok(s.verify_csrf(token))).await);
}

#[derive(Clone)]
struct Token(String);

#[tokio::test]
async fn what_a_view_was_told_about_extending_holds_for_the_request() {
    let minute = std::time::Duration::from_secs(60);
    let site = Site::new(|p| p.idle_timeout(10 * minute));
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let app: Router = Router::new()
        .route("/", get(|_: Session| ready(())))
        .layer(middleware::from_fn(viewed_before))
        .layer(site.sessions.layer());
    let mut browser = TestBrowser::new(app);
    browser.set_cookie(&visitor.browser.cookies());
    site.clock.advance(6 * minute);
    browser.get("/").await;
    site.sessions.shutdown().await;
    site.clock.advance(6 * minute);
    assert!(site.sessions.inspect(browser.cookies()).await.unwrap().is_none());
}

#[tokio::test]
async fn all_extractors_of_a_request_wait_for_each_other_never() {
    async fn all(
        one: Session,
        view: SessionView,
        Merge(two): Merge,
        Exclusive(three): Exclusive,
    ) -> Result<String> {
        one.set("a", 5)?;
        assert_eq!(view.get::<u32>("a")?, Some(5));
        two.increment("a", 1)?;
        Ok(three.get::<u32>("a")?.unwrap().to_string())
    }
    let (site, visitor) = site().await;
    let app: Router = Router::new().route("/", get(all)).layer(site.sessions.layer());
    let mut browser = TestBrowser::new(app);
    browser.set_cookie(&visitor.browser.cookies());
    assert_eq!(browser.get("/").await.text(), "6");
    assert_eq!(site.round_trips().await, 2);
}
