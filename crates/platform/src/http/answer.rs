//! What a handler gives back when all is well: status, JSON body, and the headers that are part of the promise (`Location`, `ETag`). It
//! is a value, so that the answer to an idempotent request can be stored with its effect and given again, the same to the byte.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::version_tag;
use crate::problem::{Problem, kinds};

pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    pub location: Option<String>,
    pub etag: Option<String>,
    /// Given before; nothing happened this time.
    pub replayed: bool,
}

impl Answer {
    fn new(status: u16, view: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(view).map_err(|error| Problem::internal(&error))?;
        Ok(Self { status, body: body.into(), location: None, etag: None, replayed: false })
    }

    pub fn ok(view: &impl Serialize) -> Result<Self, Problem> {
        Self::new(200, view)
    }

    /// 201 with the whole representation and where it lives.
    pub fn created(location: impl Into<String>, view: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { location: Some(location.into()), ..Self::new(201, view)? })
    }

    /// 202: it was taken and goes on.
    pub fn accepted(view: &impl Serialize) -> Result<Self, Problem> {
        Self::new(202, view)
    }

    #[must_use]
    pub const fn no_content() -> Self {
        Self { status: 204, body: Bytes::new(), location: None, etag: None, replayed: false }
    }

    /// With the strong ETag of this version.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.etag = Some(version_tag(version));
        self
    }

    #[must_use]
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.etag = Some(etag.into());
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Ok(status) = StatusCode::from_u16(self.status) else {
            return Problem::new(&kinds::INTERNAL).into_response();
        };
        let empty = self.body.is_empty();
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if !empty {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in [(header::LOCATION, self.location), (header::ETAG, self.etag)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
