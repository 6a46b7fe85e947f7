//! The registry over HTTP, with the paths, bodies and error codes of Confluent's API (version 7), so that consoles, Connect and
//! `kcat` can be pointed at it. Left out: references between schemas, contexts, and modes other than READWRITE.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Deletion, Level, Registered, Registry, SchemaError, SchemaId};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const ACCEPTED: [&str; 4] = [CONTENT_TYPE, "application/vnd.schemaregistry+json", "application/json", "application/octet-stream"];

/// The API over this registry, at the root of the router.
pub fn router(registry: Registry) -> Router {
    Router::new()
        .route("/", get(|| async { answer(&json!({})) }))
        .route("/schemas/types", get(|| async { answer(&["AVRO"]) }))
        .route("/schemas/ids/{id}", get(schema_by_id))
        .route("/schemas/ids/{id}/schema", get(schema_text_by_id))
        .route("/schemas/ids/{id}/versions", get(versions_of_id))
        .route("/schemas/ids/{id}/subjects", get(subjects_of_id))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(lookup).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_text))
        .route("/compatibility/subjects/{subject}/versions", post(check_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(check_one))
        .route("/config", get(global_level).put(set_global_level).delete(reset_global_level))
        .route("/config/{subject}", get(level).put(set_level).delete(reset_level))
        .route("/mode", get(mode).put(set_mode))
        .route("/mode/{subject}", get(mode).put(set_mode))
        .method_not_allowed_fallback(|| async { Problem::http(StatusCode::METHOD_NOT_ALLOWED, "the path does not take this method") })
        .fallback(|| async { Problem::http(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .with_state(registry)
}

type Answer = Result<Response, Problem>;

/// What went wrong: the status, Confluent's code, and a sentence.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    code: u32,
    message: String,
}

impl Problem {
    fn new(code: u32, message: impl Into<String>) -> Self {
        // Codes of five digits begin with the status.
        let status = u16::try_from(if code > 999 { code / 100 } else { code }).ok().and_then(|status| StatusCode::from_u16(status).ok());
        Self { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), code, message: message.into() }
    }

    fn http(status: StatusCode, message: &str) -> Self {
        Self { status, code: status.as_u16().into(), message: message.to_owned() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = answer(&json!({"error_code": self.code, "message": self.message}));
        *response.status_mut() = self.status;
        response
    }
}

impl From<SchemaError> for Problem {
    fn from(error: SchemaError) -> Self {
        let code = match &error {
            SchemaError::UnknownSubject(_) => 40401,
            SchemaError::UnknownVersion { .. } => 40402,
            SchemaError::UnknownSchema => 40403,
            SchemaError::SubjectDeleted(_) => 40404,
            SchemaError::SubjectNotDeleted(_) => 40405,
            SchemaError::VersionDeleted { .. } => 40406,
            SchemaError::VersionNotDeleted { .. } => 40407,
            SchemaError::NoLevel(_) => 40408,
            SchemaError::Incompatible { .. } => 409,
            SchemaError::InvalidSchema(_) | SchemaError::Type { .. } => 42201,
            SchemaError::UnknownLevel(_) => 42203,
            SchemaError::InvalidSubject => 42208,
            SchemaError::NotHere(_) => 42205,
            SchemaError::Registry { .. } => 50003,
            SchemaError::Store(store) => {
                tracing::error!(error = store as &dyn std::error::Error, "the schema file failed");
                50001
            }
        };
        Self::new(code, error.to_string())
    }
}

fn answer(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn raw(text: String) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

fn body<T: DeserializeOwned>(headers: &HeaderMap, bytes: &Bytes) -> Result<T, Problem> {
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
        if !ACCEPTED.iter().any(|accepted| accepted.eq_ignore_ascii_case(kind)) {
            return Err(Problem::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, &format!("send {CONTENT_TYPE}")));
        }
    }
    serde_json::from_slice(bytes).map_err(|error| Problem::http(StatusCode::BAD_REQUEST, &format!("the body cannot be read: {error}")))
}

#[derive(Deserialize)]
struct SchemaBody {
    schema: String,
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<Value>>,
}

/// The schema's text, if it is one that this registry keeps.
fn schema_text(headers: &HeaderMap, bytes: &Bytes) -> Result<String, Problem> {
    let body: SchemaBody = body(headers, bytes)?;
    if body.kind.is_some_and(|kind| kind != "AVRO") {
        return Err(Problem::new(42201, "only schemas of the type AVRO are kept here"));
    }
    if body.references.is_some_and(|references| !references.is_empty()) {
        return Err(Problem::new(42201, "references to other schemas are not kept here; write the types into the schema"));
    }
    Ok(body.schema)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Options {
    deleted: bool,
    permanent: bool,
    verbose: bool,
    #[serde(rename = "defaultToGlobal")]
    default_to_global: bool,
    #[serde(rename = "subjectPrefix")]
    subject_prefix: String,
}

impl Options {
    const fn deletion(&self) -> Deletion {
        if self.permanent { Deletion::Permanent } else { Deletion::Soft }
    }
}

fn id(text: &str) -> Result<SchemaId, Problem> {
    text.parse().map(SchemaId).map_err(|_| Problem::http(StatusCode::NOT_FOUND, "a schema id is a number"))
}

/// A version's number; `latest` and -1 are the newest one.
fn number(registry: &Registry, subject: &str, text: &str) -> Result<u32, Problem> {
    if text == "latest" || text == "-1" {
        return Ok(registry.latest(subject)?.version);
    }
    let number = text.parse::<u32>().ok().filter(|number| (1..=i32::MAX.cast_unsigned()).contains(number));
    number.ok_or_else(|| Problem::new(42202, format!("`{text}` is no version: use a number from 1 or `latest`")))
}

async fn schema_by_id(State(registry): State<Registry>, Path(text): Path<String>) -> Answer {
    Ok(answer(&json!({"schema": registry.schema(id(&text)?)?})))
}

async fn schema_text_by_id(State(registry): State<Registry>, Path(text): Path<String>) -> Answer {
    Ok(raw(registry.schema(id(&text)?)?))
}

async fn versions_of_id(State(registry): State<Registry>, Path(text): Path<String>, Query(options): Query<Options>) -> Answer {
    let uses = registry.uses(id(&text)?, options.deleted)?;
    Ok(answer(&uses.iter().map(|(subject, version)| json!({"subject": subject, "version": version})).collect::<Vec<_>>()))
}

async fn subjects_of_id(State(registry): State<Registry>, Path(text): Path<String>, Query(options): Query<Options>) -> Answer {
    let mut subjects: Vec<String> = registry.uses(id(&text)?, options.deleted)?.into_iter().map(|(subject, _)| subject).collect();
    subjects.dedup();
    Ok(answer(&subjects))
}

async fn subjects(State(registry): State<Registry>, Query(options): Query<Options>) -> Response {
    let mut subjects = registry.subjects_with(options.deleted);
    subjects.retain(|subject| subject.starts_with(&options.subject_prefix));
    answer(&subjects)
}

async fn versions(State(registry): State<Registry>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    Ok(answer(&registry.versions_with(&subject, options.deleted)?))
}

async fn register(State(registry): State<Registry>, Path(subject): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Registered { id, .. } = registry.register(&subject, &schema_text(&headers, &bytes)?)?;
    Ok(answer(&json!({"id": id})))
}

async fn lookup(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Ok(answer(&registry.lookup(&subject, &schema_text(&headers, &bytes)?, options.deleted)?))
}

async fn delete_subject(State(registry): State<Registry>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    Ok(answer(&registry.delete_subject(&subject, options.deletion())?))
}

async fn version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Answer {
    Ok(answer(&registry.version_with(&subject, number(&registry, &subject, &version)?, options.deleted)?))
}

async fn version_text(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Answer {
    Ok(raw(registry.version_with(&subject, number(&registry, &subject, &version)?, options.deleted)?.schema))
}

async fn delete_version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Answer {
    let version = number(&registry, &subject, &version)?;
    registry.delete_version(&subject, version, options.deletion())?;
    Ok(answer(&version))
}

async fn check_all(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Ok(verdict(&registry.check(&subject, &schema_text(&headers, &bytes)?, None)?, &options))
}

async fn check_one(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let version = number(&registry, &subject, &version)?;
    Ok(verdict(&registry.check(&subject, &schema_text(&headers, &bytes)?, Some(version))?, &options))
}

fn verdict(breaks: &[String], options: &Options) -> Response {
    let mut body = json!({"is_compatible": breaks.is_empty()});
    if options.verbose {
        body["messages"] = json!(breaks);
    }
    answer(&body)
}

#[derive(Deserialize)]
struct LevelBody {
    compatibility: String,
}

fn level_in(headers: &HeaderMap, bytes: &Bytes) -> Result<Level, Problem> {
    let LevelBody { compatibility } = body(headers, bytes)?;
    Ok(compatibility.parse()?)
}

async fn global_level(State(registry): State<Registry>) -> Response {
    answer(&json!({"compatibilityLevel": registry.global_level()}))
}

async fn set_global_level(State(registry): State<Registry>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let level = level_in(&headers, &bytes)?;
    registry.set_level(None, level)?;
    Ok(answer(&json!({"compatibility": level})))
}

async fn reset_global_level(State(registry): State<Registry>) -> Answer {
    Ok(answer(&json!({"compatibilityLevel": registry.reset_level(None)?})))
}

async fn level(State(registry): State<Registry>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    let level = if options.default_to_global { registry.level(&subject) } else { registry.own_level(&subject)? };
    Ok(answer(&json!({"compatibilityLevel": level})))
}

async fn set_level(State(registry): State<Registry>, Path(subject): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let level = level_in(&headers, &bytes)?;
    registry.set_level(Some(&subject), level)?;
    Ok(answer(&json!({"compatibility": level})))
}

async fn reset_level(State(registry): State<Registry>, Path(subject): Path<String>) -> Answer {
    Ok(answer(&json!({"compatibilityLevel": registry.reset_level(Some(&subject))?})))
}

async fn mode() -> Response {
    answer(&json!({"mode": "READWRITE"}))
}

#[derive(Deserialize)]
struct ModeBody {
    mode: String,
}

async fn set_mode(headers: HeaderMap, bytes: Bytes) -> Answer {
    let ModeBody { mode } = body(&headers, &bytes)?;
    match mode.as_str() {
        "READWRITE" => Ok(answer(&json!({"mode": mode}))),
        _ => Err(Problem::new(42204, format!("the mode `{mode}` does not exist here: only READWRITE"))),
    }
}

#[cfg(test)]
mod tests;
