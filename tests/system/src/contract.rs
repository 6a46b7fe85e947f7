//! What a service says of itself, held against what it answers. The document that a service serves as `/openapi.json` is compiled; then a
//! layer around its endpoints finds the operation of each request, whoever sent it (a test, another service, a scenario of the lab), and
//! refuses an answer whose status, media type or body the document does not have. Such an answer is a panic, which the caller sees as 500
//! and the test's output as a sentence.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use crashcart::registry::SERVICES;
use futures::future::BoxFuture;
use http::header;
use jsonschema::Validator;
use platform::service::{BuildError, Env, Manifest, Service};
use serde_json::{Value as Json, json};

/// Every service, with the layer around it.
pub fn watched() -> &'static [&'static Manifest] {
    static ALL: OnceLock<Vec<&'static Manifest>> = OnceLock::new();
    // Leaked once: a manifest is static everywhere else.
    ALL.get_or_init(|| SERVICES.iter().map(|manifest| &*Box::leak(Box::new(Manifest { build, ..**manifest }))).collect())
}

fn build(env: Env) -> BoxFuture<'static, Result<Service, BuildError>> {
    Box::pin(async move {
        let name = env.service;
        let Some(manifest) = SERVICES.iter().find(|manifest| manifest.name == name) else {
            return Err(BuildError::Other(format!("no service is called {name}")));
        };
        let mut service = (manifest.build)(env).await?;
        watch(name, &mut service)?;
        Ok(service)
    })
}

/// Puts the layer around a service that was built.
pub fn watch(name: &'static str, service: &mut Service) -> Result<(), BuildError> {
    let document = serde_json::to_value(service.router.get_openapi()).map_err(|error| BuildError::Other(error.to_string()))?;
    let contract = compiled(name, &document).map_err(BuildError::Other)?;
    service.router = std::mem::take(&mut service.router).layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let contract = contract.clone();
        async move { checked(&contract, request, next).await }
    }));
    Ok(())
}

/// A document is compiled once for all the worlds of a process: it does not depend on them.
fn compiled(name: &'static str, document: &Json) -> Result<Arc<Contract>, String> {
    static KNOWN: Mutex<BTreeMap<String, Arc<Contract>>> = Mutex::new(BTreeMap::new());
    let text = format!("{name} {document}");
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(contract) = known.get(&text) {
        return Ok(contract.clone());
    }
    let contract = Arc::new(Contract::of(name, document)?);
    known.insert(text, contract.clone());
    Ok(contract)
}

#[expect(clippy::panic, reason = "for tests: an answer outside of the document is a failed test")]
async fn checked(contract: &Contract, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let (parts, body) = next.run(request).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if let Err(reason) = contract.check(&method, &route, parts.status.as_u16(), kind, &body) {
        panic!("{reason}");
    }
    Response::from_parts(parts, Body::from(body))
}

/// A service's document, compiled.
#[derive(Debug)]
pub struct Contract {
    service: &'static str,
    /// By method and path.
    operations: BTreeMap<(String, String), Answers>,
}

/// By status (`200`, `4XX`), then by media type: what the body must be.
type Answers = BTreeMap<String, BTreeMap<String, Option<Validator>>>;

impl Contract {
    /// Compiles an OpenAPI 3.1 document.
    pub fn of(service: &'static str, document: &Json) -> Result<Self, String> {
        let mut components = document["components"].clone();
        let mut parts = BTreeSet::new();
        parts_of_others(document, false, &mut parts);
        for (name, schema) in components["schemas"].as_object_mut().into_iter().flatten() {
            if !parts.contains(name.as_str()) {
                close(schema);
            }
        }
        let mut operations = BTreeMap::new();
        for (path, methods) in entries(&document["paths"]) {
            for (method, operation) in entries(methods) {
                let mut answers = Answers::new();
                for (status, answer) in entries(&operation["responses"]) {
                    let mut kinds = BTreeMap::new();
                    for (kind, content) in entries(&answer["content"]) {
                        kinds.insert(kind.clone(), validator(kind, &content["schema"], &components)?);
                    }
                    answers.insert(status.to_uppercase(), kinds);
                }
                operations.insert((method.to_uppercase(), path.clone()), answers);
            }
        }
        Ok(Self { service, operations })
    }

    /// Whether an answer is one that the document has; else says what is not.
    pub fn check(&self, method: &str, route: &str, status: u16, kind: Option<&str>, body: &[u8]) -> Result<(), String> {
        // A HEAD is answered as its GET, without the body.
        if method == "HEAD" {
            return Ok(());
        }
        let told = |what: String| {
            Err(format!("{}: {method} {route} answered {status}, and {what}\n{}", self.service, String::from_utf8_lossy(body)))
        };
        let Some(answers) = self.operations.get(&(method.to_owned(), route.to_owned())) else {
            return told("the document has no such operation".into());
        };
        let group = format!("{}XX", status / 100);
        let Some(kinds) = answers.get(&status.to_string()).or_else(|| answers.get(&group)) else {
            return told(format!("the document has only {:?}", answers.keys().collect::<Vec<_>>()));
        };
        if kinds.is_empty() {
            return if body.is_empty() { Ok(()) } else { told("the document has no body for it".into()) };
        }
        let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        let Some(validator) = kinds.get(essence) else {
            return told(format!("its type is `{essence}`; the document has {:?}", kinds.keys().collect::<Vec<_>>()));
        };
        let Some(validator) = validator else { return Ok(()) };
        let body: Json = match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(error) => return told(format!("the body is not JSON ({error})")),
        };
        let wrong: Vec<String> = validator.iter_errors(&body).map(|error| format!("{} at {}", error, error.instance_path())).collect();
        if wrong.is_empty() { Ok(()) } else { told(format!("its body is not what the document says: {}", wrong.join("; "))) }
    }
}

fn entries(object: &Json) -> impl Iterator<Item = (&String, &Json)> {
    object.as_object().into_iter().flatten()
}

fn validator(kind: &str, schema: &Json, components: &Json) -> Result<Option<Validator>, String> {
    if !kind.ends_with("json") {
        return Ok(None);
    }
    let mut schema = schema.clone();
    close(&mut schema);
    let whole = json!({"components": components, "allOf": [schema]});
    jsonschema::draft202012::options().should_validate_formats(true).build(&whole).map(Some).map_err(|error| error.to_string())
}

/// The schemas that are a part of another by `allOf`: they are not whole objects there.
fn parts_of_others<'d>(schema: &'d Json, within: bool, found: &mut BTreeSet<&'d str>) {
    match schema {
        Json::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field.as_str()) {
                    ("$ref", Some(reference)) if within => drop(reference.rsplit('/').next().map(|name| found.insert(name))),
                    _ => parts_of_others(field, name == "allOf", found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| parts_of_others(item, within, found)),
        _ => {}
    }
}

/// An object that lists its properties has no others: an answer with a field that nobody documented is to be found. Parts of an `allOf`
/// are not whole objects, so they stay open.
fn close(schema: &mut Json) {
    match schema {
        Json::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if name != "allOf" {
                    close(field);
                }
            }
            let lists = fields.get("properties").is_some_and(Json::is_object) && fields.get("type").is_some_and(|kind| kind == "object");
            if lists && !fields.contains_key("additionalProperties") && !fields.contains_key("allOf") {
                fields.insert("additionalProperties".into(), Json::Bool(false));
            }
        }
        Json::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
