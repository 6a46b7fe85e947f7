//! The ways between services: the routers of this process, and the addresses of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use rand::RngExt;
use tower::ServiceExt;

use crate::{
    auth::{Keys, Role},
    chance::Chance,
    clock::Clock,
    fault::{Effect, Faults, Passing},
    problem::{Problem, kinds},
    tasks::Tasks,
    telemetry::context::Context,
    with_causes,
};

/// How long a process elsewhere may take to be connected; the next one is asked then.
const CONNECT: Duration = Duration::from_secs(2);
/// Beside the longest that a request may take, what its way may.
const WAY: Duration = Duration::from_secs(5);
/// What concerns one connection and not the request that comes over it (RFC 9110, 7.6.1), and what is written anew for each.
const OF_A_CONNECTION: [HeaderName; 6] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::UPGRADE, header::TE, header::EXPECT];

/// How long the token of one call is valid.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

type Whole = (StatusCode, HeaderMap, Bytes);

/// Where every service of a world can be reached.
#[derive(Clone, Debug)]
pub struct Calls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    /// Set in a simulated world: every hop takes a moment, by its own draw.
    hops: Option<Chance>,
    faults: Faults,
    /// Set where requests need a token: a service shows its own.
    keys: Option<Keys>,
    /// After how many calls in a row without an answer a caller leaves a service alone for a moment.
    breaker_failures: u32,
    places: RwLock<BTreeMap<String, Place>>,
    http: reqwest::Client,
}

#[derive(Debug, Default)]
struct Place {
    here: Vec<(u32, Router, Tasks)>,
    next: AtomicUsize,
    /// Where its processes are that are not this one.
    there: Vec<String>,
}

/// What becomes of a call without an answer.
#[derive(Debug)]
pub(super) enum Lost {
    NotSent(String),
    MaybeDone(String),
}

impl Calls {
    /// # Errors
    /// When there can be no HTTP client on this machine.
    pub fn new(
        clock: Clock,
        chance: Chance,
        faults: Faults,
        keys: Option<Keys>,
        breaker_failures: u32,
        request_timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let hops = clock.is_simulated().then_some(chance);
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(request_timeout + WAY)
            // Where an answer leads is for whoever asked.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self(Arc::new(Inner { clock, hops, faults, keys, breaker_failures, places: RwLock::default(), http })))
    }

    pub(super) fn breaker_failures(&self) -> u32 {
        self.0.breaker_failures
    }

    /// An instance of a service in this process.
    pub fn register(&self, service: &str, instance: u32, router: Router, tasks: Tasks) {
        let mut places = self.0.places.write().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(service.to_owned()).or_default();
        place.here.retain(|(number, ..)| *number != instance);
        place.here.push((instance, router, tasks));
        place.here.sort_by_key(|(number, ..)| *number);
    }

    /// A service in other processes, by their addresses; they are asked in turn.
    pub fn register_remote(&self, service: &str, base_urls: &[String]) {
        let mut places = self.0.places.write().unwrap_or_else(PoisonError::into_inner);
        places.entry(service.to_owned()).or_default().there = base_urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    }

    pub fn unregister(&self, service: &str, instance: u32) {
        let mut places = self.0.places.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(service) {
            place.here.retain(|(number, ..)| *number != instance);
        }
    }

    /// Sends a request and takes whatever answer there is; faults apply here.
    pub(super) async fn send(
        &self,
        caller: &str,
        target: &str,
        method: &Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
        context: &Context,
    ) -> Result<Whole, Lost> {
        if let Some(keys) = &self.0.keys {
            let token =
                keys.issue(caller, BTreeSet::from([Role::Service]), TOKEN_LIFE).map_err(|error| Lost::NotSent(error.to_string()))?;
            let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| Lost::NotSent(error.to_string()))?;
            headers.insert(header::AUTHORIZATION, value);
        }
        let passing = Passing { service: target, topic: None, key: context.correlation_id().unwrap_or(""), region: None };
        let effect = self.0.faults.pass(&format!("call.{target}"), passing).await;
        if effect == Effect::Fail {
            return Err(Lost::NotSent("connection refused".into()));
        }
        let hop = |way: &str| self.hop(caller, target, &format!("{method} {path} {way}"), context);
        self.wait(hop("there")).await;
        if effect == Effect::Duplicate {
            drop(self.deliver(target, method, path, headers.clone(), body.clone()).await);
        }
        let answer = self.deliver(target, method, path, headers, body).await?;
        self.wait(hop("back")).await;
        if effect == Effect::Drop {
            return Err(Lost::MaybeDone("the connection was closed before the answer".into()));
        }
        Ok(answer)
    }

    /// Hands a request to an instance, as the gateway does: no faults, no hop. None when no instance of it is there to take it. For one
    /// elsewhere the body is held in memory, so who hands it bounds it.
    pub async fn hand(&self, target: &str, request: Request<Body>) -> Option<http::Response<Body>> {
        let Some((router, tasks)) = self.pick(target) else { return self.hand_over(target, request).await };
        // A task of the callee's: who hangs up loses the answer, not the work.
        tasks.run("request", async move { router.oneshot(request).await }).wait().await.ok().map(|answer| match answer {
            Ok(response) => response,
            Err(never) => match never {},
        })
    }

    fn pick(&self, target: &str) -> Option<(Router, Tasks)> {
        let places = self.0.places.read().unwrap_or_else(PoisonError::into_inner);
        let place = places.get(target)?;
        if place.here.is_empty() {
            return None;
        }
        let turn = place.next.fetch_add(1, Ordering::Relaxed) % place.here.len();
        let (_, router, tasks) = &place.here[turn];
        Some((router.clone(), tasks.clone()))
    }

    async fn deliver(&self, target: &str, method: &Method, path: &str, headers: HeaderMap, body: Bytes) -> Result<Whole, Lost> {
        if let Some((router, tasks)) = self.pick(target) {
            let mut request = Request::new(Body::from(body));
            *request.method_mut() = method.clone();
            *request.uri_mut() = path.parse().map_err(|_| Lost::NotSent(format!("`{path}` is not a path")))?;
            *request.headers_mut() = headers;
            let answer = tasks.run("call", async move {
                let Ok(response) = router.oneshot(request).await;
                let (parts, body) = response.into_parts();
                body.collect().await.map(|whole| (parts.status, parts.headers, whole.to_bytes()))
            });
            return match answer.wait().await {
                Ok(Ok(whole)) => Ok(whole),
                Ok(Err(error)) => Err(Lost::MaybeDone(error.to_string())),
                Err(gone) => Err(Lost::MaybeDone(gone.to_string())),
            };
        }
        let response = self.ask_elsewhere(target, method, path, &headers, &body).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        response.bytes().await.map(|body| (status, headers, body)).map_err(|error| Lost::MaybeDone(with_causes(&error)))
    }

    /// The answer of one of the service's processes elsewhere; one that cannot be connected to is passed over.
    async fn ask_elsewhere(
        &self,
        target: &str,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<reqwest::Response, Lost> {
        let mut lost = Lost::NotSent("no instance of it is running".into());
        for base in self.elsewhere(target) {
            let request = self.0.http.request(method.clone(), format!("{base}{path}")).headers(headers.clone()).body(body.clone());
            match request.send().await {
                Ok(response) => return Ok(response),
                Err(error) if error.is_connect() || error.is_builder() => lost = Lost::NotSent(with_causes(&error)),
                Err(error) => return Err(Lost::MaybeDone(with_causes(&error))),
            }
        }
        Err(lost)
    }

    /// Where the service's processes elsewhere are, beginning with the one whose turn it is.
    fn elsewhere(&self, target: &str) -> Vec<String> {
        let places = self.0.places.read().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = places.get(target) else { return Vec::new() };
        let turn = place.next.fetch_add(1, Ordering::Relaxed) % place.there.len().max(1);
        place.there.iter().cycle().skip(turn).take(place.there.len()).cloned().collect()
    }

    async fn hand_over(&self, target: &str, request: Request<Body>) -> Option<http::Response<Body>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return Some(Problem::new(&kinds::UNREADABLE).detail("The body broke off.").into_response());
        };
        let mut headers = parts.headers;
        OF_A_CONNECTION.iter().for_each(|name| drop(headers.remove(name)));
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        match self.ask_elsewhere(target, &parts.method, path, &headers, &body.to_bytes()).await {
            Ok(response) => {
                let mut response = http::Response::from(response).map(Body::new);
                OF_A_CONNECTION
                    .iter()
                    .filter(|name| **name != header::CONTENT_LENGTH)
                    .for_each(|name| drop(response.headers_mut().remove(name)));
                Some(response)
            }
            Err(Lost::NotSent(reason)) => {
                tracing::warn!(service = target, reason, "a service cannot be reached");
                None
            }
            Err(Lost::MaybeDone(reason)) => {
                tracing::warn!(service = target, reason, "a service broke off before its answer");
                let detail = format!("{target} gave no answer; it may have been done. Ask again, with the same Idempotency-Key.");
                Some(Problem::new(&kinds::UNAVAILABLE).detail(detail).into_response())
            }
        }
    }

    /// How long a message is under way in a simulated world: 20 to 200 µs, by the draw of this caller, callee, path and correlation.
    fn hop(&self, caller: &str, target: &str, what: &str, context: &Context) -> Duration {
        self.0.hops.map_or(Duration::ZERO, |chance| {
            Duration::from_micros(
                chance.stream(caller, context.correlation_id().unwrap_or(""), &format!("hop {target} {what}")).random_range(20..=200),
            )
        })
    }

    async fn wait(&self, duration: Duration) {
        if !duration.is_zero() {
            self.0.clock.sleep(duration).await;
        }
    }
}
