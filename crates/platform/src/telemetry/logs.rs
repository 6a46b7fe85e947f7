//! Log lines on stderr: one JSON object a line for machines, one readable line for a person at a terminal. A line reads alone: it
//! carries its service, its correlation id and its trace id from the task's [`Context`], so no span per request is needed (a span costs
//! a sixth of the throughput). Nothing that comes from outside can begin a line, and nothing personal gets into one ([`super::mask`]).
//!
//! One process has one log; a simulated world is run in [`quiet`].

mod fields;

use std::{
    fmt::{self, Write as _},
    io::{IsTerminal, Write as _},
};

use serde::Deserialize;
use tracing::{
    Event, Subscriber, span,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, ParseError, Targets},
    layer::{Context as LayerContext, SubscriberExt},
    registry::LookupSpan,
};

use self::fields::{Fields, Value};
use super::{context::Context, mask::mask};
use crate::{Clock, settings::Section};

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Json,
    Text,
    /// Text on a terminal, JSON otherwise.
    Auto,
}

/// A section of the settings.
#[derive(Clone, Debug, Deserialize)]
pub struct LogSettings {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or levels by crate: `info,order=debug`.
    pub level: String,
    pub format: Format,
}

impl LogSettings {
    fn filter(&self) -> Result<Targets, LogsError> {
        self.level.parse().map_err(|cause: ParseError| LogsError::Level { level: self.level.clone(), cause: cause.to_string() })
    }
}

impl Section for LogSettings {
    fn validate(&self) -> Result<(), String> {
        self.filter().map(drop).map_err(|error| error.to_string())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error("`level` is `{level}`, which is neither a level nor a list such as `info,order=debug`: {cause}")]
    Level { level: String, cause: String },
    #[error("this process has a log already; it can be set up once only")]
    AlreadySet,
}

/// Sets up the log of this process, on stderr. `clock` is the real one, or a world's that the process is for.
pub fn init(settings: &LogSettings, clock: Clock) -> Result<(), LogsError> {
    let filter = settings.filter()?;
    let to_stderr = |line: &str| {
        // With nobody to read it there is nobody to tell either.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    };
    let lines = Lines::new(settings.format, clock, to_stderr);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(lines)).map_err(|_| LogsError::AlreadySet)
}

/// Gives every line that is written on this thread, from `info` on and as JSON, to `sink`, until the answer is dropped: the log of a simulated
/// world that is looked at afterwards.
pub fn capture(clock: Clock, sink: impl Fn(&str) + Send + Sync + 'static) -> DefaultGuard {
    let lines = Lines::new(Format::Json, clock, sink);
    tracing::subscriber::set_default(tracing_subscriber::registry().with(LevelFilter::INFO).with(lines))
}

/// Runs the closure with no log on this thread.
pub fn quiet<T>(work: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(NoSubscriber::new(), work)
}

/// The layer that makes the lines and gives each, with its line break, to a sink.
pub struct Lines<W> {
    json: bool,
    clock: Clock,
    sink: W,
}

impl<W: Fn(&str) + Send + Sync> Lines<W> {
    pub fn new(format: Format, clock: Clock, sink: W) -> Self {
        let json = match format {
            Format::Json => true,
            Format::Text => false,
            Format::Auto => !std::io::stderr().is_terminal(),
        };
        Self { json, clock, sink }
    }
}

impl<W> fmt::Debug for Lines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("json", &self.json).finish_non_exhaustive()
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + Send + Sync + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: LayerContext<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: LayerContext<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: LayerContext<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // From the innermost span outwards, so that what is nearer to the event wins.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_missing(outer);
            }
        }
        let line = Context::look(|current| self.line(event, &fields, current));
        (self.sink)(&line);
    }
}

impl<W> Lines<W> {
    fn line(&self, event: &Event<'_>, fields: &Fields, current: &Context) -> String {
        let target = event.metadata().target();
        let text = |name: &str| fields.get(name).map(Value::text);
        let service = text("service").or(current.service()).unwrap_or_else(|| target.split("::").next().unwrap_or(target));
        let trace = current.trace_id().map(|id| id.to_string());
        let correlation = current.correlation_id().map(mask);
        let head =
            [("correlation_id", text("correlation_id").or(correlation.as_deref())), ("trace_id", text("trace_id").or(trace.as_deref()))];
        let rest = fields.iter().filter(|(name, _)| !matches!(*name, "message" | "service" | "correlation_id" | "trace_id"));
        let (level, message) = (event.metadata().level(), text("message").unwrap_or_default());
        let mut out = String::with_capacity(256);
        // Writing to a text cannot fail.
        if self.json {
            let _ = write!(out, "{{\"at\":\"{}\",\"level\":\"{level}\"", self.clock.now());
            fields::json(&mut out, "service", service);
            fields::json(&mut out, "message", message);
            for (name, value) in head {
                if let Some(value) = value {
                    fields::json(&mut out, name, value);
                }
            }
            for (name, value) in rest {
                value.write_json(&mut out, name);
            }
            fields::json(&mut out, "target", target);
            out.push_str("}\n");
        } else {
            let _ = write!(out, "{} {level:>5} {service}: ", self.clock.now());
            fields::plain(&mut out, message);
            for (name, value) in rest {
                let _ = write!(out, " {name}=");
                value.write_text(&mut out);
            }
            for (name, value) in head {
                if let Some(value) = value {
                    let _ = write!(out, " {name}=");
                    fields::plain(&mut out, value);
                }
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests;
