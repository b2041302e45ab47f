//! Pages of actix-web, in a thread with a runtime of its own, as its workers are.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use actix_web::body::BodyStream;
use actix_web::dev::{Service as _, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{self, ReqData, ServiceConfig};
use actix_web::{FromRequest, HttpMessage as _, HttpResponse};
use axum::body::{Body, to_bytes};
use axum::response::Response;
use bytes::Bytes;
use http::{Request, request::Parts};
use steadfast::actix::{Exclusive, Merge};
use steadfast::testing::RequestBody;
use steadfast::{CommitError, Error, PeerAddr, Result, Session, SessionView};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{Act, All, Around};

/// A worker that serves pages until its last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    requests: mpsc::UnboundedSender<Job>,
    running: Arc<watch::Sender<usize>>,
    ended: Arc<Notify>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// A request under way. Whoever waits for its response and goes away has hung up.
#[derive(Debug)]
struct Job {
    head: Parts,
    body: Bytes,
    response: oneshot::Sender<Response>,
    running: Running,
}

/// Counts a request for as long as anything is left of it.
#[derive(Debug)]
struct Running(Arc<watch::Sender<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Worker {
    pub(super) fn start(around: Vec<Around>) -> Self {
        let (requests, mut jobs) = mpsc::unbounded_channel();
        let ended = Arc::new(Notify::new());
        let end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let app = actix_web::App::new().configure(pages(around));
                let app = Rc::new(init_service(app).await);
                while let Some(job) = tokio::select! {
                    job = jobs.recv() => job,
                    () = end.notified() => None,
                } {
                    let app = Rc::clone(&app);
                    tokio::task::spawn_local(async move {
                        let Job { head, body, mut response, running: _last } = job;
                        let request = request_of(&head, body).to_request();
                        hand_over(&head.extensions, &mut request.extensions_mut());
                        tokio::select! {
                            answered = app.call(request) => {
                                let answered = match answered {
                                    Ok(answered) => answered.into_parts().1.map_into_boxed_body(),
                                    Err(error) => error.error_response(),
                                };
                                drop(response.send(from_actix(answered).await));
                            }
                            () = response.closed() => {}
                        }
                    });
                }
            });
        });
        let thread = Arc::new(Mutex::new(Some(thread)));
        Self { requests, running: Arc::default(), ended, thread }
    }

    /// Ends the thread with its runtime, and all that runs in it.
    pub(crate) fn end(&self) {
        self.ended.notify_one();
        self.thread.lock().unwrap().take().unwrap().join().unwrap();
    }

    /// Waits until nothing is left of any request.
    pub(super) async fn quiet(&self) {
        self.running.subscribe().wait_for(|running| *running == 0).await.unwrap();
    }

    pub(super) fn answer(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        self.running.send_modify(|running| *running += 1);
        let (requests, running) = (self.requests.clone(), Running(Arc::clone(&self.running)));
        async move {
            let (head, body) = request.into_parts();
            let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
            let (response, answered) = oneshot::channel();
            requests.send(Job { head, body, response, running }).unwrap();
            Ok(answered.await.expect("the handler did not panic"))
        }
    }
}

/// The pages with what is around them, from the inside out.
fn pages(around: Vec<Around>) -> Box<dyn FnOnce(&mut ServiceConfig)> {
    around.into_iter().fold(Box::new(routes), |inside, around| {
        let inside = web::scope("").configure(inside);
        Box::new(move |app| {
            match around {
                Around::Sessions(sessions) => app.service(inside.wrap(sessions.layer())),
                Around::Session(before) => {
                    app.service(inside.wrap(from_fn(move |taken: Session, request, next| {
                        middleware(before(&taken), request, next)
                    })))
                }
                Around::Merge(before) => {
                    app.service(inside.wrap(from_fn(move |Merge(taken): Merge, request, next| {
                        middleware(before(&taken), request, next)
                    })))
                }
                Around::View(before) => {
                    app.service(inside.wrap(from_fn(move |taken: SessionView, request, next| {
                        middleware(before(&taken), request, next)
                    })))
                }
            };
        })
    })
}

async fn middleware<B>(
    before: Result<()>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    before?;
    next.call(request).await
}

fn routes(app: &mut ServiceConfig) {
    app.route("/", page(|session: Session| session))
        .route("/exclusive", page(|Exclusive(session)| session))
        .route("/merge", page(|Merge(session)| session))
        .route("/view", page(|view: SessionView| view))
        .route(
            "/all",
            page(
                |(one, view, Merge(two), Exclusive(three)): (Session, SessionView, Merge, Exclusive)| -> All {
                    (one, view, two, three)
                },
            ),
        )
        .route("/tolerant", page(|session: Result<Session, Error>| session))
        .route("/static", web::to(|| async { "static" }));
}

/// A page that hands what it takes to whatever the request says.
fn page<T: FromRequest + 'static, S: 'static>(hand_out: fn(T) -> S) -> actix_web::Route {
    web::to(move |taken: T, act: ReqData<Act<S>>| async move {
        from_axum(act.into_inner().run(hand_out(taken)).await)
    })
}

/// Makes a request of actix-web's, without what lies beside it.
fn request_of(head: &Parts, body: Bytes) -> TestRequest {
    let method = Method::from_bytes(head.method.as_str().as_bytes()).unwrap();
    let mut request = TestRequest::with_uri(&head.uri.to_string()).method(method).set_payload(body);
    if let Some(PeerAddr(peer)) = head.extensions.get() {
        request = request.peer_addr(*peer);
    }
    head.headers.iter().fold(request, |request, (name, value)| {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.append_header((name.as_str(), value))
    })
}

/// Hands over what pages are to do.
fn hand_over(from: &http::Extensions, to: &mut actix_web::dev::Extensions) {
    fn one<S: 'static>(from: &http::Extensions, to: &mut actix_web::dev::Extensions) {
        if let Some(act) = from.get::<Act<S>>() {
            to.insert(act.clone());
        }
    }
    one::<Session>(from, to);
    one::<SessionView>(from, to);
    one::<Result<Session, Error>>(from, to);
    one::<All>(from, to);
}

fn from_axum(response: Response) -> HttpResponse {
    let (head, body) = response.into_parts();
    let mut made = HttpResponse::build(StatusCode::from_u16(head.status.as_u16()).unwrap());
    for (name, value) in &head.headers {
        made.append_header((name.as_str(), HeaderValue::from_bytes(value.as_bytes()).unwrap()));
    }
    made.body(BodyStream::new(body.into_data_stream()))
}

async fn from_actix(response: HttpResponse) -> Response {
    let mut made = Response::builder().status(response.status().as_u16());
    for (name, value) in response.headers() {
        made = made.header(name.as_str(), value.as_bytes());
    }
    if let Some(error) = response.extensions().get::<CommitError>() {
        made = made.extension(error.clone());
    }
    let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
    made.body(Body::from(body)).unwrap()
}
