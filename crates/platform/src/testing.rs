//! What the tests of every service stand on: a simulated world with some services in it, and a caller who speaks HTTP to them. It is the
//! real starter, layer, stores and bus; only time, chance and threads are the simulation's. And what every floor of a port keeps to, as suites
//! that run over the embedded ones and over the engines alike ([`cache`], [`limiter`], [`blob`], [`bus`]).

pub mod blob;
pub mod bus;
pub mod cache;
pub mod disk;
pub mod limiter;

#[cfg(any(test, feature = "engines"))]
pub mod stores;

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use tower::ServiceExt;

use crate::{
    auth::{Keys, Role, Secret},
    service::Manifest,
    settings::{self, Settings},
    tasks::Tasks,
    world::{World, admin, gateway},
};

/// A simulated world and the ways into it. Made inside `#[tokio::test(start_paused = true)]`.
#[derive(Debug)]
pub struct Stage {
    pub world: World,
    gateway: Router,
    admin: Router,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }

    /// The body as what it should be.
    ///
    /// # Panics
    /// When it is something else: a test has failed.
    #[must_use]
    #[expect(clippy::panic, reason = "for tests")]
    pub fn view<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The slug of a problem; empty when it is none.
    #[must_use]
    pub fn slug(&self) -> String {
        self.json()["type"].as_str().and_then(|uri| uri.rsplit(':').next()).unwrap_or_default().to_owned()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Stage {
    /// A world with one instance of each of these services.
    pub async fn with(manifests: &[&'static Manifest]) -> Self {
        Self::of(manifests, 1, |settings| settings).await
    }

    /// A world of this seed, with settings changed as `change` does.
    ///
    /// # Panics
    /// When a service does not start: a test has failed.
    #[expect(clippy::panic, reason = "for tests")]
    pub async fn of(manifests: &[&'static Manifest], seed: u64, change: impl FnOnce(Settings) -> Settings) -> Self {
        let told = |error: &dyn std::fmt::Display| -> ! { panic!("the stage cannot be set: {error}") };
        let settings = Settings::load(settings::DEFAULTS, None, std::iter::empty()).unwrap_or_else(|error| told(&error));
        #[cfg(feature = "engines")]
        let settings = stores::chosen(settings);
        let world = World::simulated(change(settings), seed).unwrap_or_else(|error| told(&error));
        for manifest in manifests {
            world.start(manifest, 0).await.unwrap_or_else(|error| told(&error));
        }
        Self { gateway: gateway::router(&world), admin: admin::open_router(&world), world }
    }

    /// Puts a router in the place of a neighbour: what this service is to make of the neighbour's answers is under test, not the neighbour.
    pub fn neighbour(&self, service: &'static str, router: Router) {
        self.world.calls().register(service, 0, router, Tasks::new(service, self.world.clock()));
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, None::<&Json>, &[]).await
    }
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Got {
        self.send(Method::POST, path, Some(body), &[]).await
    }
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Got {
        self.send(Method::PUT, path, Some(body), &[]).await
    }
    pub async fn delete(&self, path: &str) -> Got {
        self.send(Method::DELETE, path, None::<&Json>, &[]).await
    }

    /// A POST with an `Idempotency-Key`.
    pub async fn post_with_key(&self, path: &str, body: &impl Serialize, key: &str) -> Got {
        self.send(Method::POST, path, Some(body), &[("idempotency-key", key)]).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&impl Serialize>, headers: &[(&'static str, &str)]) -> Got {
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap_or_default()).unwrap_or_default();
        let mut all = vec![];
        if body.is_some() {
            all.push((header::CONTENT_TYPE.as_str(), "application/json"));
        }
        all.extend(headers.iter().copied());
        self.send_bytes(method, path, bytes, &all).await
    }

    /// Any bytes with any headers, for what is wrong on purpose.
    pub async fn send_bytes(&self, method: Method, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Got {
        answer(self.gateway.clone(), method, path, body, headers).await
    }

    /// A call of the admin listener.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Got {
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap_or_default()).unwrap_or_default();
        answer(self.admin.clone(), method, path, bytes, &[("content-type", "application/json")]).await
    }

    /// Every fact of a collection.
    pub async fn facts(&self, collection: &str) -> Vec<Json> {
        let got = self.admin(Method::GET, &format!("/lab/audit/{collection}"), None::<&Json>).await;
        got.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// The events of a topic so far, decoded, each once by its id: a relay that dies between a publication and the note of it publishes
    /// again, and consumers dedupe in the same way.
    pub async fn events(&self, topic: &str) -> Vec<Json> {
        let (mut events, mut seen) = (Vec::new(), BTreeSet::new());
        for partition in 0..self.world.bus().end_offsets(topic).map_or(0, |ends| ends.len()) {
            let partition = u32::try_from(partition).unwrap_or(0);
            for delivery in self.world.bus().read(topic, partition, 0, 10_000).await.unwrap_or_default() {
                let is_new = delivery.header("ce_id").is_none_or(|id| seen.insert(id.to_owned()));
                events.extend(crate::schema::decode_json(self.world.registry(), &delivery.value).ok().filter(|_| is_new));
            }
        }
        events
    }

    /// The `Authorization` of a token that this world signs, valid for an hour.
    #[must_use]
    pub fn bearer(&self, subject: impl std::fmt::Display, roles: &[Role]) -> String {
        signed(self.world.keys(), &subject.to_string(), roles, Duration::from_secs(3_600))
    }

    /// The `Authorization` of tokens for this subject that no service may take, each with what is wrong with it. Half a minute passes.
    pub async fn bad_bearers(&self, subject: impl std::fmt::Display, roles: &[Role]) -> Vec<(&'static str, String)> {
        let subject = subject.to_string();
        let short = signed(self.world.keys(), &subject, roles, Duration::from_secs(1));
        self.pass(Duration::from_secs(31)).await;
        let good = self.bearer(&subject, roles);
        let other =
            Secret::new("a secret of somebody else, long enough").ok().and_then(|secret| Keys::new(&secret, self.world.clock()).ok());
        let forged = other.map(|keys| signed(&keys, &subject, roles, Duration::from_secs(3_600))).unwrap_or_default();
        let (body, _) = good.rsplit_once('.').unwrap_or_default();
        vec![
            ("expired", short),
            ("signed by somebody else", forged),
            ("without a signature", format!("{body}.")),
            ("not a token", "Bearer nonsense".to_owned()),
        ]
    }

    /// Lets simulated time pass, and with it everything that is due.
    pub async fn pass(&self, duration: Duration) {
        self.world.clock().sleep(duration).await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Asked without waiting for the world's time, as whatever goes to an engine from a simulated world.
        #[cfg(feature = "engines")]
        for database in self.world.names().into_iter().filter_map(|service| self.world.couchdb(service)) {
            if let Some(Err(error)) = futures::FutureExt::now_or_never(database.drop_it()) {
                tracing::warn!(error = &error as &dyn std::error::Error, "the documents of a test stay");
            }
        }
        #[cfg(feature = "engines")]
        for keyspace in self.world.names().into_iter().filter_map(|service| self.world.cassandra(service)) {
            if let Some(Err(error)) = futures::FutureExt::now_or_never(keyspace.drop_it()) {
                tracing::warn!(error = &error as &dyn std::error::Error, "the stock of a test stays");
            }
        }
        self.world.end();
    }
}

fn signed(keys: &Keys, subject: &str, roles: &[Role], valid_for: Duration) -> String {
    keys.issue(subject, roles.iter().copied().collect(), valid_for).map(|token| format!("Bearer {token}")).unwrap_or_default()
}

/// What a router answers: the port of one service, without a network.
pub async fn answer(router: Router, method: Method, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Got {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), HeaderValue::from_bytes(value.as_bytes())) {
            request.headers_mut().append(name, value);
        }
    }
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Got { status: parts.status, headers: parts.headers, body }
}

/// A test for each function of a suite, over what `$fresh` makes.
#[macro_export]
macro_rules! port_suite {
    (#[$test:meta] $port:ident $fresh:path: $($name:ident),+) => {
        $(
            #[$test]
            async fn $name() {
                $crate::testing::$port::$name($fresh).await;
            }
        )+
    };
}
