//! Pages for people: the documentation of a service as Swagger UI shows it. Everything a page needs is in the program: what a page may load
//! is said in its `Content-Security-Policy`, and that is nothing from elsewhere.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use utoipa_swagger_ui::Config;

use crate::problem::{Problem, kinds};

/// Swagger UI styles its elements one by one and draws its icons from `data:` addresses; nothing else is let in.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A file of Swagger UI, set up for the document at this address.
pub(super) fn swagger(file: &str, document: &str) -> Response {
    // Without this the page asks a server on the internet whether the document is right.
    let config = Config::from(document.to_owned()).validator_url("none").display_request_duration(true);
    match utoipa_swagger_ui::serve(file, Arc::new(config)) {
        Ok(Some(found)) => {
            let mut response = Response::new(Body::from(found.bytes.into_owned()));
            let headers = response.headers_mut();
            if let Ok(kind) = HeaderValue::from_str(&found.content_type) {
                headers.insert(header::CONTENT_TYPE, kind);
            }
            if found.gzpipped {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            guarded(response)
        }
        Ok(None) => Problem::new(&kinds::NOT_FOUND).detail("The documentation has no such file.").into_response(),
        Err(error) => {
            tracing::error!(%error, file, "a page cannot be shown");
            Problem::new(&kinds::INTERNAL).into_response()
        }
    }
}

/// A page that was written here.
pub(super) fn html(text: String) -> Response {
    guarded(axum::response::Html(text).into_response())
}

fn guarded(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
