//! The ways between services: the routers of this process, and the addresses of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use rand::RngExt;
use tower::ServiceExt;

use crate::{
    auth::{Keys, Role},
    chance::Chance,
    clock::Clock,
    fault::{Effect, Faults, Passing},
    tasks::Tasks,
    telemetry::context::Context,
};

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
    there: Option<String>,
}

/// What becomes of a call without an answer.
#[derive(Debug)]
pub(super) enum Lost {
    NotSent(String),
    MaybeDone(String),
}

impl Calls {
    #[must_use]
    pub fn new(clock: Clock, chance: Chance, faults: Faults, keys: Option<Keys>, breaker_failures: u32) -> Self {
        let hops = clock.is_simulated().then_some(chance);
        Self(Arc::new(Inner { clock, hops, faults, keys, breaker_failures, places: RwLock::default(), http: reqwest::Client::new() }))
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

    /// A service in another process.
    pub fn register_remote(&self, service: &str, base_url: &str) {
        let mut places = self.0.places.write().unwrap_or_else(PoisonError::into_inner);
        places.entry(service.to_owned()).or_default().there = Some(base_url.trim_end_matches('/').to_owned());
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

    /// Hands a request to an instance in this process, as the gateway does: no faults, no hop.
    pub async fn hand(&self, target: &str, request: Request<Body>) -> Option<http::Response<Body>> {
        let (router, tasks) = self.pick(target)?;
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
        let there = self.0.places.read().unwrap_or_else(PoisonError::into_inner).get(target).and_then(|place| place.there.clone());
        let Some(base) = there else { return Err(Lost::NotSent("no instance of it is running".into())) };
        let request = self.0.http.request(method.clone(), format!("{base}{path}")).headers(headers).body(body);
        let lost = |error: reqwest::Error| {
            if error.is_connect() || error.is_builder() { Lost::NotSent(error.to_string()) } else { Lost::MaybeDone(error.to_string()) }
        };
        let response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        response.bytes().await.map(|body| (status, headers, body)).map_err(|error| Lost::MaybeDone(error.to_string()))
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
