//! The context that travels with a piece of work through calls and events: the correlation id that people search for, and the trace
//! (W3C Trace Context). It lives in the task, so nobody passes it by hand and a log line finds it without a span.
//!
//! A piece of work that a service takes up gets a context from its [`Contexts`]: continued from what came with it, or a new one. What
//! came from outside is checked letter by letter, since it is echoed in headers, events and log lines.

mod w3c;

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng;

use super::traces::Traces;
use crate::chance::{Chance, Stream};

use self::w3c::{Parent, parse_state, parse_traceparent};
pub use self::w3c::{SpanId, TraceId};

/// The header that carries the correlation id from outside and back (contracts: taken or made, echoed).
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
/// The attribute that carries it in an event.
pub const CORRELATION_ATTRIBUTE: &str = "correlation-id";
pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";
/// The longest correlation id that is taken from outside.
pub const MAX_CORRELATION_ID: usize = 128;

tokio::task_local! {
    static CURRENT: Context;
}

/// Who works for what. The empty one (outside of any work) has no ids and adds nothing to headers or lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    service: Option<Arc<str>>,
    correlation_id: Option<Arc<str>>,
    trace: Option<Trace>,
    state: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trace {
    id: TraceId,
    span: SpanId,
    parent: Option<SpanId>,
    flags: u8,
}

impl Context {
    /// The context of the task that asks; empty outside of [`Context::scope`].
    #[must_use]
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Looks at the current context without taking it.
    pub fn look<T>(at: impl Fn(&Self) -> T) -> T {
        CURRENT.try_with(&at).unwrap_or_else(|_| at(&Self::default()))
    }

    /// The future, with this context as the current one. A task that is spawned inside starts empty; give it its context by this.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// The same for a closure.
    pub fn enter<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    /// The service that does the work.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.trace.map(|trace| trace.id)
    }

    /// This work's own span; what is called from here has it as its parent.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        self.trace.map(|trace| trace.span)
    }

    /// The span that this work is part of; none at the beginning of a trace.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<SpanId> {
        self.trace.and_then(|trace| trace.parent)
    }

    /// Whether the beginning of the trace wants it recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.trace.is_some_and(|trace| trace.flags & w3c::SAMPLED != 0)
    }

    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// `00-<trace>-<span>-<flags>`, for what is called from here.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.trace.map(|trace| format!("00-{}-{}-{:02x}", trace.id, trace.span, trace.flags))
    }

    /// The headers of a call made within this work.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        self.add_headers(&mut headers);
        headers
    }

    /// Puts the headers of [`Context::headers`] over those that are there.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        let mut put = |name: HeaderName, value: Option<&str>| {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        };
        put(CORRELATION_HEADER, self.correlation_id());
        put(HeaderName::from_static(TRACEPARENT), self.traceparent().as_deref());
        put(HeaderName::from_static(TRACESTATE), self.tracestate());
    }

    /// The attributes of an event written within this work.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            (TRACEPARENT, self.traceparent()),
            (TRACESTATE, self.tracestate().map(str::to_owned)),
            (CORRELATION_ATTRIBUTE, self.correlation_id().map(str::to_owned)),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

/// The maker of one service's contexts. Its chance is a stream of its own, so that ids of traces move no other draw.
#[derive(Clone, Debug)]
pub struct Contexts {
    service: Arc<str>,
    stream: Arc<Mutex<Stream>>,
    traces: Traces,
}

impl Contexts {
    #[must_use]
    pub fn new(chance: Chance, service: &str, instance: u32) -> Self {
        Self {
            service: service.into(),
            stream: Arc::new(Mutex::new(chance.stream(service, &instance.to_string(), "trace"))),
            traces: Traces::off(),
        }
    }

    /// With somewhere for the spans of this service's work to go.
    #[must_use]
    pub fn recorded_by(mut self, traces: Traces) -> Self {
        self.traces = traces;
        self
    }

    /// Where the spans of this service's work go.
    #[must_use]
    pub const fn traces(&self) -> &Traces {
        &self.traces
    }

    /// For work that begins here: a sweep, a command.
    #[must_use]
    pub fn fresh(&self) -> Context {
        self.make(None, None, None)
    }

    /// For a request: continued from its headers where they are right, new where they are not there or wrong.
    #[must_use]
    pub fn from_headers(&self, headers: &HeaderMap) -> Context {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(only), None) => only.to_str().ok().and_then(parse_traceparent),
            _ => None,
        };
        let state = parent.and_then(|_| {
            let members: Option<Vec<&str>> = headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect();
            parse_state(&members?.join(","))
        });
        let mut correlations = headers.get_all(CORRELATION_HEADER).iter();
        let correlation = match (correlations.next(), correlations.next()) {
            (Some(only), None) => only.to_str().ok(),
            _ => None,
        };
        self.make(parent, state, correlation)
    }

    /// For an event: the same from its attributes.
    #[must_use]
    pub fn from_pairs<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Context {
        let (mut parent, mut state, mut correlation) = (None, None, None);
        for (name, value) in pairs {
            match name {
                TRACEPARENT => parent = parse_traceparent(value),
                TRACESTATE => state = parse_state(value),
                CORRELATION_ATTRIBUTE => correlation = Some(value),
                _ => {}
            }
        }
        self.make(parent, state.filter(|_| parent.is_some()), correlation)
    }

    /// For a part of `context`'s work that gets a span of its own (a call, a write): the same trace, a child span.
    #[must_use]
    pub fn child(&self, context: &Context) -> Context {
        let Some(trace) = context.trace else { return self.fresh() };
        let span = self.draw_span();
        Context { trace: Some(Trace { span, parent: Some(trace.span), ..trace }), service: Some(self.service.clone()), ..context.clone() }
    }

    fn make(&self, parent: Option<Parent>, state: Option<String>, correlation: Option<&str>) -> Context {
        let span = self.draw_span();
        let trace = match parent {
            Some(parent) => Trace { id: parent.trace, span, parent: Some(parent.span), flags: parent.flags },
            None => Trace { id: self.draw_trace(), span, parent: None, flags: w3c::SAMPLED },
        };
        let legal = |id: &&str| (1..=MAX_CORRELATION_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        // A new one is the trace's id: one thing to search for instead of two.
        let correlation_id = correlation.filter(legal).map_or_else(|| trace.id.to_string().into(), Arc::from);
        Context {
            service: Some(self.service.clone()),
            correlation_id: Some(correlation_id),
            trace: Some(trace),
            state: state.map(Arc::from),
        }
    }

    fn draw_span(&self) -> SpanId {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        SpanId::new(bytes).unwrap_or(SpanId::ONE)
    }

    fn draw_trace(&self) -> TraceId {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        TraceId::new(bytes).unwrap_or(TraceId::ONE)
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests;
