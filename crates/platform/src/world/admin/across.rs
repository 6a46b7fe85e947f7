//! Where a system has many processes, each admin listener speaks for all of them: whoever checks a system, or sets a fault in it, need not
//! know how it is dealt out. What a service tells is asked of one of its processes; what changes something is said to every process.
//!
//! What is missing is told, never left out: a check over half of the facts would find losses where there are none, and miss those there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderName, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::facts;
use crate::{
    auth::Secret,
    problem::{Problem, kinds},
    with_causes,
    world::{Elsewhere, World},
};

/// Asks a process for itself alone.
const ALONE: HeaderName = HeaderName::from_static("crashcart-alone");
/// How long a process may take to be connected.
const CONNECT: Duration = Duration::from_secs(2);
/// How long it may take to tell everything that it knows.
const PATIENCE: Duration = Duration::from_secs(90);
/// A fault or a rung is no longer than this.
const BODY_MAX_BYTES: usize = 64 * 1024;
/// Of facts that several processes tell, what differs by the moment in which each was asked.
const OF_THE_MOMENT: [&str; 3] = ["committed", "end", "seq"];

#[derive(Clone)]
struct Across {
    world: World,
    /// This process.
    here: Router,
    peers: Peers,
}

/// The way to the admin listeners of other processes.
#[derive(Clone)]
pub(super) struct Peers {
    http: reqwest::Client,
    token: Secret,
}

impl Peers {
    pub fn new(token: &Secret, patience: Duration) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT).timeout(patience).build()?;
        Ok(Self { http, token: token.clone() })
    }

    /// Asks a process for itself alone.
    pub async fn ask(&self, admin: &str, method: &Method, path: &str, body: &Bytes) -> Result<Said, reqwest::Error> {
        let request = self.http.request(method.clone(), format!("{}{path}", admin.trim_end_matches('/')));
        let request = request.bearer_auth(self.token.expose()).header(ALONE, "1").header(header::CONTENT_TYPE, "application/json");
        let response = request.body(body.clone()).send().await?;
        Ok((response.status(), response.bytes().await?))
    }
}

/// What a process said.
type Said = (StatusCode, Bytes);

pub(super) fn router(world: &World, here: Router, token: &Secret) -> Router {
    match Peers::new(token, PATIENCE) {
        Ok(peers) => Router::new().fallback(ask).with_state(Across { world: world.clone(), here, peers }),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the admin listener speaks for this process alone");
            here
        }
    }
}

async fn ask(State(across): State<Across>, request: Request) -> Response {
    let elsewhere = across.world.elsewhere();
    if elsewhere.is_empty() || request.headers().contains_key(ALONE) {
        return across.here(request).await;
    }
    let path = request.uri().path().to_owned();
    let rooms: Vec<&str> = path.trim_matches('/').split('/').collect();
    let answer = match (request.method(), rooms.as_slice()) {
        (&Method::GET, ["lab", "audit"]) => across.names(&elsewhere).await,
        (&Method::GET, ["lab", "audit", "events"]) => return across.here(request).await,
        (&Method::GET, ["lab", "audit", collection]) if facts::COLLECTIONS.contains(collection) => {
            let since = asked(request.uri(), "since").and_then(|since| since.parse().ok());
            across.shared_facts(&elsewhere, &path, since.unwrap_or(0)).await
        }
        (&Method::GET, ["lab", "audit", _]) => across.facts(&elsewhere, request.uri()).await,
        (&Method::GET, ["lab", "parked"]) => across.parked(&elsewhere).await,
        (&Method::POST, ["lab", "parked", ..]) => across.to_whom_it_concerns(&elsewhere, request).await,
        (&Method::PUT, ["lab", "rungs", _]) => across.set_rung(&elsewhere, request).await,
        (&Method::PUT | &Method::DELETE, _) => match whole(request).await {
            Ok((method, path, body)) => across.to_all(&elsewhere, &method, &path, &body).await,
            Err(problem) => Err(problem),
        },
        // The log, the faults and the rungs are the same for all.
        _ => return across.here(request).await,
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

/// A part of the query that needs no decoding: a number, the name of a service.
fn asked<'a>(uri: &'a Uri, what: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(what)?.strip_prefix('='))
}

impl Across {
    async fn here(&self, request: Request) -> Response {
        let Ok(response) = self.here.clone().oneshot(request).await;
        response
    }

    async fn ask_here(&self, method: &Method, path: &str, body: &Bytes) -> Result<Said, Problem> {
        let mut request = Request::new(Body::from(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().map_err(|error| Problem::internal(&error))?;
        request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let response = self.here(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| Problem::internal(&error))?;
        Ok((status, body))
    }

    /// What one of a service's processes says: the first that answers.
    async fn ask_one(&self, service: &Elsewhere, method: &Method, path: &str, body: &Bytes) -> Result<Said, Problem> {
        let mut why = unknown(service);
        for admin in &service.admins {
            match self.peers.ask(admin, method, path, body).await {
                Ok((StatusCode::UNAUTHORIZED, _)) => why = another_token(service, admin),
                Ok(said) => return Ok(said),
                Err(error) => why = silent(service, admin, &error),
            }
        }
        Err(why)
    }

    async fn look_at(&self, service: &Elsewhere, path: &str) -> Result<Said, Problem> {
        self.ask_one(service, &Method::GET, path, &Bytes::new()).await
    }

    async fn look_here(&self, path: &str) -> Result<Said, Problem> {
        self.ask_here(&Method::GET, path, &Bytes::new()).await
    }

    /// What one process of each service and this one say to the same question; each process once.
    async fn ask_each(&self, elsewhere: &[Elsewhere], path: &str) -> Result<Vec<Said>, Problem> {
        let mut said = vec![self.look_here(path).await?];
        let mut asked = BTreeSet::new();
        let once: Vec<&Elsewhere> =
            elsewhere.iter().filter(|service| asked.insert(service.admins.clone()) || service.admins.is_empty()).collect();
        for answer in join_all(once.into_iter().map(|service| self.look_at(service, path))).await {
            said.push(answer?);
        }
        Ok(said)
    }

    async fn names(&self, elsewhere: &[Elsewhere]) -> Result<Response, Problem> {
        let mut names = BTreeSet::new();
        for (_, body) in self.ask_each(elsewhere, "/lab/audit").await? {
            let told: Value = read(&body)?;
            names.extend(told["collections"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)));
        }
        Ok(Json(json!({"collections": names})).into_response())
    }

    /// What the services tell: those of this process, then each of the others.
    async fn facts(&self, elsewhere: &[Elsewhere], uri: &Uri) -> Result<Response, Problem> {
        let path = uri.to_string();
        if let Some(named) = asked(uri, "service") {
            return Ok(match elsewhere.iter().find(|service| service.manifest.name == named) {
                Some(service) => self.look_at(service, &path).await?.into_response(),
                None => self.look_here(&path).await?.into_response(),
            });
        }
        let with = if path.contains('?') { '&' } else { '?' };
        let others = elsewhere.iter().map(|service| {
            let path = format!("{path}{with}service={}", service.manifest.name);
            async move { self.look_at(service, &path).await }
        });
        let mut all = vec![self.look_here(&path).await];
        all.extend(join_all(others).await);
        let (mut lines, mut is_known, mut refusal) = (Vec::new(), false, None);
        for answer in all {
            match answer? {
                (StatusCode::NOT_FOUND, body) => refusal = Some((StatusCode::NOT_FOUND, body)),
                (status, body) if !status.is_success() => return Ok((status, body).into_response()),
                (_, body) => {
                    is_known = true;
                    lines.extend_from_slice(&body);
                }
            }
        }
        match refusal {
            Some(refusal) if !is_known => Ok(refusal.into_response()),
            _ => Ok(super::ndjson(lines)),
        }
    }

    /// Facts that belong to no service, of which each process knows its part and several may know the same.
    async fn shared_facts(&self, elsewhere: &[Elsewhere], path: &str, since: i64) -> Result<Response, Problem> {
        let mut seen = BTreeMap::new();
        for (status, body) in self.ask_each(elsewhere, path).await? {
            if !status.is_success() {
                return Ok((status, body).into_response());
            }
            for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let fact: serde_json::Map<String, Value> = read(line)?;
                let lasting: Vec<_> = fact.iter().filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str())).collect();
                seen.entry(serde_json::to_string(&lasting).unwrap_or_default()).or_insert(fact);
            }
        }
        let mut lines = Vec::new();
        for (seq, mut fact) in (1_i64..).zip(seen.into_values()).filter(|(seq, _)| *seq > since) {
            fact.insert("seq".to_owned(), json!(seq));
            lines.extend(serde_json::to_vec(&fact).map_err(|error| Problem::internal(&error))?);
            lines.push(b'\n');
        }
        Ok(super::ndjson(lines))
    }

    async fn parked(&self, elsewhere: &[Elsewhere]) -> Result<Response, Problem> {
        let mut items = Vec::new();
        for (_, body) in self.ask_each(elsewhere, "/lab/parked").await? {
            let told: Value = read(&body)?;
            for item in told["items"].as_array().into_iter().flatten().filter(|item| !items.contains(*item)).cloned().collect::<Vec<_>>() {
                items.push(item);
            }
        }
        Ok(Json(json!({"items": items})).into_response())
    }

    /// The answer of the first process that has what this is about.
    async fn to_whom_it_concerns(&self, elsewhere: &[Elsewhere], request: Request) -> Result<Response, Problem> {
        let (method, path, body) = whole(request).await?;
        let mut said = self.ask_here(&method, &path, &body).await?;
        for service in elsewhere {
            if said.0 != StatusCode::NOT_FOUND {
                break;
            }
            said = self.ask_one(service, &method, &path, &body).await?;
        }
        Ok(said.into_response())
    }

    /// The answer of the first process that took it, once all have heard it; a refusal only when nobody took it. Whoever cannot be reached is
    /// told, when the others have heard it: half of a system with a fault is another experiment. Who comes back asks what is set ([`super::join`]).
    async fn to_all(&self, elsewhere: &[Elsewhere], method: &Method, path: &str, body: &Bytes) -> Result<Response, Problem> {
        let mut said = vec![self.ask_here(method, path, body).await?];
        let (mut told, mut missed) = (BTreeSet::new(), None);
        for service in elsewhere {
            if service.admins.is_empty() {
                missed.get_or_insert(unknown(service));
            }
            for admin in service.admins.iter().filter(|admin| told.insert((*admin).clone())) {
                match self.peers.ask(admin, method, path, body).await {
                    Ok((StatusCode::UNAUTHORIZED, _)) => drop(missed.get_or_insert(another_token(service, admin))),
                    Ok(answer) => said.push(answer),
                    Err(error) => drop(missed.get_or_insert(silent(service, admin, &error))),
                }
            }
        }
        let first = said.iter().find(|(status, _)| status.is_success()).or(said.first()).cloned();
        match missed {
            Some(problem) => Err(problem),
            None => Ok(first.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)),
        }
    }

    /// Once a service has taken the rung, every process keeps it: who has no place on this ladder may be asked by one that has, when it comes back.
    async fn set_rung(&self, elsewhere: &[Elsewhere], request: Request) -> Result<Response, Problem> {
        let (method, path, body) = whole(request).await?;
        let taken = self.to_all(elsewhere, &method, &path, &body).await?;
        if taken.status().is_success() {
            let mut rung: serde_json::Map<String, Value> = read(&body)?;
            rung.insert("isSet".to_owned(), true.into());
            let kept = Bytes::from(Value::Object(rung).to_string());
            self.to_all(elsewhere, &method, &path, &kept).await?;
        }
        Ok(taken)
    }
}

async fn whole(request: Request) -> Result<(Method, String, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX_BYTES).await.map_err(|_| Problem::new(&kinds::TOO_LARGE))?;
    Ok((parts.method, parts.uri.to_string(), body))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::internal(&error))
}

fn unknown(service: &Elsewhere) -> Problem {
    let name = service.manifest.name;
    Problem::new(&kinds::UNAVAILABLE).detail(format!("Where the admin listener of {name} is, is not known here: set `admins.{name}`."))
}

fn silent(service: &Elsewhere, admin: &str, error: &reqwest::Error) -> Problem {
    let name = service.manifest.name;
    Problem::new(&kinds::UNAVAILABLE).detail(format!("The admin listener of {name} at {admin} does not answer: {}", with_causes(error)))
}

fn another_token(service: &Elsewhere, admin: &str) -> Problem {
    let name = service.manifest.name;
    Problem::new(&kinds::UNAVAILABLE)
        .detail(format!("The admin listener of {name} at {admin} takes another token: give all processes one `platform.signing_secret`."))
}
