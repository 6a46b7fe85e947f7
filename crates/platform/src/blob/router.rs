//! The way to objects for whoever holds a signed URL: `PUT`, `GET` and `HEAD /blobs/{key}`. Without a signature nothing is told, not
//! even whether there is such an object. What clients have uploaded is never shown as a page of ours: it comes as an attachment whose
//! type is not guessed.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{BlobError, Blobs, Method, OBJECT_MAX_BYTES, ObjectInfo, presign};
use crate::problem::{Problem, kinds};

/// What an upload without a media type is.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The routes; they go to the gateway and to each service that presigns.
pub fn router(blobs: Blobs) -> Router {
    Router::new().route("/blobs/{*key}", routing::put(upload).get(download).head(head)).with_state(blobs)
}

/// The query, or nothing where it cannot be read: then it is not signed either.
type Signed = Result<Query<presign::Query>, axum::extract::rejection::QueryRejection>;

async fn upload(State(blobs): State<Blobs>, Path(key): Path<String>, query: Signed, headers: HeaderMap, body: Body) -> Response {
    match receive(&blobs, &key, query, &headers, body).await {
        Ok(info) => (StatusCode::OK, [(header::ETAG, info.etag)]).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn download(State(blobs): State<Blobs>, Path(key): Path<String>, query: Signed) -> Response {
    let object = async {
        allow(&blobs, Method::Get, &key, query)?;
        blobs.get(&key).await.map_err(Problem::from)
    };
    match object.await {
        Ok(object) => (describe(&object.info), object.bytes).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn head(State(blobs): State<Blobs>, Path(key): Path<String>, query: Signed) -> Response {
    let info = async {
        allow(&blobs, Method::Get, &key, query)?;
        blobs.head(&key).await.map_err(Problem::from)
    };
    match info.await {
        Ok(info) => (describe(&info), [(header::CONTENT_LENGTH, info.size.to_string())]).into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn allow(blobs: &Blobs, method: Method, key: &str, query: Signed) -> Result<presign::Query, Problem> {
    let Query(query) = query.map_err(|_| Problem::from(presign::Refusal::Signature))?;
    blobs.allows(method, key, &query)?;
    Ok(query)
}

async fn receive(blobs: &Blobs, key: &str, query: Signed, headers: &HeaderMap, body: Body) -> Result<ObjectInfo, Problem> {
    let signed = allow(blobs, Method::Put, key, query)?;
    let content_type = match (headers.get(header::CONTENT_TYPE), &signed.content_type) {
        (None, None) => UNKNOWN_TYPE,
        (Some(sent), None) => sent.to_str().map_err(|_| BlobError::ContentType)?,
        (Some(sent), Some(wanted)) if sent.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()) => wanted,
        (_, Some(wanted)) => {
            return Err(Problem::new(&kinds::MEDIA_TYPE).detail(format!("This URL takes `{wanted}` only.")));
        }
    };
    let expected = digest(headers)?;
    let limit = signed.max_size.unwrap_or(OBJECT_MAX_BYTES);
    let too_large = || Problem::new(&kinds::TOO_LARGE).detail(format!("This URL takes at most {limit} bytes."));
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let bytes = to_bytes(body, usize::try_from(limit).unwrap_or(usize::MAX)).await.map_err(|error| {
        let cause = std::error::Error::source(&error);
        if cause.is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>()) {
            too_large()
        } else {
            Problem::new(&kinds::UNREADABLE).detail("The body ended too early; send it again.")
        }
    })?;
    Ok(blobs.put_expecting(key, bytes, content_type, expected.as_deref()).await?)
}

/// The SHA-256 that the client says its bytes have, in hexadecimal digits: `Content-Digest` (RFC 9530) or `x-content-sha256`. Digests
/// by other algorithms are passed over, as the RFC allows.
fn digest(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut found: Option<String> = None;
    for (name, value) in headers {
        let text = value.to_str().map(str::trim);
        let read = match name.as_str() {
            "x-content-sha256" => text.ok().and_then(|text| hex::decode(text).ok()),
            "content-digest" => match text.map(|text| text.split(',').find_map(|member| member.trim().strip_prefix("sha-256="))) {
                Ok(None) => continue,
                Ok(Some(member)) => {
                    member.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).and_then(|text| BASE64_STANDARD.decode(text).ok())
                }
                Err(_) => None,
            },
            _ => continue,
        };
        let wrong = || Problem::new(&kinds::DIGEST).detail(format!("`{name}` is no SHA-256 digest."));
        let digits = read.filter(|bytes| bytes.len() == 32).map(hex::encode).ok_or_else(wrong)?;
        if found.as_ref().is_some_and(|other| *other != digits) {
            return Err(Problem::new(&kinds::DIGEST).detail("The digests in the headers differ."));
        }
        found = Some(digits);
    }
    Ok(found)
}

fn describe(info: &ObjectInfo) -> [(HeaderName, String); 7] {
    let digest = hex::decode(&info.sha256).map(|digest| BASE64_STANDARD.encode(digest)).unwrap_or_default();
    [
        (header::CONTENT_TYPE, info.content_type.clone()),
        (header::ETAG, info.etag.clone()),
        (HeaderName::from_static("repr-digest"), format!("sha-256=:{digest}:")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".into()),
        (header::CONTENT_DISPOSITION, "attachment".into()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".into()),
        (header::CACHE_CONTROL, "private, no-cache".into()),
    ]
}

impl From<presign::Refusal> for Problem {
    fn from(refusal: presign::Refusal) -> Self {
        let kind = match refusal {
            presign::Refusal::Signature => &kinds::URL_SIGNATURE,
            presign::Refusal::Expired(_) => &kinds::URL_EXPIRED,
        };
        Self::new(kind).detail(sentence(&refusal))
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        let kind = match &error {
            BlobError::NotFound(_) => &kinds::NOT_FOUND,
            BlobError::ContentType => &kinds::MEDIA_TYPE,
            BlobError::TooLarge { .. } => &kinds::TOO_LARGE,
            BlobError::Digest { .. } => &kinds::DIGEST,
            BlobError::Key { .. } | BlobError::Presign(_) => &kinds::UNREADABLE,
            BlobError::Damaged(_) => return Self::internal(&error),
            BlobError::Folder { .. } | BlobError::Bucket { .. } | BlobError::Unavailable { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "an object could not be served");
                return Self::new(&kinds::UNAVAILABLE).detail("Object storage does not answer.");
            }
        };
        Self::new(kind).detail(sentence(&error))
    }
}

/// An error's text with a capital and a full stop, as every `detail` has them.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut rest = text.chars();
    rest.next().map(|first| format!("{}{}.", first.to_uppercase(), rest.as_str())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
