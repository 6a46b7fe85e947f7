//! The task that sends spans: it gathers what ends within a moment and sends it in one request for each service, since the service is
//! an attribute of what sends and not of the span.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use tokio::sync::{mpsc, oneshot};

use super::TracesError;
use crate::{Clock, Tasks};

/// How long spans wait for others to share a request with.
const GATHER: Duration = Duration::from_millis(500);
const BATCH: usize = 512;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) enum Message {
    Ended(Arc<str>, Box<SpanData>),
    Flush(oneshot::Sender<()>),
}

pub(super) struct Exporter {
    endpoint: String,
    client: reqwest::Client,
    clock: Clock,
    lost: Arc<AtomicU64>,
    /// Whether the last request failed, so that a collector that is down is told once and not twice a second.
    failing: bool,
    by_service: BTreeMap<Arc<str>, SpanExporter>,
}

impl Exporter {
    pub(super) fn new(endpoint: &str, clock: Clock, lost: Arc<AtomicU64>) -> Result<Self, TracesError> {
        let wrong = |reason: &str| TracesError::Endpoint { endpoint: endpoint.to_owned(), reason: reason.to_owned() };
        let url = reqwest::Url::parse(endpoint).map_err(|cause| wrong(&cause.to_string()))?;
        if url.scheme() != "http" || url.host().is_none() {
            return Err(wrong("only plain http is spoken"));
        }
        let full = if url.path() == "/" { format!("{}/v1/traces", endpoint.trim_end_matches('/')) } else { endpoint.to_owned() };
        let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(|cause| wrong(&cause.to_string()))?;
        let mut exporter = Self { endpoint: full, client, clock, lost, failing: false, by_service: BTreeMap::new() };
        // Whatever is wrong with the address is told now and not at the first span.
        exporter.for_service(&"crashcart".into()).map_err(|reason| wrong(&reason))?;
        Ok(exporter)
    }

    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Message>, tasks: Tasks) {
        let mut stopping = false;
        loop {
            let first = if stopping {
                waiting.recv().await
            } else {
                match tasks.unless_stopping(waiting.recv()).await {
                    Some(message) => message,
                    None => {
                        // What is in the queue is still received; what ends later is lost.
                        waiting.close();
                        stopping = true;
                        continue;
                    }
                }
            };
            let Some(first) = first else { return };
            let mut batch = BTreeMap::<Arc<str>, Vec<SpanData>>::new();
            let mut flushed = Vec::new();
            let mut next = Some(first);
            let mut count = 0;
            let until = self.clock.now().plus(GATHER);
            while let Some(message) = next.take() {
                match message {
                    Message::Ended(service, span) => batch.entry(service).or_default().push(*span),
                    Message::Flush(done) => flushed.push(done),
                }
                count += 1;
                let left = until.since(self.clock.now());
                next = if count >= BATCH {
                    None
                } else if !flushed.is_empty() || stopping || left.is_zero() {
                    waiting.try_recv().ok()
                } else {
                    let more = self.clock.timeout(left, waiting.recv());
                    tasks.unless_stopping(more).await.and_then(Result::ok).flatten()
                };
            }
            for (service, spans) in batch {
                self.send(&service, spans).await;
            }
            for done in flushed {
                let _ = done.send(());
            }
        }
    }

    async fn send(&mut self, service: &Arc<str>, spans: Vec<SpanData>) {
        let (count, limit) = (spans.len(), PATIENCE * 2);
        let clock = self.clock;
        let sent = match self.for_service(service) {
            Ok(exporter) => match clock.timeout(limit, exporter.export(spans)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(elapsed) => Err(elapsed.to_string()),
            },
            Err(reason) => Err(reason),
        };
        match sent {
            Ok(()) => self.failing = false,
            Err(reason) => {
                self.lost.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
                if !self.failing {
                    tracing::warn!(
                        service = "platform",
                        endpoint = self.endpoint,
                        reason,
                        "spans are not taken by the collector and are dropped"
                    );
                }
                self.failing = true;
            }
        }
    }

    fn for_service(&mut self, service: &Arc<str>) -> Result<&SpanExporter, String> {
        if !self.by_service.contains_key(service) {
            let mut exporter = SpanExporter::builder()
                .with_http()
                .with_http_client(self.client.clone())
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(self.endpoint.clone())
                .with_timeout(PATIENCE)
                .build()
                .map_err(|error| error.to_string())?;
            let resource = Resource::builder_empty()
                .with_service_name(service.to_string())
                .with_attribute(KeyValue::new("service.namespace", "crashcart"))
                .build();
            exporter.set_resource(&resource);
            self.by_service.insert(service.clone(), exporter);
        }
        self.by_service.get(service).ok_or_else(|| "no exporter".to_owned())
    }
}
