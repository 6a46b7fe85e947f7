//! A registry elsewhere that speaks Confluent's API. It decides what may be registered and gives the numbers; [`super::Registry`] keeps what
//! it was told, so that it is asked once for each schema of ours at the start, and once for each of another writer when a record of it comes.
//!
//! **BACKWARD.** Some registries begin without a rule. A subject of ours without a level of its own gets BACKWARD before a second version of
//! it is asked for; one that somebody gave a level keeps that.
//!
//! **Time.** A try that ends without an answer, or with one that says "later", is made again after a pause that grows: a registry and the
//! services may start together. Registering twice is registering once, so nothing is lost by a try whose answer was.
//!
//! Its four requests are written out here: a client library would bring a second reader of Avro, and nothing else that is needed.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Level, Registered, SchemaError, SchemaId};
use crate::{
    clock::Clock,
    engine::{EngineError, authority},
    settings::RegistrySettings,
};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The codes of Confluent's API that are no failure here.
const UNKNOWN_SUBJECT: u64 = 40_401;
const UNKNOWN_SCHEMA: u64 = 40_403;
const NO_LEVEL: u64 = 40_408;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub(super) struct Confluent(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    /// With user and password, if it wants them.
    url: reqwest::Url,
    /// Without them, for people.
    shown: String,
    tries: u32,
    clock: Clock,
}

impl std::fmt::Debug for Confluent {
    /// Without what opens it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Confluent({})", self.0.shown)
    }
}

#[derive(Deserialize)]
struct Found {
    id: SchemaId,
    version: u32,
}

#[derive(Deserialize)]
struct Text {
    schema: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    compatibility_level: String,
}

/// What it says when it says no.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error_code: u64,
    #[serde(default)]
    message: String,
}

type Said<T> = Result<T, (StatusCode, Refusal)>;

impl Confluent {
    pub(super) fn new(settings: &RegistrySettings) -> Result<Self, EngineError> {
        const KEY: &str = "engines.schema_registry.url";
        let unset = EngineError::Unset { setting: "stores.schemas", engine: "registry", key: KEY };
        let text = settings.url.as_ref().ok_or(unset)?;
        let refused = |reason: String| EngineError::Refused { key: KEY, reason };
        let url = reqwest::Url::parse(text.expose().trim_end_matches('/')).map_err(|error| refused(error.to_string()))?;
        let mut shown = url.clone();
        // Neither fails for a URL with a host, which the settings ask for.
        let _ = (shown.set_username(""), shown.set_password(None));
        let mut client = reqwest::Client::builder().timeout(Duration::from_millis(settings.timeout_ms));
        if let Some(pem) = authority("engines.schema_registry.ca_file", &settings.ca_file)? {
            let wrong = |error: reqwest::Error| EngineError::Refused { key: "engines.schema_registry.ca_file", reason: error.to_string() };
            client = client.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem).map_err(wrong)?);
        }
        let client = client.build().map_err(|error| refused(error.to_string()))?;
        let tries = settings.retries.saturating_add(1);
        Ok(Self(Arc::new(Inner { client, url, shown: shown.to_string(), tries, clock: Clock::real() })))
    }

    /// Where it is, without what opens it.
    pub(super) fn shown(&self) -> &str {
        &self.0.shown
    }

    /// Registers the schema as the subject's newest version, or finds it there.
    pub(super) async fn register(&self, subject: &str, schema: &str) -> Result<Registered, SchemaError> {
        let registered = |found: Found| Registered { subject: subject.into(), id: found.id, version: found.version, schema: schema.into() };
        if let Some(found) = self.lookup(subject, schema).await? {
            self.hold(subject).await?;
            return Ok(registered(found));
        }
        let level = self.hold(subject).await?;
        if let Some(refusal) = self.add(subject, schema).await? {
            // Of several processes that start together and bring the same, some registries take one and refuse the others.
            self.0.clock.sleep(FIRST_PAUSE).await;
            if self.lookup(subject, schema).await?.is_none() && self.add(subject, schema).await?.is_some() {
                let level = level.unwrap_or_default();
                return Err(SchemaError::Incompatible { subject: subject.to_owned(), level, breaks: vec![refusal] });
            }
        }
        if level.is_none() {
            self.hold(subject).await?;
        }
        // The answer to the registration has no version.
        let found = self.lookup(subject, schema).await?;
        found.map(registered).ok_or_else(|| self.wrong("it does not find what it has just registered".into()))
    }

    /// Adds a version; what the registry says when it conflicts with what there is.
    async fn add(&self, subject: &str, schema: &str) -> Result<Option<String>, SchemaError> {
        let body = json!({"schema": schema});
        let said: Said<Value> = self.ask(http::Method::POST, &["subjects", subject, "versions"], Some(&body)).await?;
        match said {
            Ok(_) => Ok(None),
            Err((StatusCode::CONFLICT, refusal)) => Ok(Some(refusal.message)),
            Err((status, refusal)) => Err(self.refused(status, refusal)),
        }
    }

    /// The text that a number stands for.
    pub(super) async fn schema(&self, id: SchemaId) -> Result<Option<String>, SchemaError> {
        let said: Said<Text> = self.ask(http::Method::GET, &["schemas", "ids", &id.to_string()], None).await?;
        match said {
            Ok(text) => Ok(Some(text.schema)),
            Err((StatusCode::NOT_FOUND, _)) => Ok(None),
            Err((status, refusal)) => Err(self.refused(status, refusal)),
        }
    }

    async fn lookup(&self, subject: &str, schema: &str) -> Result<Option<Found>, SchemaError> {
        let said: Said<Found> = self.ask(http::Method::POST, &["subjects", subject], Some(&json!({"schema": schema}))).await?;
        match said {
            Ok(found) => Ok(Some(found)),
            Err((_, refusal)) if [UNKNOWN_SUBJECT, UNKNOWN_SCHEMA].contains(&refusal.error_code) => Ok(None),
            Err((status, refusal)) => Err(self.refused(status, refusal)),
        }
    }

    /// Gives the subject BACKWARD if it has no level of its own; answers the level that it has now, none for a subject that is not there yet.
    async fn hold(&self, subject: &str) -> Result<Option<Level>, SchemaError> {
        if let Some(level) = self.level(subject).await? {
            return Ok(Some(level));
        }
        let backward = json!({"compatibility": Level::Backward.name()});
        let said: Said<Value> = self.ask(http::Method::PUT, &["config", subject], Some(&backward)).await?;
        match said {
            Ok(_) => Ok(Some(Level::Backward)),
            Err((StatusCode::NOT_FOUND, _)) => Ok(None),
            // Another process has just given it one, and some registries refuse to do that twice.
            Err((StatusCode::CONFLICT, _)) => self.level(subject).await,
            Err((status, refusal)) => Err(self.refused(status, refusal)),
        }
    }

    /// The subject's own level.
    async fn level(&self, subject: &str) -> Result<Option<Level>, SchemaError> {
        let own: Said<Config> = self.ask(http::Method::GET, &["config", subject], None).await?;
        match own {
            Ok(config) => config.compatibility_level.parse().map(Some),
            Err((_, refusal)) if [UNKNOWN_SUBJECT, NO_LEVEL].contains(&refusal.error_code) => Ok(None),
            Err((status, refusal)) => Err(self.refused(status, refusal)),
        }
    }

    /// One request, with its tries. What it refuses is an answer.
    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        method: http::Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Said<T>, SchemaError> {
        let mut pause = FIRST_PAUSE;
        let mut left = self.0.tries;
        loop {
            left = left.saturating_sub(1);
            let failed = match self.once(method.clone(), path, body).await {
                Ok((status, _)) if is_for_now(status) => self.wrong(format!("it answered {status}")),
                Ok((status, bytes)) if status.is_success() => {
                    return serde_json::from_slice(&bytes)
                        .map(Ok)
                        .map_err(|error| self.wrong(format!("its answer is not Confluent's: {error}")));
                }
                Ok((status, bytes)) => return Ok(Err((status, serde_json::from_slice(&bytes).unwrap_or_default()))),
                Err(error) => SchemaError::Registry { url: self.0.shown.clone(), source: Box::new(error.without_url()) },
            };
            if left == 0 {
                return Err(failed);
            }
            self.0.clock.sleep(pause).await;
            pause *= 2;
        }
    }

    async fn once(&self, method: http::Method, path: &[&str], body: Option<&Value>) -> Result<(StatusCode, bytes::Bytes), reqwest::Error> {
        let mut url = self.0.url.clone();
        let path: Vec<String> = path.iter().map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()).collect();
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), path.join("/")));
        let mut request = self.0.client.request(method, url).header(http::header::ACCEPT, CONTENT_TYPE);
        if let Some(body) = body {
            request = request.header(http::header::CONTENT_TYPE, CONTENT_TYPE).body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status();
        Ok((status, answer.bytes().await?))
    }

    fn refused(&self, status: StatusCode, refusal: Refusal) -> SchemaError {
        let said = if refusal.message.is_empty() { "no reason".to_owned() } else { refusal.message };
        self.wrong(format!("it answered {status}: {said}"))
    }

    fn wrong(&self, reason: String) -> SchemaError {
        SchemaError::Registry { url: self.0.shown.clone(), source: reason.into() }
    }
}

/// Whether the same request may have another answer in a moment.
fn is_for_now(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}
