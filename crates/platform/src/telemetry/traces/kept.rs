//! A span as a line of JSON, for who reads a trace without a collector. The names are those of OTLP's JSON form; moments are written as the
//! logs write them.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::SpanData;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use types::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    service: &'a str,
    name: &'a str,
    kind: String,
    start_time: Timestamp,
    end_time: Timestamp,
    attributes: Map<String, Json>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(super) fn write(lines: &mut Vec<u8>, service: &str, span: &SpanData) {
    let parent = span.parent_span_id;
    let line = Line {
        trace_id: span.span_context.trace_id().to_string(),
        span_id: span.span_context.span_id().to_string(),
        parent_span_id: (parent != opentelemetry::trace::SpanId::INVALID).then(|| parent.to_string()),
        service,
        name: &span.name,
        kind: format!("{:?}", span.span_kind).to_uppercase(),
        start_time: timestamp(span.start_time),
        end_time: timestamp(span.end_time),
        attributes: span.attributes.iter().map(|pair| (pair.key.to_string(), Json::from(pair.value.to_string()))).collect(),
        error: match &span.status {
            Status::Error { description } => Some(description),
            Status::Ok | Status::Unset => None,
        },
    };
    // Texts and moments can always be written.
    if serde_json::to_writer(&mut *lines, &line).is_ok() {
        lines.push(b'\n');
    }
}

fn timestamp(at: SystemTime) -> Timestamp {
    let since: Duration = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
