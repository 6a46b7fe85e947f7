//! A scripted system for tests: it keeps what it is given in maps, by the contract's shapes, and can be told to fail, to be slow and to
//! stand still. It is no model of the services; it only answers as they promise to, so that what is outside can be tested alone.

mod orders;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, response::IntoResponse};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use platform::{Clock, Tasks};
use serde_json::{Value, json};
use types::{Timestamp, id::Uuid};

use crate::shop::{Answer, Call, Shop, Unreachable};

/// The longest page of a list, short so that tests see several.
const PAGE: usize = 7;

/// The scripted system. Everything that a test sets may be set while it runs.
pub struct Scripted {
    clock: Clock,
    kept: Mutex<Kept>,
    mood: Mutex<Mood>,
}

/// What a test wants of it.
#[derive(Clone, Debug, Default)]
pub struct Mood {
    /// After this many writes nothing is answered any more.
    pub breaks_after_writes: Option<u64>,
    /// How long each answer takes.
    pub latency: Duration,
    /// Between these moments nothing is answered; what waits is answered at the end.
    pub stands_still: Option<(Timestamp, Timestamp)>,
    /// How often an order is asked for until it has settled.
    pub polls_until_settled: u32,
    /// Paths that start like this are refused with this status and slug.
    pub refuses: Option<(String, u16, String)>,
}

#[derive(Default)]
struct Kept {
    next_id: u128,
    writes: u64,
    calls: u64,
    /// Things by their kind and natural key.
    things: BTreeMap<(&'static str, String), Value>,
    /// Natural keys by kind and id.
    keys: BTreeMap<(&'static str, String), String>,
    /// First answers by path and key.
    answers: BTreeMap<(String, String), (StatusCode, Value)>,
}

impl Scripted {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, kept: Mutex::default(), mood: Mutex::default() }
    }

    pub fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.mood.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How many requests have changed something.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.kept().writes
    }

    /// How many requests were answered.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.kept().calls
    }

    /// Everything of a kind, by natural key.
    #[must_use]
    pub fn things(&self, kind: &str) -> BTreeMap<String, Value> {
        self.kept().things.iter().filter(|((of, _), _)| *of == kind).map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    /// Changes a thing behind everybody's back.
    pub fn change(&self, kind: &'static str, key: &str, change: impl FnOnce(&mut Value)) {
        if let Some(thing) = self.kept().things.get_mut(&(kind, key.to_owned())) {
            change(thing);
        }
    }

    /// A day later: no idempotency key is known any more.
    pub fn forget_keys(&self) {
        self.kept().answers.clear();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mood(&self) -> Mood {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn answer(&self, call: &Call, mood: &Mood) -> Result<Answer, Unreachable> {
        let mut kept = self.kept();
        let is_write = call.method != Method::GET;
        if is_write && mood.breaks_after_writes.is_some_and(|most| kept.writes >= most) {
            return Err(Unreachable("connection refused".into()));
        }
        kept.calls += 1;
        if let Some((prefix, status, slug)) = &mood.refuses
            && call.path.starts_with(prefix.as_str())
        {
            return Ok(problem(*status, slug, "the script says no"));
        }
        let key = call.headers.iter().find(|(name, _)| *name == "idempotency-key").map(|(_, key)| (call.path.clone(), key.clone()));
        if let Some((status, body)) = key.as_ref().and_then(|key| kept.answers.get(key)) {
            let mut answer = Answer::new(*status, body.clone());
            answer.headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
            return Ok(answer);
        }
        let answer = kept.route(call, mood, self.clock.now());
        if is_write && answer.status.is_success() {
            kept.writes += 1;
            if let Some(key) = key {
                kept.answers.insert(key, (answer.status, answer.body.clone()));
            }
        }
        Ok(answer)
    }

    /// Serves it over HTTP on a free port of this machine, for as long as `tasks` live.
    pub async fn serve(self: Arc<Self>, tasks: &Tasks) -> std::io::Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(over_http).with_state(self);
        tasks.spawn("scripted system", async move { drop(axum::serve(listener, router).await) });
        Ok(address)
    }
}

async fn over_http(State(system): State<Arc<Scripted>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let mut call = Call::get(uri.to_string());
    call.method = method;
    call.body = serde_json::from_slice(&body).ok();
    if let Some(key) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) {
        call = call.idempotency_key(key);
    }
    match system.send(call).await {
        Ok(answer) => (answer.status, answer.headers, axum::Json(answer.body)),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new(), axum::Json(Value::Null)),
    }
}

impl Shop for Scripted {
    async fn send(&self, call: Call) -> Result<Answer, Unreachable> {
        let mood = self.mood();
        if let Some((from, until)) = mood.stands_still
            && self.clock.now() >= from
        {
            self.clock.sleep_until(until).await;
        }
        if !mood.latency.is_zero() {
            self.clock.sleep(mood.latency).await;
        }
        self.answer(&call, &mood)
    }
}

fn problem(status: u16, slug: &str, detail: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::new(status, json!({"type": format!("https://crashcart.test/problems/{slug}"), "detail": detail}))
}

fn found(thing: Option<&Value>) -> Answer {
    thing.map_or_else(|| problem(404, "not-found", "there is nothing here"), |thing| Answer::new(StatusCode::OK, thing.clone()))
}

impl Kept {
    fn id(&mut self) -> String {
        self.next_id += 1;
        Uuid::from_u128(self.next_id).to_string()
    }

    fn get(&self, kind: &'static str, key: &str) -> Option<&Value> {
        self.things.get(&(kind, key.to_owned()))
    }

    fn keep(&mut self, kind: &'static str, key: &str, thing: Value) -> Answer {
        if let Some(id) = thing["id"].as_str() {
            self.keys.insert((kind, id.to_owned()), key.to_owned());
        }
        self.things.insert((kind, key.to_owned()), thing.clone());
        Answer::new(StatusCode::CREATED, thing)
    }

    /// A new thing of this kind; 409 when the natural key is taken.
    fn make(&mut self, kind: &'static str, key: &str, mut thing: Value) -> Answer {
        if self.get(kind, key).is_some() {
            return problem(409, "taken", "there is one already");
        }
        if thing["id"].is_null() {
            thing["id"] = self.id().into();
        }
        self.keep(kind, key, thing)
    }

    fn page(&self, kind: &'static str, query: &str) -> Answer {
        let after = query.strip_prefix("cursor=").unwrap_or_default();
        let mut rest = self.things.iter().filter(|((of, key), _)| *of == kind && key.as_str() > after);
        let page: Vec<_> = rest.by_ref().take(PAGE).collect();
        let next = rest.next().and(page.last()).map(|((_, key), _)| key);
        let items: Vec<&Value> = page.iter().map(|(_, value)| *value).collect();
        Answer::new(StatusCode::OK, json!({"items": items, "nextCursor": next}))
    }

    fn route(&mut self, call: &Call, mood: &Mood, now: Timestamp) -> Answer {
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let body = call.body.clone().unwrap_or_default();
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        match (call.method.as_str(), parts.as_slice()) {
            ("GET", ["categories"]) => self.page("category", query),
            ("POST", ["categories"]) => self.make("category", &text("slug"), body.clone()),
            ("GET", ["products", "by-sku", sku]) => found(self.get("product", sku)),
            ("POST", ["products"]) => self.make("product", &text("sku"), body.clone()),
            ("GET", ["pricing", "books", book, "entries", sku]) => found(self.get("price", &format!("{book}/{sku}"))),
            ("PUT", ["pricing", "books", book, "entries", sku]) => self.keep("price", &format!("{book}/{sku}"), body.clone()),
            ("GET", ["pricing", "rules", id]) => found(self.get("rule", id)),
            ("POST", ["pricing", "rules"]) => self.make("rule", &text("id"), body.clone()),
            ("GET", ["promotions"]) => self.page("promotion", query),
            ("GET", ["promotions", code]) => found(self.get("promotion", code)),
            ("POST", ["promotions"]) => {
                let name = body["code"].as_str().map_or_else(|| format!("campaign {}", text("name")), str::to_owned);
                self.make("promotion", &name, body.clone())
            }
            ("GET", ["inventory", sku]) => found(self.get("stock", sku)),
            ("POST", ["inventory", "adjust"]) => self.adjust(&text("sku"), &text("warehouse"), body["delta"].as_i64().unwrap_or(0)),
            ("GET", ["customers"]) => {
                let customer = query.strip_prefix("email=").and_then(|email| self.get("customer", email));
                Answer::new(StatusCode::OK, json!({"items": customer.into_iter().collect::<Vec<_>>(), "nextCursor": null}))
            }
            ("POST", ["customers"]) => {
                let mut customer = body.clone();
                for (field, value) in [("segments", json!([])), ("createdAt", json!(now)), ("updatedAt", json!(now))] {
                    customer[field] = value;
                }
                self.make("customer", &text("email"), customer)
            }
            ("POST", ["customers", id, "segments"]) => match self.by_id("customer", id) {
                Some(customer) => {
                    customer["segments"] = body["segments"].clone();
                    customer["updatedAt"] = json!(now.plus(Duration::from_micros(1)));
                    Answer::new(StatusCode::OK, customer.clone())
                }
                None => problem(404, "not-found", "no such customer"),
            },
            (_, ["carts" | "orders", ..]) => self.sell(call.method.as_str(), &parts, &body, mood, now),
            _ => problem(404, "not-found", "no such path"),
        }
    }

    fn by_id(&mut self, kind: &'static str, id: &str) -> Option<&mut Value> {
        let key = self.keys.get(&(kind, id.to_owned()))?;
        self.things.get_mut(&(kind, key.clone()))
    }

    fn adjust(&mut self, sku: &str, warehouse: &str, delta: i64) -> Answer {
        let mut stock = self.get("stock", sku).cloned().unwrap_or_else(|| json!({"sku": sku, "warehouses": []}));
        if let Some(shelves) = stock["warehouses"].as_array_mut() {
            match shelves.iter_mut().find(|shelf| shelf["warehouse"] == warehouse) {
                Some(shelf) => shelf["onHand"] = json!(shelf["onHand"].as_i64().unwrap_or(0) + delta),
                None => shelves.push(json!({"warehouse": warehouse, "onHand": delta, "held": 0, "claimed": 0, "available": delta})),
            }
        }
        self.keep("stock", sku, stock)
    }
}
