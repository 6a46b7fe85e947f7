//! What a caller is told when something is refused: RFC 9457's `application/problem+json`. Each kind of problem is a constant with a
//! stable slug, declared once where the rule lives and listed in its service's manifest; `docs/errors.md` has a paragraph for each, and
//! a test compares the two. What the caller reads never shows SQL, a path or a stack; that goes to the log, once, where it is handled.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::DbError;

/// A kind of problem: its slug, status and title never change once released.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub status: u16,
    pub slug: &'static str,
    pub title: &'static str,
}

impl Kind {
    #[must_use]
    pub const fn new(status: u16, slug: &'static str, title: &'static str) -> Self {
        Self { status, slug, title }
    }
}

/// The kinds that every service shares.
pub mod kinds {
    use super::Kind;

    pub const UNREADABLE: Kind = Kind::new(400, "unreadable", "The request cannot be read");
    pub const KEY_REQUIRED: Kind = Kind::new(400, "idempotency-key-required", "An Idempotency-Key is required");
    pub const UNAUTHENTICATED: Kind = Kind::new(401, "unauthenticated", "A valid token is required");
    pub const FORBIDDEN: Kind = Kind::new(403, "forbidden", "This token may not do that");
    pub const URL_SIGNATURE: Kind = Kind::new(403, "signed-url-invalid", "This URL is not signed for that");
    pub const URL_EXPIRED: Kind = Kind::new(403, "signed-url-expired", "This URL has expired");
    pub const NOT_FOUND: Kind = Kind::new(404, "not-found", "There is nothing here");
    pub const METHOD_NOT_ALLOWED: Kind = Kind::new(405, "method-not-allowed", "This path has no such method");
    pub const CONFLICT: Kind = Kind::new(409, "conflict", "The state does not allow this");
    pub const KEY_IN_USE: Kind = Kind::new(409, "idempotency-key-in-use", "The first request with this key is still running");
    pub const STALE_VERSION: Kind = Kind::new(412, "stale-version", "The representation has changed");
    pub const TOO_LARGE: Kind = Kind::new(413, "too-large", "The request is too large");
    pub const MEDIA_TYPE: Kind = Kind::new(415, "unsupported-media-type", "The body has the wrong media type");
    pub const INVALID: Kind = Kind::new(422, "invalid", "The request is readable but wrong");
    pub const DIGEST: Kind = Kind::new(422, "digest-mismatch", "The bytes are not those of the digest");
    pub const KEY_REUSED: Kind = Kind::new(422, "idempotency-key-reused", "This key was used for another request");
    pub const TOO_MANY: Kind = Kind::new(429, "too-many-requests", "Too many requests");
    pub const INTERNAL: Kind = Kind::new(500, "internal", "Something went wrong on our side");
    pub const UNAVAILABLE: Kind = Kind::new(503, "unavailable", "A dependency is not there");
    pub const TIMEOUT: Kind = Kind::new(503, "timeout", "It took too long");
    pub const FULL: Kind = Kind::new(507, "storage-full", "No space is left");

    pub const ALL: &[&Kind] = &[
        &UNREADABLE,
        &KEY_REQUIRED,
        &UNAUTHENTICATED,
        &FORBIDDEN,
        &URL_SIGNATURE,
        &URL_EXPIRED,
        &NOT_FOUND,
        &METHOD_NOT_ALLOWED,
        &CONFLICT,
        &KEY_IN_USE,
        &STALE_VERSION,
        &TOO_LARGE,
        &MEDIA_TYPE,
        &INVALID,
        &DIGEST,
        &KEY_REUSED,
        &TOO_MANY,
        &INTERNAL,
        &UNAVAILABLE,
        &TIMEOUT,
        &FULL,
    ];
}

/// Where in a body something is wrong, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer with a `#`: `#/items/0/quantity`.
    pub pointer: String,
    pub detail: String,
}

/// A problem, as it is sent (RFC 9457).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:crashcart:problem:SLUG`; explained in docs/errors.md.
    #[serde(rename = "type")]
    pub type_uri: String,
    pub title: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What else this kind of problem tells, such as `available` of `insufficient-stock`.
    #[serde(flatten, default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub more: serde_json::Map<String, serde_json::Value>,
    #[serde(skip)]
    pub retry_after_seconds: Option<u64>,
}

/// The names of the members that every problem may have (RFC 9457, and `errors`).
const MEMBERS: [&str; 6] = ["type", "title", "status", "detail", "instance", "errors"];

const TYPE_PREFIX: &str = "urn:crashcart:problem:";

impl Problem {
    #[must_use]
    pub fn new(kind: &Kind) -> Self {
        Self {
            type_uri: format!("{TYPE_PREFIX}{}", kind.slug),
            title: kind.title.to_owned(),
            status: kind.status,
            detail: None,
            instance: None,
            errors: Vec::new(),
            more: serde_json::Map::new(),
            retry_after_seconds: matches!(kind.status, 429 | 503 | 507).then_some(1),
        }
    }

    /// What is wrong this time, in one sentence for the caller.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Readable JSON that is wrong at one place.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(&kinds::INVALID).at(pointer, detail)
    }

    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    #[must_use]
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(&kinds::NOT_FOUND).detail(format!("There is no {what}."))
    }

    /// One member more, beside those that every problem has: their names are taken, or a body would say one thing twice.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        debug_assert!(!MEMBERS.contains(&name), "`{name}` is a member of every problem");
        if let Ok(value) = serde_json::to_value(value) {
            self.more.insert(name.to_owned(), value);
        }
        self
    }

    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The kind's slug.
    #[must_use]
    pub fn slug(&self) -> &str {
        self.type_uri.strip_prefix(TYPE_PREFIX).unwrap_or(&self.type_uri)
    }

    #[must_use]
    pub fn is(&self, kind: &Kind) -> bool {
        self.slug() == kind.slug
    }

    /// An error of the store: what the caller may know of it. The rest is logged here, once.
    #[must_use]
    pub fn of_store(error: &DbError) -> Self {
        if matches!(error, DbError::Full) {
            tracing::error!("no space is left for the stores; nothing can be written until there is");
            return Self::new(&kinds::FULL).detail("Nothing was changed. What is stored can still be read.");
        }
        if error.is_transient() {
            tracing::warn!(error = %error, "the store did not answer");
            return Self::new(&kinds::UNAVAILABLE).detail("The store cannot answer now; try again.");
        }
        Self::internal(error)
    }

    /// A mistake of ours: logged here, once; the caller learns only that it was ours.
    #[must_use]
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %crate::with_causes(error), "a request failed on our side");
        Self::new(&kinds::INTERNAL)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} {})", self.detail.as_deref().unwrap_or(&self.title), self.status, self.slug())?;
        for error in &self.errors {
            write!(f, "; {} {}", error.pointer, error.detail)?;
        }
        Ok(())
    }
}
impl std::error::Error for Problem {}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        Self::of_store(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == 401 {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The layer around every service adds `instance` from here, where the path is known.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_back() {
        let sent = Problem::new(&kinds::CONFLICT).detail("It is PAID.").at("#/a", "must be 1").with("currentStatus", "PAID");
        let read: Result<Problem, _> = serde_json::to_vec(&sent).and_then(|body| serde_json::from_slice(&body));
        assert_eq!(read.ok(), Some(sent));
    }

    #[test]
    #[should_panic(expected = "a member of every problem")]
    fn a_member_has_one_meaning() {
        let _ = Problem::new(&kinds::CONFLICT).with("status", "PAID");
    }
}
