//! 3. A posted form, with its token against forged requests checked before anything else.

use axum::extract::{FromRequest, FromRequestParts as _, RawForm, Request};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use steadfast::axum::Merge;

use crate::page::Fault;

/// A form that a page of this visitor's session has sent.
///
/// Another site can make a browser post to this one, cookie included. It can't know the token that our
/// page put into its form. A handler that takes a `Posted` can't forget to ask for it.
#[derive(Debug)]
pub struct Posted<T>(pub T);

/// What a form sends that is nothing but a button.
#[derive(Debug, Deserialize)]
pub(crate) struct JustAButton {}

#[derive(Deserialize)]
struct Token {
    csrf: String,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Posted<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        // Extractors of one request share one session: this one and the handler's don't wait for each
        // other. `Merge` asks for less than `Session`, so the handler decides what it needs.
        let session = Merge::from_request_parts(&mut parts, state).await;
        let Merge(session) = session.map_err(|error| Fault::from(error).into_response())?;
        let body = Request::from_parts(parts, body);
        let RawForm(body) =
            RawForm::from_request(body, state).await.map_err(|refused| refused.into_response())?;

        let genuine =
            serde_urlencoded::from_bytes::<Token>(&body).is_ok_and(|form| session.verify_csrf(form.csrf));
        if !genuine {
            let text =
                "It did not come from your present session. Go back, reload the page, and send it again.";
            return Err(Fault::Form(text).into_response());
        }
        let form = serde_urlencoded::from_bytes(&body);
        form.map(Self).map_err(|_| Fault::Form("A field of it is missing.").into_response())
    }
}
