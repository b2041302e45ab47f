//! What becomes of the session with each way in which a request can end, and what the response says.

use std::future::{pending, ready};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use steadfast::store::memory::MemoryStore;
use steadfast::testing::{Fault, FaultyStore, Op, TestBrowser};
use steadfast::{CommitError, Error, ErrorKind, OnServerError, Result, Session, SessionView};
use tokio::sync::{Notify, oneshot};

use crate::app::{Adaptor, All, Around, on_every_adaptor};
use crate::site::{COOKIE, Site, Visitor, page};

on_every_adaptor! {
    a_response_of_a_session_is_private
    a_visitor_without_a_session_gets_a_private_response_too
    what_the_handler_says_about_caching_stays
    each_status_is_committed
    a_policy_can_discard_what_a_5xx_did
    what_was_closed_before_a_discarded_5xx_keeps_its_cookie
    a_handler_that_panics_writes_nothing_and_holds_up_nobody
    a_closure_that_panics_under_the_session_leaves_nothing_locked
    a_handler_that_is_dropped_writes_nothing_and_holds_up_nobody
    staged_changes_of_a_dropped_handler_are_dropped
    a_client_that_hangs_up_does_not_cancel_the_commit
    after_the_head_reads_see_what_was_committed_and_writes_are_closed
    a_streaming_body_reads_on_after_the_commit
    closing_commits_and_lets_the_next_request_have_the_session
    what_was_closed_sends_its_cookie_with_the_response
    a_close_that_fails_says_so_and_sends_no_cookie
    a_failed_commit_replaces_the_response
    the_same_layer_twice_is_the_layer_once
    two_layers_of_different_sessions_live_beside_each_other
    a_route_without_the_layer_says_what_to_do
    an_error_of_middleware_is_a_response_and_is_committed
    an_error_of_middleware_can_be_discarded
    middleware_and_handler_share_one_session
    a_sign_in_of_the_middleware_is_one_of_the_request
    a_request_that_takes_the_session_twice_ages_flash_once
    a_csrf_token_of_the_middleware_is_one_of_the_session
    what_a_view_was_told_about_extending_holds_for_the_request
    all_extractors_of_a_request_wait_for_each_other_never
}

/// What a handler does.
type Doing = fn(&Session) -> Result<()>;

fn a(session: &Session) -> Result<Option<u32>> {
    session.get("a")
}

async fn site(adaptor: Adaptor) -> (Site, Visitor) {
    let site = Site::with(adaptor, |p| p);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    (site, visitor)
}

async fn a_response_of_a_session_is_private(adaptor: Adaptor) {
    let (_site, mut visitor) = site(adaptor).await;
    for path in ["/", "/merge"] {
        let reply = visitor.start(page(path), |_: Session| ready(())).await;
        assert_eq!((reply.header("cache-control"), reply.header("vary")), (Some("no-store"), Some("cookie")));
    }
    let reply = visitor.start(page("/view"), |_: SessionView| ready(())).await;
    assert_eq!((reply.header("cache-control"), reply.header("vary")), (Some("no-store"), Some("cookie")));
    let reply = visitor.open("/static").await;
    assert_eq!((reply.header("cache-control"), reply.header("vary")), (None, None));
}

async fn a_visitor_without_a_session_gets_a_private_response_too(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p);
    let reply = site.visitor().start(page("/"), |_: Session| ready(())).await;
    assert_eq!((reply.header("cache-control"), reply.header("vary")), (Some("no-store"), Some("cookie")));
}

async fn what_the_handler_says_about_caching_stays(adaptor: Adaptor) {
    let (_site, visitor) = site(adaptor).await;
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

async fn each_status_is_committed(adaptor: Adaptor) {
    let (_site, visitor) = site(adaptor).await;
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

async fn a_policy_can_discard_what_a_5xx_did(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p.on_server_error(OnServerError::Discard));
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

async fn what_was_closed_before_a_discarded_5xx_keeps_its_cookie(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p.on_server_error(OnServerError::Discard));
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

async fn a_handler_that_panics_writes_nothing_and_holds_up_nobody(adaptor: Adaptor) {
    let (site, visitor) = site(adaptor).await;
    let act = |s: Session| {
        s.set("a", 9).unwrap();
        s.login("alice").unwrap();
        if s.has("a") {
            panic!("on purpose");
        }
        ready(())
    };
    assert!(tokio::spawn(visitor.start(page("/"), act)).await.unwrap_err().is_panic());
    site.app.quiet().await;
    site.sessions.shutdown().await;
    assert_eq!(site.store.faults().calls(Op::Release), 1);
    assert_eq!(visitor.clone().page(|s| Ok((a(s)?, s.user()))).await, (Some(1), None));
}

async fn a_closure_that_panics_under_the_session_leaves_nothing_locked(adaptor: Adaptor) {
    let (site, visitor) = site(adaptor).await;
    let act = |s: Session| ready(s.update::<u32>("a", |_| panic!("on purpose")));
    assert!(tokio::spawn(visitor.start(page("/"), act)).await.unwrap_err().is_panic());
    site.app.quiet().await;
    assert_eq!(visitor.clone().page(a).await, Some(1));
}

async fn a_handler_that_is_dropped_writes_nothing_and_holds_up_nobody(adaptor: Adaptor) {
    for path in ["/exclusive", "/merge"] {
        let (site, visitor) = site(adaptor).await;
        let slow = visitor.hold(path, |s| s.set("a", 9)).await;
        slow.hang_up().await;
        site.app.quiet().await;
        site.sessions.shutdown().await;
        assert_eq!(visitor.clone().page(a).await, Some(1), "{path}");
    }
}

async fn staged_changes_of_a_dropped_handler_are_dropped(adaptor: Adaptor) {
    let (site, visitor) = site(adaptor).await;
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
    site.app.quiet().await;
    assert_eq!(visitor.clone().page(a).await, Some(1));
}

async fn a_client_that_hangs_up_does_not_cancel_the_commit(adaptor: Adaptor) {
    let acts: [(Op, Doing); 3] =
        [(Op::Update, |s| s.set("a", 9)), (Op::Replace, |s| s.login("alice")), (Op::Delete, |s| s.logout())];
    for (nth, (op, act)) in acts.into_iter().enumerate() {
        let (site, visitor) = site(adaptor).await;
        let gate = site.store.faults().hold(op);
        let request = tokio::spawn(visitor.start(page("/"), move |s: Session| ready(act(&s))));
        gate.arrived(1).await;
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        site.app.quiet().await;
        gate.open();
        site.sessions.shutdown().await;
        match nth {
            0 => assert_eq!(visitor.clone().page(a).await, Some(9)),
            1 => assert_eq!(site.sessions.sessions_of("alice").await.unwrap().len(), 1),
            _ => assert_eq!(site.sessions.count().await.unwrap(), 0),
        }
    }
}

#[cfg(feature = "actix")]
#[tokio::test]
async fn a_commit_whose_client_hung_up_outlives_the_worker() {
    let (site, visitor) = site(Adaptor::Actix).await;
    let gate = site.store.faults().hold(Op::Update);
    let request = tokio::spawn(visitor.start(page("/"), |s: Session| ready(s.set("a", 9))));
    gate.arrived(1).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    let crate::app::App::Actix(worker) = &site.app else { unreachable!("as it was made") };
    worker.end();
    gate.open();
    site.sessions.shutdown().await;
    let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.get::<u32>("a").unwrap(), Some(9));
}

async fn after_the_head_reads_see_what_was_committed_and_writes_are_closed(adaptor: Adaptor) {
    let (site, visitor) = site(adaptor).await;
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

async fn a_streaming_body_reads_on_after_the_commit(adaptor: Adaptor) {
    let (site, visitor) = site(adaptor).await;
    let store = site.store.clone();
    let reply = visitor.start(page("/"), move |session: Session| {
        session.set("a", 2).unwrap();
        ready(Body::new(LateBody { store, session: Some(session) }))
    });
    assert_eq!(reply.await.text(), "2 closed after 1 commit");
}

/// A body that looks at the session when it is read.
struct LateBody {
    store: FaultyStore<MemoryStore>,
    session: Option<Session>,
}

impl http_body::Body for LateBody {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        let seen = self.session.take().map(|session| {
            let commits = self.store.faults().calls(Op::Update);
            let write = session.set("a", 3).unwrap_err().kind();
            format!("{} {write} after {commits} commit", a(&session).unwrap().unwrap())
        });
        std::task::Poll::Ready(seen.map(|seen| Ok(http_body::Frame::data(seen.into()))))
    }
}

async fn closing_commits_and_lets_the_next_request_have_the_session(adaptor: Adaptor) {
    let (_site, visitor) = site(adaptor).await;
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

async fn what_was_closed_sends_its_cookie_with_the_response(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p);
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

async fn a_close_that_fails_says_so_and_sends_no_cookie(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p);
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

async fn a_failed_commit_replaces_the_response(adaptor: Adaptor) {
    let (site, visitor) = site(adaptor).await;
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

/// The session's sessions, so many times around each other.
fn layers(site: &Site, depth: usize) -> Vec<Around> {
    (0..depth).map(|_| Around::Sessions(site.sessions.clone())).collect()
}

async fn the_same_layer_twice_is_the_layer_once(adaptor: Adaptor) {
    let (site, visitor) = site(adaptor).await;
    let twice = at(adaptor, layers(&site, 2), Some(&visitor));
    let reply = twice.start(page("/"), |s: Session| ready(s.increment("n", 1).map(|n| n.to_string()))).await;
    assert_eq!((reply.text().as_ref(), reply.headers().get_all("vary").iter().count()), ("1", 1));
    assert_eq!(site.round_trips().await, 2);
    let fresh = at(adaptor, layers(&site, 3), None);
    let reply = fresh.start(page("/"), |s: Session| ready(s.set("n", 1))).await;
    assert_eq!(reply.set_cookies().count(), 1);
}

/// A browser at pages with something around them, with the cookies of another one.
fn at(adaptor: Adaptor, around: Vec<Around>, like: Option<&Visitor>) -> Visitor {
    let mut browser = TestBrowser::new(adaptor.app(around));
    if let Some(like) = like {
        browser.set_cookie(&like.browser.cookies());
    }
    Visitor::of(browser)
}

async fn two_layers_of_different_sessions_live_beside_each_other(adaptor: Adaptor) {
    let (inner, outer) = (Site::new(|p| p.cookie_name("inner")), Site::new(|p| p.cookie_name("outer")));
    let mut visitor = at(
        adaptor,
        vec![
            Around::Sessions(inner.sessions.clone()),
            Around::session(|s| s.increment("n", 1).map(drop)),
            Around::Sessions(outer.sessions.clone()),
        ],
        None,
    );
    visitor.page(|s| s.increment("n", 10)).await;
    assert_eq!(visitor.page(|s| s.increment("n", 10)).await, 20);
    let left = outer.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.get::<u32>("n").unwrap(), Some(2));
}

async fn a_route_without_the_layer_says_what_to_do(adaptor: Adaptor) {
    let visitor = at(adaptor, Vec::new(), None);
    let reply = visitor.start(page("/"), |_: Session| ready(())).await;
    assert_eq!((reply.status().as_u16(), reply.text().as_ref()), (500, "Something went wrong on our side."));
    let why = |session: Result<Session>| ready(session.unwrap_err().to_string());
    let told = visitor.start(page("/tolerant"), why).await;
    assert!(told.text().contains("(sessions.layer())"), "{}", told.text());
}

async fn an_error_of_middleware_is_a_response_and_is_committed(adaptor: Adaptor) {
    let site = Site::new(|p| p);
    let refuse = |s: &Session| {
        s.increment("refused", 1)?;
        Err(Error::new(ErrorKind::Stale, "as the test wants it"))
    };
    let around = vec![Around::merge(refuse), Around::Sessions(site.sessions.clone())];
    let mut visitor = at(adaptor, around, None);
    for _ in 0..2 {
        let reply = visitor.open("/static").await;
        assert_eq!((reply.status().as_u16(), reply.header("cache-control")), (409, Some("no-store")));
        assert_eq!(reply.text(), "Your session changed meanwhile. Please reload the page.");
    }
    let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.get::<u32>("refused").unwrap(), Some(2));

    site.store.faults().fail_next(Op::Update, Fault::Refused, 1);
    let reply = visitor.open("/static").await;
    assert_eq!((reply.status().as_u16(), reply.text().as_ref()), (503, ""));
    assert_eq!(reply.extensions().get::<CommitError>().unwrap().0.kind(), ErrorKind::Unavailable);
}

async fn an_error_of_middleware_can_be_discarded(adaptor: Adaptor) {
    let site = Site::new(|p| p.on_server_error(OnServerError::Discard));
    let fail = |s: &Session| {
        s.set("a", 1)?;
        Err(Error::new(ErrorKind::Codec, "as the test wants it"))
    };
    let around = vec![Around::session(fail), Around::Sessions(site.sessions.clone())];
    let reply = at(adaptor, around, None).open("/static").await;
    assert_eq!((reply.status().as_u16(), reply.set_cookies().count()), (500, 0));
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

fn report(s: &Session) -> Result<HeaderMap> {
    let mut seen = HeaderMap::new();
    seen.insert("x-notice", s.flash_get::<String>("notice")?.unwrap_or_default().parse().unwrap());
    seen.insert("x-n", s.increment("n", 1)?.into());
    seen.insert("x-user", s.user().unwrap_or_default().parse().unwrap());
    Ok(seen)
}

/// A visitor of a page whose middleware merges and whose handler is exclusive.
struct Upgrading(Visitor);

impl Upgrading {
    fn new(adaptor: Adaptor, (site, like): &(Site, Visitor), before: fn(&Session) -> Result<()>) -> Self {
        let around = vec![Around::merge(before), Around::Sessions(site.sessions.clone())];
        Self(at(adaptor, around, Some(like)))
    }

    async fn report(&mut self, of: &str) -> String {
        let reply = self.0.start(page("/exclusive"), |s: Session| ready(report(&s))).await;
        self.0.browser.keep(&reply);
        reply.header(of).unwrap().to_owned()
    }
}

async fn middleware_and_handler_share_one_session(adaptor: Adaptor) {
    let mut visitor = Upgrading::new(adaptor, &site(adaptor).await, |s| s.increment("n", 10).map(drop));
    assert_eq!(visitor.report("x-n").await, "11");
    assert_eq!(visitor.report("x-n").await, "22");
}

async fn a_sign_in_of_the_middleware_is_one_of_the_request(adaptor: Adaptor) {
    let begun = site(adaptor).await;
    let mut visitor = Upgrading::new(adaptor, &begun, |s| s.login("alice"));
    assert_eq!(visitor.report("x-user").await, "alice");
    let left = begun.0.sessions.inspect(visitor.0.browser.cookies()).await.unwrap().unwrap();
    assert_eq!(left.user().as_deref(), Some("alice"));
}

async fn a_request_that_takes_the_session_twice_ages_flash_once(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p);
    let visitor = site.visitor_with(|s| s.flash("notice", "saved")).await;
    let mut visitor = Upgrading::new(adaptor, &(site, visitor), |_| Ok(()));
    assert_eq!(visitor.report("x-notice").await, "saved");
    assert_eq!(visitor.report("x-notice").await, "");
}

async fn a_csrf_token_of_the_middleware_is_one_of_the_session(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p);
    let token: Arc<Mutex<String>> = Arc::default();
    let made = Arc::clone(&token);
    let keep = move |s: &Session| {
        *made.lock().unwrap() = s.csrf_token()?;
        Ok(())
    };
    let around = vec![Around::merge(keep), Around::Sessions(site.sessions.clone())];
    let visitor = at(adaptor, around, None);
    let reply = visitor.start(page("/exclusive"), |_: Session| ready(())).await;
    let mut visitor = site.visitor();
    visitor.browser.keep(&reply);
    let token = token.lock().unwrap().clone();
    assert!(visitor.page(move |s| Ok(s.verify_csrf(token))).await);
}

async fn what_a_view_was_told_about_extending_holds_for_the_request(adaptor: Adaptor) {
    let minute = std::time::Duration::from_secs(60);
    let site = Site::with(adaptor, |p| p.idle_timeout(10 * minute));
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let viewed = |view: &SessionView| {
        view.do_not_extend();
        Ok(())
    };
    let around = vec![Around::view(viewed), Around::Sessions(site.sessions.clone())];
    let visitor = at(adaptor, around, Some(&visitor));
    site.clock.advance(6 * minute);
    visitor.start(page("/"), |_: Session| ready(())).await;
    site.sessions.shutdown().await;
    site.clock.advance(6 * minute);
    assert!(site.sessions.inspect(visitor.browser.cookies()).await.unwrap().is_none());
}

async fn all_extractors_of_a_request_wait_for_each_other_never(adaptor: Adaptor) {
    let (site, visitor) = site(adaptor).await;
    let all = |(one, view, two, three): All| {
        one.set("a", 5)?;
        assert_eq!(view.get::<u32>("a")?, Some(5));
        two.increment("a", 1)?;
        Result::<_>::Ok(three.get::<u32>("a")?.unwrap().to_string())
    };
    let reply = visitor.start(page("/all"), move |taken: All| ready(all(taken))).await;
    assert_eq!(reply.text(), "6");
    assert_eq!(site.round_trips().await, 2);
}
