//! Calling another service: with a time limit, retries that cannot make a storm, a circuit breaker, and the context that travels.
//!
//! Where the other one runs is the host's affair: in the same process a call is a task of the callee's, answered through a channel, so
//! that the caller's time-out drops the answer and not the work, and the callee's panic is not the caller's; elsewhere it is HTTP. A
//! service cannot tell which.
//!
//! The error says what a caller must know about a call that failed: was it refused, did it certainly not happen, or may it have happened?

mod breaker;
mod transport;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rand::RngExt;
use serde::{Serialize, de::DeserializeOwned};

pub use self::transport::Calls;
use self::{breaker::Breaker, transport::Lost};
use crate::{
    chance::Chance,
    clock::Clock,
    problem::{Problem, kinds},
    telemetry::{
        context::{Context, Contexts},
        traces::{Span, SpanKind},
    },
};

/// A client of one service, for one caller. Cheap to clone; the breaker is shared by the clones.
#[derive(Clone, Debug)]
pub struct Client {
    calls: Calls,
    caller: &'static str,
    target: &'static str,
    clock: Clock,
    chance: Chance,
    contexts: Contexts,
    timeout: Duration,
    breaker: Arc<Breaker>,
}

/// Why a call has no answer that could be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The other side understood and said no (4xx).
    #[error("{target} refused: {problem}")]
    Refused { target: &'static str, problem: Box<Problem> },
    /// It was certainly not done.
    #[error("{target} is not there: {reason}")]
    Unavailable { target: &'static str, reason: String },
    /// It may have been done; ask, or say it again with the same key.
    #[error("{target} gave no answer that can be relied on: {reason}")]
    Unknown { target: &'static str, reason: String },
}

impl CallError {
    /// The problem that the other side told, if it did.
    #[must_use]
    pub fn refusal(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether it was refused for this reason.
    #[must_use]
    pub fn is(&self, slug: &str) -> bool {
        self.refusal().is_some_and(|problem| problem.slug() == slug)
    }

    #[must_use]
    pub fn is_status(&self, status: u16) -> bool {
        self.refusal().is_some_and(|problem| problem.status == status)
    }
}

impl From<CallError> for Problem {
    /// A dependency that is not there is 503; one that refuses what we sent it is our own mistake, unless the caller handles it before.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { .. } => Self::internal(&error),
            CallError::Unavailable { target, .. } | CallError::Unknown { target, .. } => {
                tracing::warn!(%error, "a dependency did not answer");
                Self::new(&kinds::UNAVAILABLE).detail(format!("{target} does not answer at the moment."))
            }
        }
    }
}

/// An answer of 2xx or 3xx.
#[derive(Clone, Debug)]
pub struct Reply {
    pub target: &'static str,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| CallError::Unknown { target: self.target, reason: format!("its answer is not what was agreed: {error}") })
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    #[must_use]
    pub fn new(calls: Calls, caller: &'static str, target: &'static str, clock: Clock, chance: Chance, contexts: Contexts) -> Self {
        let breaker = Arc::new(Breaker::new(clock, calls.breaker_failures()));
        Self { calls, caller, target, clock, chance, contexts, timeout: Duration::from_secs(10), breaker }
    }

    /// The same client with another time limit for each try.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    #[must_use]
    pub fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, path)
    }
    #[must_use]
    pub fn post(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::POST, path)
    }
    #[must_use]
    pub fn put(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::PUT, path)
    }
    #[must_use]
    pub fn delete(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call {
            client: self,
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Ok(Bytes::new()),
            tries: None,
            timeout: self.timeout,
        }
    }
}

/// A call that is being made ready.
#[derive(Debug)]
pub struct Call<'c> {
    client: &'c Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Result<Bytes, String>,
    tries: Option<u32>,
    timeout: Duration,
}

/// How often a call that may be repeated is tried.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

impl Call<'_> {
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(body).map(Bytes::from).map_err(|error| error.to_string());
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// A body as it stands, of any type: a signed callback.
    #[must_use]
    pub fn bytes(mut self, body: impl Into<Bytes>, content_type: &'static str) -> Self {
        self.body = Ok(body.into());
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self
    }

    /// With the same key it may be said again without being done again, so it is tried more than once.
    #[must_use]
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.header("idempotency-key", key)
    }

    #[must_use]
    pub fn if_match(self, tag: impl AsRef<str>) -> Self {
        self.header("if-match", tag)
    }

    /// A header; a value that cannot stand in one fails the call.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        match HeaderValue::from_str(value.as_ref()) {
            Ok(value) => drop(self.headers.insert(HeaderName::from_static(name), value)),
            Err(_) => self.body = Err(format!("`{name}` cannot be sent as a header")),
        }
        self
    }

    /// The time limit of each try.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A POST that changes nothing, or nothing a second time: it may be said again without a key.
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.tries = Some(TRIES);
        self
    }

    /// Tried once only, whatever becomes of it.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.tries = Some(1);
        self
    }

    /// Makes the call. 4xx is [`CallError::Refused`]; anything that may be repeated without harm is, a few times.
    pub async fn send(self) -> Result<Reply, CallError> {
        let client = self.client;
        let target = client.target;
        let body = self.body.map_err(|reason| CallError::Unavailable { target, reason })?;
        let repeatable = self.method != Method::POST || self.headers.contains_key("idempotency-key");
        let tries = self.tries.unwrap_or(if repeatable { TRIES } else { 1 });
        let context = client.contexts.child(&Context::current());
        let mut span = self::span(client, &self.method, &context);
        let mut pause = FIRST_PAUSE;
        let mut tried = 0;
        // Once a try may have been done, no later one that was not sent makes it undone.
        let mut maybe_done = None;
        loop {
            tried += 1;
            let error = match one_try(client, &self.method, &self.path, &self.headers, &body, &context, self.timeout).await {
                Ok(reply) => {
                    span.set("http.response.status_code", i64::from(reply.status.as_u16()));
                    return Ok(reply);
                }
                Err(CallError::Refused { target, problem }) => {
                    span.set("http.response.status_code", i64::from(problem.status));
                    return Err(CallError::Refused { target, problem });
                }
                Err(error) => error,
            };
            if matches!(error, CallError::Unknown { .. }) {
                maybe_done = Some(error.clone());
            }
            if tried >= tries || !client.breaker.may_retry() {
                let error = maybe_done.unwrap_or(error);
                if client.contexts.traces().is_on() {
                    span.fail(&error.to_string());
                }
                return Err(error);
            }
            span.set("http.request.resend_count", i64::from(tried));
            // Half to the whole of the pause, by the call's own draw.
            let draw = client
                .chance
                .stream(client.caller, context.correlation_id().unwrap_or(""), &format!("{target}{}{tried}", self.path))
                .random_range(0.5..1.0);
            client.clock.sleep(pause.mul_f64(draw)).await;
            pause *= 4;
        }
    }

    /// Makes the call and reads the answer.
    pub async fn send_json<T: DeserializeOwned>(self) -> Result<T, CallError> {
        self.send().await?.json()
    }
}

/// The span of a call, all its tries together: the callee's is its child. Nothing is made up for a world that exports no traces.
fn span(client: &Client, method: &Method, context: &Context) -> Span {
    let traces = client.contexts.traces();
    if !traces.is_on() {
        return Span::none();
    }
    let attributes = [("http.request.method", method.as_str()), ("server.address", client.target)];
    traces.span(&format!("{method} {}", client.target), SpanKind::Client, context, &attributes)
}

async fn one_try(
    client: &Client,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
    context: &Context,
    timeout: Duration,
) -> Result<Reply, CallError> {
    let target = client.target;
    if !client.breaker.admits() {
        return Err(CallError::Unavailable { target, reason: "it has failed too often of late; it is left alone for a moment".into() });
    }
    let mut headers = headers.clone();
    context.add_headers(&mut headers);
    let work = client.calls.send(client.caller, target, method, path, headers, body.clone(), context);
    let outcome = match client.clock.timeout(timeout, work).await {
        Err(elapsed) => Err(CallError::Unknown { target, reason: elapsed.to_string() }),
        Ok(Err(Lost::NotSent(reason))) => Err(CallError::Unavailable { target, reason }),
        Ok(Err(Lost::MaybeDone(reason))) => Err(CallError::Unknown { target, reason }),
        Ok(Ok((status, headers, body))) => judge(target, status, headers, body),
    };
    client.breaker.learn(!matches!(outcome, Err(CallError::Unavailable { .. } | CallError::Unknown { .. })));
    outcome
}

fn judge(target: &'static str, status: StatusCode, headers: HeaderMap, body: Bytes) -> Result<Reply, CallError> {
    if status.is_success() || status.is_redirection() {
        return Ok(Reply { target, status, headers, body });
    }
    let problem = || {
        serde_json::from_slice::<Problem>(&body).unwrap_or_else(|_| Problem { status: status.as_u16(), ..Problem::new(&kinds::INTERNAL) })
    };
    match status.as_u16() {
        // Said by a layer before any work was done, or by one that knows that nothing was.
        429 | 507 => Err(CallError::Unavailable { target, reason: problem().to_string() }),
        503 if !problem().is(&kinds::TIMEOUT) => Err(CallError::Unavailable { target, reason: problem().to_string() }),
        400..=499 => Err(CallError::Refused { target, problem: Box::new(problem()) }),
        _ => Err(CallError::Unknown { target, reason: problem().to_string() }),
    }
}
