//! Pages of axum.

use std::future::ready;

use axum::extract::{FromRequestParts, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::any;
use axum::{Extension, Router};
use steadfast::axum::{Exclusive, Merge};
use steadfast::{Error, Result, Session, SessionView};

use super::{Act, All, Around};

/// The pages, without anything around them.
fn routes() -> Router {
    Router::new()
        .route("/", any(|session: Session, Extension(act): Extension<Act<Session>>| act.run(session)))
        .route(
            "/exclusive",
            any(|Exclusive(session): Exclusive, Extension(act): Extension<Act<Session>>| act.run(session)),
        )
        .route(
            "/merge",
            any(|Merge(session): Merge, Extension(act): Extension<Act<Session>>| act.run(session)),
        )
        .route("/view", any(|view: SessionView, Extension(act): Extension<Act<SessionView>>| act.run(view)))
        .route(
            "/all",
            any(
                |one: Session,
                 view,
                 Merge(two): Merge,
                 Exclusive(three),
                 Extension(act): Extension<Act<All>>| { act.run((one, view, two, three)) },
            ),
        )
        .route(
            "/tolerant",
            any(|session: Result<Session, Error>, Extension(act): Extension<Act<Result<Session, Error>>>| {
                act.run(session)
            }),
        )
        .route("/static", any(|| ready("static")))
}

pub(super) fn router(around: Vec<Around>) -> Router {
    around.into_iter().fold(routes(), |router, around| match around {
        Around::Sessions(sessions) => router.layer(sessions.layer()),
        Around::Session(before) => router.layer(from_fn(move |request: Request, next: Next| {
            let before = before.clone();
            async move {
                let (parts, body) = request.into_parts();
                before(&steadfast::session(&parts).await?)?;
                Result::<Response>::Ok(next.run(Request::from_parts(parts, body)).await)
            }
        })),
        Around::Merge(before) => middleware(router, move |Merge(session): &Merge| before(session)),
        Around::View(before) => middleware(router, move |view: &SessionView| before(view)),
    })
}

fn middleware<T>(router: Router, before: impl Fn(&T) -> Result<()> + Clone + Send + Sync + 'static) -> Router
where
    T: FromRequestParts<()> + Send + Sync + 'static,
{
    router.layer(from_fn(move |taken: T, request: Request, next: Next| {
        let before = before.clone();
        async move {
            before(&taken)?;
            Result::<Response>::Ok(next.run(request).await)
        }
    }))
}
