//! `/products/{id}/media`: announced and sent to a signed URL, or sent along as `multipart/form-data`.

use axum::{
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State, multipart::MultipartError},
    http::{HeaderMap, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use catalog_api::{Media, MediaRequest};
use platform::{
    http::{Answer, Command, Page, PageQuery, Path, Query, extract::idempotency_token},
    idempotency::Key,
    problem::{Problem, kinds},
};
use sha2::{Digest, Sha256};
use types::{MediaId, ProductId, ShortText};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Nothing, base, bounds, page};
use crate::{
    app::{App, media::File},
    image,
};

/// What a form has beside its file: boundaries, names, headers.
const FORM_MAX_BYTES: u64 = 64 * 1024;

pub fn router(app: &App) -> OpenApiRouter<App> {
    // The service's own limit on bodies is for JSON; a file may be larger.
    let max = app.config.get().media_max_bytes.saturating_add(FORM_MAX_BYTES);
    let limit = DefaultBodyLimit::max(usize::try_from(max).unwrap_or(usize::MAX));
    let sending = OpenApiRouter::new().routes(routes!(create, list)).layer(limit);
    sending.routes(routes!(get)).routes(routes!(complete))
}

/// A file, sent along.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only describes the form for the documentation")]
struct MediaForm {
    /// With a file name, and a content type of `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
}

/// Announce an upload, or send a file along
///
/// Announced as JSON, the answer says where and how to send the bytes. Either way they are looked at afterwards: the medium is `PENDING`,
/// then `AVAILABLE` and part of the product, or `REJECTED` with the reason.
#[utoipa::path(
    post, path = "/products/{id}/media", tag = "media",
    params(("id" = ProductId, Path, description = "The product's id"), ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body(content((MediaRequest = "application/json"), (MediaForm = "multipart/form-data"))),
    responses(
        (status = 201, description = "The medium, with the signed upload", body = Media),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(State(app): State<App>, Path(id): Path<ProductId>, request: Request) -> Result<Answer, Problem> {
    let base = base(&app, request.headers());
    if !is_form(request.headers()) {
        let command = Command::<MediaRequest>::from_request(request, &app).await?;
        return Ok(app.announce_media(id, command.body, command.key, &base).await?);
    }
    let endpoint = format!("{} {}", request.method(), request.uri().path());
    let token = idempotency_token(request.headers())?.map(str::to_owned);
    let max = app.config.get().media_max_bytes;
    let form = Multipart::from_request(request, &app)
        .await
        .map_err(|_| Problem::new(&kinds::UNREADABLE).detail("`Content-Type: multipart/form-data` has no boundary."))?;
    let file = read_form(form, max).await?;
    let key = token.map(|token| Key::new(&endpoint, &token, fingerprint(&file)));
    Ok(app.receive_media(id, file, key, &base).await?)
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = |text: &str| text.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("multipart/form-data");
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(essence)
}

/// The one file of a form.
async fn read_form(mut form: Multipart, max: u64) -> Result<File, Problem> {
    let mut file = None;
    while let Some(mut field) = form.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or("").to_owned();
        if name != "file" {
            return Err(Problem::invalid(format!("#/{name}"), "is no field of this form; it has `file`"));
        }
        if file.is_some() {
            return Err(Problem::invalid("#/file", "stands twice; send one file at a time"));
        }
        let Some(file_name) = field.file_name().map(str::to_owned) else {
            return Err(Problem::invalid("#/file", "must be a file, with a file name"));
        };
        let file_name = ShortText::new(file_name).map_err(|error| Problem::invalid("#/file", format!("has a file name that {error}")))?;
        let kind = field.content_type().and_then(image::Kind::of_media_type).ok_or_else(|| {
            Problem::new(&kinds::MEDIA_TYPE).detail(format!("The file's content type must be one of {}.", image::media_types()))
        })?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
            if (bytes.len() + chunk.len()) as u64 > max {
                return Err(Problem::new(&kinds::TOO_LARGE).detail(format!("A file has at most {max} bytes.")));
            }
            bytes.extend_from_slice(&chunk);
        }
        if bytes.is_empty() {
            return Err(Problem::invalid("#/file", "is empty"));
        }
        file = Some(File { name: file_name.into(), kind, bytes: Bytes::from(bytes) });
    }
    file.ok_or_else(|| Problem::invalid("#/file", "is missing"))
}

fn broken(error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(&kinds::TOO_LARGE).detail("The form is larger than this service takes.");
    }
    Problem::new(&kinds::UNREADABLE).detail("The form is broken, or ended before it was whole.")
}

/// Of what was sent, whatever boundary it was sent with.
fn fingerprint(file: &File) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [file.name.as_bytes(), file.kind.media_type().as_bytes(), &file.bytes] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// A product's uploads, the oldest first, also those that are under way or were rejected
#[utoipa::path(
    get, path = "/products/{id}/media", tag = "media", params(("id" = ProductId, Path, description = "The product's id"), PageQuery),
    responses(
        (status = 200, description = "A page of media", body = Page<Media>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(
    State(app): State<App>,
    Path(id): Path<ProductId>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    let (limit, behind) = bounds(query.limit, query.cursor)?;
    let base = base(&app, &headers);
    Answer::ok(&page(app.media_of(id, behind, limit + 1, &base).await?, limit))
}

/// A medium: how far it is, and once it is available a signed URL to fetch it
#[utoipa::path(
    get, path = "/products/{id}/media/{media_id}", tag = "media",
    params(("id" = ProductId, Path, description = "The product's id"), ("media_id" = MediaId, Path, description = "The medium's id")),
    responses(
        (status = 200, description = "The medium", body = Media),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(State(app): State<App>, Path((id, media)): Path<(ProductId, MediaId)>, headers: HeaderMap) -> Result<Answer, Problem> {
    let base = base(&app, &headers);
    Answer::ok(&app.medium(id, media, &base).await?)
}

/// Say that the bytes were sent: they are looked at now
#[utoipa::path(
    post, path = "/products/{id}/media/{media_id}/complete", tag = "media",
    params(
        ("id" = ProductId, Path, description = "The product's id"), ("media_id" = MediaId, Path, description = "The medium's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same"),
    ),
    request_body = Nothing,
    responses(
        (status = 202, description = "The medium, as it stands", body = Media),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn complete(
    State(app): State<App>,
    Path((id, media)): Path<(ProductId, MediaId)>,
    headers: HeaderMap,
    command: Command<Nothing>,
) -> Result<Answer, Problem> {
    let base = base(&app, &headers);
    Ok(app.complete_media(id, media, command.key, &base).await?)
}
