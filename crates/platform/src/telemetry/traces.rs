//! Traces over OTLP (ledger P-09), when an endpoint is set. The platform makes one span for each request, call and batch of events,
//! with the ids that the [`Context`] has anyway; so a span is no more than a name, a kind, two moments and a few attributes, and the
//! tree is right across processes because the ids travel.
//!
//! Without an endpoint a span is nothing at all. The exporter needs sockets and time of its own, so it is for the real world only; a
//! simulated one can keep its spans ([`Traces::kept`]).
//! Spans wait in a queue of fixed length; when the collector is slower than the work, spans are dropped and counted, never the work
//! held up. Attributes are masked as log fields are.

mod export;
mod kept;

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::sync::{mpsc, oneshot};
use types::Timestamp;

use self::export::{Exporter, Message};
use super::{
    context::Context,
    mask::{MASK, is_sensitive, mask},
};
use crate::{Clock, Tasks};

pub use opentelemetry::{Value, trace::SpanKind};

/// How many ended spans may wait for the collector.
const QUEUE: usize = 16_384;

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("`{endpoint}` is no address of an OTLP collector: {reason}; give one such as http://127.0.0.1:4318")]
    Endpoint { endpoint: String, reason: String },
    #[error("traces are exported from the real world only; a simulated one has no collector")]
    Simulated,
}

/// Where spans go. Cloning is cheap; the default is nowhere.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    clock: Clock,
    scope: InstrumentationScope,
    sink: Sink,
}

/// Where ended spans go.
#[derive(Debug)]
enum Sink {
    Exported {
        queue: mpsc::Sender<Message>,
        lost: Arc<AtomicU64>,
    },
    /// By the service that made them.
    Kept(Mutex<Vec<(Arc<str>, SpanData)>>),
}

impl Traces {
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Exports to a collector's HTTP address (its root, or with `/v1/traces`). The export is a task of `tasks`; when they are asked to
    /// stop, what waits is sent before they end.
    pub fn start(endpoint: &str, tasks: &Tasks, clock: Clock) -> Result<Self, TracesError> {
        if clock.is_simulated() {
            return Err(TracesError::Simulated);
        }
        let (queue, waiting) = mpsc::channel(QUEUE);
        let lost = Arc::default();
        let exporter = Exporter::new(endpoint, clock, Arc::clone(&lost))?;
        let own = tasks.clone();
        tasks.spawn("traces", async move { exporter.run(waiting, own).await });
        Ok(Self::into(clock, Sink::Exported { queue, lost }))
    }

    /// Keeps every span: for a simulated world that is looked at afterwards ([`Traces::lines`]).
    #[must_use]
    pub fn kept(clock: Clock) -> Self {
        Self::into(clock, Sink::Kept(Mutex::default()))
    }

    fn into(clock: Clock, sink: Sink) -> Self {
        let scope = InstrumentationScope::builder("crashcart").with_version(env!("CARGO_PKG_VERSION")).build();
        Self(Some(Arc::new(Recorder { clock, scope, sink })))
    }

    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the span that `context` is the identity of; it ends when it is dropped. `name` has few values (`GET /orders/{id}`).
    pub fn span(&self, name: &str, kind: SpanKind, context: &Context, attributes: &[(&'static str, &str)]) -> Span {
        let Some(recorder) = &self.0 else { return Span(None) };
        let (Some(trace), Some(span)) = (context.trace_id(), context.span_id()) else { return Span(None) };
        if !context.is_sampled() {
            return Span(None);
        }
        let parent = context.parent_span_id().map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.bytes()));
        let state = context.tracestate().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
        let (trace, span) = (TraceId::from_bytes(trace.bytes()), SpanId::from_bytes(span.bytes()));
        let begin = moment(recorder.clock.now());
        let mut data = SpanData {
            span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, state),
            parent_span_id: parent,
            parent_span_is_remote: parent != SpanId::INVALID,
            span_kind: kind,
            name: Cow::Owned(mask(name).into_owned()),
            start_time: begin,
            end_time: begin,
            attributes: Vec::with_capacity(attributes.len() + 3),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: recorder.scope.clone(),
        };
        data.attributes.extend(context.correlation_id().map(|id| attribute("correlation_id", id.to_owned().into())));
        data.attributes.extend(attributes.iter().map(|(key, value)| attribute(key, (*value).to_owned().into())));
        let service = context.service().unwrap_or("crashcart").into();
        Span(Some(Box::new(Open { recorder: recorder.clone(), service, data })))
    }

    /// Returns when every span that ended before has been sent, or its sending has failed.
    pub async fn flush(&self) {
        let Some(Sink::Exported { queue, .. }) = self.0.as_ref().map(|recorder| &recorder.sink) else { return };
        let (done, sent) = oneshot::channel();
        if queue.send(Message::Flush(done)).await.is_ok() {
            // An error is the end of the export task, which sent what it had.
            let _ = sent.await;
        }
    }

    /// Spans that were dropped because the queue was full or the collector did not take them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        match self.0.as_ref().map(|recorder| &recorder.sink) {
            Some(Sink::Exported { lost, .. }) => lost.load(Ordering::Relaxed),
            Some(Sink::Kept(_)) | None => 0,
        }
    }

    /// The spans that were kept, in the order in which they ended: a JSON object a line, with OTLP's names for what a span has.
    #[must_use]
    pub fn lines(&self) -> Vec<u8> {
        let Some(Sink::Kept(spans)) = self.0.as_ref().map(|recorder| &recorder.sink) else { return Vec::new() };
        let mut lines = Vec::new();
        for (service, span) in spans.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            kept::write(&mut lines, service, span);
        }
        lines
    }
}

/// A span that is under way; it ends when it is dropped.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    recorder: Arc<Recorder>,
    service: Arc<str>,
    data: SpanData,
}

impl Span {
    /// What nobody records.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Says one thing more about it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.data.attributes.push(attribute(key, value.into()));
        }
    }

    /// It is not told after all.
    pub fn forget(mut self) {
        self.0 = None;
    }

    /// Marks it as failed, for this reason.
    pub fn fail(&mut self, reason: &str) {
        if let Some(open) = &mut self.0 {
            open.data.status = Status::error(mask(reason).into_owned());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut open) = self.0.take() {
            open.data.end_time = moment(open.recorder.clock.now()).max(open.data.start_time);
            let Open { recorder, service, data } = *open;
            match &recorder.sink {
                Sink::Exported { queue, lost } => {
                    if queue.try_send(Message::Ended(service, Box::new(data))).is_err() {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Sink::Kept(spans) => spans.lock().unwrap_or_else(PoisonError::into_inner).push((service, data)),
            }
        }
    }
}

fn attribute(key: &'static str, value: Value) -> KeyValue {
    let value = match value {
        _ if is_sensitive(key) => MASK.into(),
        Value::String(text) => mask(text.as_str()).into_owned().into(),
        other => other,
    };
    KeyValue::new(key, value)
}

fn moment(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + at.since(Timestamp::from_micros(0))
}

#[cfg(test)]
mod tests;
