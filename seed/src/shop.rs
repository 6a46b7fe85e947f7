//! How an outsider speaks to a system: one request, one answer, JSON both ways. The port is this small so that a running system behind
//! a URL and a simulated one in this process can both stand behind it.

use std::{future::Future, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use platform::Clock;
use serde::Serialize;
use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// With its query: `/customers?email=mai@example.com`.
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Value>,
}

impl Call {
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None }
    }

    /// A POST of this body. What cannot be written as JSON is sent as `null`, which every service refuses.
    #[must_use]
    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self { method: Method::POST, ..Self::get(path) }.json(body)
    }

    #[must_use]
    pub fn put(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self { method: Method::PUT, ..Self::get(path) }.json(body)
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Said again with this key, it is not done again.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.header("idempotency-key", key)
    }

    fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_value(body).unwrap_or(Value::Null));
        self
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `null` without a body; a text that is no JSON as a string.
    pub body: Value,
}

impl Answer {
    #[must_use]
    pub fn new(status: StatusCode, body: Value) -> Self {
        Self { status, headers: HeaderMap::new(), body }
    }

    /// An answer from an earlier request with the same key.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }

    /// The slug of a problem: the last part of its `type`; the status when there is none.
    #[must_use]
    pub fn slug(&self) -> String {
        let slug = self.body["type"].as_str().and_then(|uri| uri.rsplit(['/', ':', '#']).next());
        slug.filter(|slug| !slug.is_empty()).map_or_else(|| self.status.as_u16().to_string(), str::to_owned)
    }

    /// What a problem says, with the places that it points at.
    #[must_use]
    pub fn detail(&self) -> String {
        let said = self.body["detail"].as_str().or(self.body["title"].as_str()).or(self.body.as_str()).unwrap_or("no reason was given");
        let mut text = said.to_owned();
        for error in self.body["errors"].as_array().into_iter().flatten() {
            let part = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            text = format!("{text}; {} {}", part("pointer"), part("detail"));
        }
        text
    }

    /// Whether the same request may do better a little later.
    fn is_passing(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// There was no answer at all.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// A system, as its users reach it.
pub trait Shop: Send + Sync {
    fn send(&self, call: Call) -> impl Future<Output = Result<Answer, Unreachable>> + Send;
}

impl<S: Shop> Shop for Arc<S> {
    fn send(&self, call: Call) -> impl Future<Output = Result<Answer, Unreachable>> + Send {
        self.as_ref().send(call)
    }
}

/// A running system behind a URL. Connections are kept and used again.
#[derive(Clone, Debug)]
pub struct HttpShop {
    base: String,
    client: reqwest::Client,
    authorization: Option<HeaderValue>,
}

#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("`{0}` is no target: give an address such as http://127.0.0.1:8080")]
    Url(String),
    #[error("the token has characters that no token has; `crashcart token` makes one")]
    Token,
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[source] reqwest::Error),
}

impl HttpShop {
    /// The longest that one answer may take.
    pub const TIMEOUT: Duration = Duration::from_secs(60);

    pub fn new(base: &str) -> Result<Self, TargetError> {
        let base = base.trim_end_matches('/');
        let url = reqwest::Url::parse(base).map_err(|_| TargetError::Url(base.to_owned()))?;
        if url.scheme() != "http" || url.host_str().is_none() || url.query().is_some() {
            return Err(TargetError::Url(base.to_owned()));
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(2_048)
            .tcp_nodelay(true)
            .timeout(Self::TIMEOUT)
            .build()
            .map_err(TargetError::Client)?;
        Ok(Self { base: base.to_owned(), client, authorization: None })
    }

    /// With a token in every request, for a system that asks for one.
    pub fn with_token(mut self, token: &str) -> Result<Self, TargetError> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| TargetError::Token)?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }
}

impl Shop for HttpShop {
    async fn send(&self, call: Call) -> Result<Answer, Unreachable> {
        let mut request = self.client.request(call.method, format!("{}{}", self.base, call.path));
        if let Some(token) = &self.authorization {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        if let Some(body) = call.body {
            request = request.json(&body);
        }
        let unreachable = |error: reqwest::Error| Unreachable(platform::with_causes(&error));
        let response = request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.map_err(unreachable)?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>().into())
        };
        Ok(Answer { status, headers, body })
    }
}

/// A shop whose passing troubles (no connection, 429, 502, 503) are waited out: for work that must get through. Load must not use it, or
/// the troubles that it is there to count would not be seen.
#[derive(Clone, Debug)]
pub struct Patient<S> {
    shop: S,
    clock: Clock,
    /// How often a request is said at most.
    attempts: u32,
}

impl<S: Shop> Patient<S> {
    #[must_use]
    pub const fn new(shop: S, clock: Clock) -> Self {
        Self { shop, clock, attempts: 6 }
    }
}

impl<S: Shop> Shop for Patient<S> {
    async fn send(&self, call: Call) -> Result<Answer, Unreachable> {
        let mut pause = Duration::from_millis(100);
        for _ in 1..self.attempts {
            let wait = match self.shop.send(call.clone()).await {
                Ok(answer) if answer.is_passing() => retry_after(&answer).unwrap_or(pause),
                Ok(answer) => return Ok(answer),
                Err(_) => pause,
            };
            self.clock.sleep(wait).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        self.shop.send(call).await
    }
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(Duration::from_secs(30)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    struct Moody(Mutex<Vec<Result<Answer, Unreachable>>>);

    impl Shop for Moody {
        async fn send(&self, _: Call) -> Result<Answer, Unreachable> {
            self.0.lock().expect("one at a time").remove(0)
        }
    }

    fn answer(status: u16) -> Answer {
        Answer::new(StatusCode::from_u16(status).expect("a status"), json!({"type": "https://crashcart.example/problems/unavailable"}))
    }

    #[tokio::test(start_paused = true)]
    async fn passing_troubles_are_waited_out_and_refusals_are_not() {
        let clock = Clock::simulated();
        let mut busy = answer(503);
        busy.headers.insert(header::RETRY_AFTER, 2.into());
        let moods = vec![Ok(busy), Err(Unreachable("connection refused".into())), Ok(answer(201)), Ok(answer(422)), Ok(answer(201))];
        let patient = Patient::new(Moody(Mutex::new(moods)), clock);
        let began = clock.now();
        assert_eq!(patient.send(Call::get("/")).await.expect("an answer").status, 201);
        assert_eq!(clock.now().since(began), Duration::from_millis(2_200));
        assert_eq!(patient.send(Call::get("/")).await.expect("an answer").status, 422);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let patient = Patient::new(Moody(Mutex::new((0..6).map(|_| Ok(answer(503))).collect())), Clock::simulated());
        let last = patient.send(Call::get("/")).await.expect("an answer");
        assert_eq!((last.status.as_u16(), last.slug().as_str()), (503, "unavailable"));
        assert!(patient.shop.0.lock().expect("one at a time").is_empty());
    }

    #[test]
    fn a_target_is_a_plain_url() {
        assert!(HttpShop::new("http://127.0.0.1:8080/").is_ok());
        for wrong in ["", "127.0.0.1:8080", "https://shop.example", "ftp://x", "http://x/?a=b"] {
            let said = HttpShop::new(wrong).expect_err(wrong).to_string();
            assert!(said.contains("http://127.0.0.1:8080"), "{said}");
        }
    }
}
