//! actix-web: each thread has a runtime and connections of its own.

use std::future::{Future, Ready, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use actix_web::body::{BodyStream, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{
    App, FromRequest, HttpMessage as _, HttpRequest, HttpResponse, HttpServer, Responder, ResponseError,
};
use steadfast::{CommitError, Session, SessionView};

use crate::answers::{Body, Fault, Reply, explain};
use crate::parameters::Query;
use crate::routes::{self, Arrived, Node, Open, View};
use crate::server::{self, Failure};

/// Seconds that running requests have at the end: more than any of them takes.
const SHUTDOWN: u64 = 3_600;

/// Serves until told to stop, and finishes what runs.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    workers: u16,
    node: Node,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(node.clone())
            .configure(routes::actix)
            .wrap(node.sessions.layer())
            .wrap(from_fn(around))
    })
    .workers(workers.into())
    // Answers are small, and their last packet must not wait for an acknowledgement.
    .tcp_nodelay(true)
    // Who hangs up wants no answer: the handler is dropped.
    .h1_allow_half_closed(false)
    .disable_signals()
    .shutdown_timeout(SHUTDOWN)
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(async move {
        stop.await;
        handle.stop(true).await;
    });
    server::tell(address)?;
    Ok(server.await?)
}

/// Notes when a request came, answers for a handler that panicked, and explains a failed commit, which the layer
/// answers without words.
async fn around<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    request.extensions_mut().insert(Arrived::now());
    let response = caught(next.call(request)).await??;
    let failed = response.response().extensions().get::<CommitError>().cloned();
    Ok(match failed {
        Some(CommitError(error)) => {
            let explained = with_head_of(response.response(), explain(&error));
            response.into_response(explained.map_into_right_body())
        }
        None => response.map_into_left_body(),
    })
}

async fn caught<F: Future>(future: F) -> Result<F::Output, Fault> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(Fault::Panic)),
    })
    .await
}

type Taking<T> = Pin<Box<dyn Future<Output = Result<T, Fault>>>>;

impl FromRequest for Open {
    type Error = Fault;
    type Future = Taking<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, session) = (request.clone(), Session::from_request(request, payload));
        Box::pin(async move {
            let session = session.await?;
            let arrived = request.extensions().get().copied();
            Ok(Self::new(session, Some(request.query_string()), arrived))
        })
    }
}

impl FromRequest for View {
    type Error = Fault;
    type Future = Taking<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, session) = (request.clone(), SessionView::from_request(request, payload));
        Box::pin(async move { Ok(Self::new(session.await?, Some(request.query_string()))) })
    }
}

impl FromRequest for Query {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::parse(Some(request.query_string()))))
    }
}

impl FromRequest for Node {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.app_data::<Self>().expect("the application has it").clone()))
    }
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        response(self)
    }
}

impl ResponseError for Fault {
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Session(error) => with_head_of(&error.error_response(), self.reply()),
            Self::Parameter(_) | Self::Panic => response(self.reply()),
        }
    }
}

fn response(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).expect("an answer has a status of HTTP");
    let mut response = HttpResponse::with_body(
        status,
        match reply.body {
            Body::Whole(bytes) => BoxBody::new(bytes),
            Body::Pieces(pieces) => BoxBody::new(BodyStream::new(pieces)),
        },
    );
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response
}

/// Puts a reply behind the head of a response.
fn with_head_of<B>(head: &HttpResponse<B>, reply: Reply) -> HttpResponse {
    let mut explained = response(reply);
    *explained.status_mut() = head.status();
    for (name, value) in head.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            explained.headers_mut().append(name.clone(), value.clone());
        }
    }
    explained
}
