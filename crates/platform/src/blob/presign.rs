//! A URL that allows one act on one object until a moment, to whoever has it: a client sends its bytes past the service. The signature
//! covers all that matters (method, key, expiry, media type, size), so none of it can be changed; a URL for reading cannot write.
//!
//! Where the objects are in S3 the URL goes straight there, and the store holds the client to the same, but for two things that its
//! signatures cannot say: how large an upload may be at most, and that a URL for GET is one for HEAD too. So whoever takes an upload in looks
//! at its size, as at its bytes: on no floor is an object what was announced only because somebody was allowed to send it.

use std::{collections::BTreeMap, time::Duration};

use hmac::Mac;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use types::Timestamp;
use utoipa::ToSchema;

use super::{BlobError, Blobs, OBJECT_MAX_BYTES, envelope, key};
use crate::auth::{Secret, mac};

/// The longest life of a URL, the same as S3's.
pub const PRESIGN_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Put,
    /// Also allows HEAD, but for objects in S3.
    Get,
}

impl Method {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get => "GET",
        }
    }
}

/// What an upload must keep to; a download has none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    pub content_type: Option<String>,
    /// In bytes. S3 cannot be told: there it is for whoever takes the upload in to look.
    pub max_size: Option<u64>,
}

/// A call that the client may make, with the headers that it must send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presigned {
    pub method: Method,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub expires_at: Timestamp,
}

/// A URL that cannot be signed: a mistake of the service that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresignError {
    #[error("a signed URL lives for more than nothing and at most {PRESIGN_MAX:?}")]
    Life,
    #[error("a download has no constraints")]
    Download,
    #[error("an upload may have at most {OBJECT_MAX_BYTES} bytes")]
    Size,
    #[error("there is no key to sign with")]
    Key,
}

/// Why a signed URL does not allow what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the URL is not signed, was changed, or was signed for another method")]
    Signature,
    #[error("the URL expired at {0}; ask for a new one")]
    Expired(Timestamp),
}

/// What a signed URL says, as the router reads it. Anything else in it would not be signed, so it is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Microseconds since 1970.
    expires: i64,
    #[serde(rename = "type")]
    pub(super) content_type: Option<String>,
    #[serde(rename = "max")]
    pub(super) max_size: Option<u64>,
    signature: String,
}

impl Blobs {
    /// A URL for one act on one object, valid for `valid_for`. `public_base` is what the client reaches [`super::router`] under, such as
    /// `http://localhost:8080`; with an empty one the URL is a path. For objects in S3 it is not looked at.
    ///
    /// # Errors
    /// [`BlobError::Key`], [`BlobError::ContentType`] or [`BlobError::Presign`] for what could not be used.
    pub fn presign(
        &self,
        public_base: &str,
        method: Method,
        key: &str,
        valid_for: Duration,
        constraints: Constraints,
    ) -> Result<Presigned, BlobError> {
        key::path(key)?;
        if valid_for.is_zero() || valid_for > PRESIGN_MAX {
            return Err(PresignError::Life.into());
        }
        let Constraints { content_type, max_size } = constraints;
        if method == Method::Get && (content_type.is_some() || max_size.is_some()) {
            return Err(PresignError::Download.into());
        }
        if max_size.is_some_and(|size| size > OBJECT_MAX_BYTES) {
            return Err(PresignError::Size.into());
        }
        let content_type = match content_type {
            Some(text) => Some(envelope::describe(&[], &text).ok_or(BlobError::ContentType)?.content_type),
            None => None,
        };
        #[cfg(feature = "engines")]
        if let super::Floor::S3(bucket) = &self.0.floor {
            // S3 counts whole seconds from a whole second on; one is the least.
            let now = Timestamp::from_seconds(self.0.clock.now().seconds());
            let seconds = self.0.clock.now().plus(valid_for).since(now).as_secs().clamp(1, PRESIGN_MAX.as_secs());
            let url = bucket.presign(method, key, content_type.as_deref(), now, seconds);
            let headers = content_type.into_iter().map(|content_type| ("content-type".to_owned(), content_type)).collect();
            return Ok(Presigned { method, url, headers, expires_at: now.plus(Duration::from_secs(seconds)) });
        }
        let signing_key = self.0.signing_key.as_ref().ok_or(PresignError::Key)?;
        let expires_at = self.0.clock.now().plus(valid_for);
        let mut query = Query { expires: expires_at.micros(), content_type, max_size, signature: String::new() };
        query.signature = hex::encode(signed(signing_key, method, key, &query).finalize().into_bytes());
        let mut url = format!("{}/blobs/{key}?expires={}", public_base.trim_end_matches('/'), query.expires);
        if let Some(content_type) = &query.content_type {
            url.push_str(&format!("&type={}", utf8_percent_encode(content_type, NON_ALPHANUMERIC)));
        }
        if let Some(max_size) = query.max_size {
            url.push_str(&format!("&max={max_size}"));
        }
        url.push_str(&format!("&signature={}", query.signature));
        let headers = query.content_type.into_iter().map(|content_type| ("content-type".to_owned(), content_type)).collect();
        Ok(Presigned { method, url, headers, expires_at })
    }

    /// Whether the query's signature allows this. The comparison takes the same time for every wrong one.
    pub(super) fn allows(&self, method: Method, key: &str, query: &Query) -> Result<(), Refusal> {
        let mut signature = [0_u8; 32];
        hex::decode_to_slice(&query.signature, &mut signature).map_err(|_| Refusal::Signature)?;
        // Where nothing is signed for the router, nothing is signed.
        let signing_key = self.0.signing_key.as_ref().ok_or(Refusal::Signature)?;
        signed(signing_key, method, key, query).verify_slice(&signature).map_err(|_| Refusal::Signature)?;
        let expires_at = Timestamp::from_micros(query.expires);
        if self.0.clock.now() >= expires_at { Err(Refusal::Expired(expires_at)) } else { Ok(()) }
    }
}

/// Over one line for each part. A part of a URL may hold line ends, where one that was signed has none; so each is preceded by its
/// length, and no two sets of parts have the same text.
fn signed(signing_key: &Secret, method: Method, key: &str, query: &Query) -> impl Mac + use<> {
    let expires = query.expires.to_string();
    let content_type = query.content_type.as_deref().map_or("-".to_owned(), |text| format!("={text}"));
    let max_size = query.max_size.map_or("-".to_owned(), |size| format!("={size}"));
    let mut text = "crashcart blob 1\n".to_owned();
    for part in [method.name(), key, &expires, &content_type, &max_size] {
        text.push_str(&format!("{} {part}\n", part.len()));
    }
    mac(signing_key, &[text.as_bytes()])
}
