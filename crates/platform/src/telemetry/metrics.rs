//! Numbers, which belong to a world and not to the process: two worlds that run side by side count apart. Every metric carries the
//! label `service`; one name is one family across all services, as the text format wants it.
//!
//! A service that is built again after a crash, or a second instance of it, asks for the same names and gets the same metrics, so
//! counters go on. Everything is kept sorted, so that two runs of one seed print the same text. This guards no one against labels
//! with endless values: a label's values must come from a list, never from a request.

mod http;

use std::{
    any::Any,
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter, gauge, histogram},
    registry::Registry,
};

pub use self::http::{HttpMetrics, InFlight};

/// Only grows.
pub type Counter = counter::Counter<u64, AtomicU64>;
/// Goes up and down.
pub type Gauge = gauge::Gauge<f64, AtomicU64>;
pub type Histogram = histogram::Histogram;

/// The type of what [`Metrics::encode`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds in seconds for what a request takes: from an answer out of memory to a caller that has given up.
pub const LATENCY_BUCKETS: [f64; 14] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The metrics of one world.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    families: Arc<Mutex<BTreeMap<String, Stored>>>,
}

#[derive(Debug)]
struct Stored {
    help: String,
    family: Arc<dyn AnyFamily>,
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same metrics, seen by one service.
    #[must_use]
    pub fn for_service(&self, service: &str) -> ServiceMetrics {
        ServiceMetrics { metrics: self.clone(), service: service.into() }
    }

    /// The text of one service's metrics, or of all ([`CONTENT_TYPE`]).
    #[must_use]
    pub fn encode(&self, service: Option<&str>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(View { metrics: self.clone(), service: service.map(str::to_owned) }));
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = text::encode(&mut out, &registry);
        out
    }

    fn family<M: Kind>(&self, name: &str, help: &str, make: impl Fn() -> M + Send + Sync + 'static) -> Arc<FamilyOf<M>> {
        // The text format adds the ending itself.
        let name = if M::IS_COUNTER { name.strip_suffix("_total").unwrap_or(name) } else { name };
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Arc::new(FamilyOf { make: Box::new(make), series: Mutex::default() });
        let Some(stored) = families.get(name) else {
            families.insert(name.to_owned(), Stored { help: help.to_owned(), family: fresh.clone() });
            return fresh;
        };
        let family: Arc<dyn Any + Send + Sync> = stored.family.clone();
        family.downcast().unwrap_or_else(|_| {
            tracing::error!(metric = name, "a metric of this name and another kind exists; this one is counted but not shown");
            fresh
        })
    }
}

/// The metrics of one service in one world. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct ServiceMetrics {
    metrics: Metrics,
    service: Arc<str>,
}

impl ServiceMetrics {
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// `name` as it is shown, so with `_total` at its end.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.counters(name, help).with(&[])
    }

    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.gauges(name, help).with(&[])
    }

    /// `buckets` are upper bounds, rising; the first to ask for a name decides them.
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.histograms(name, help, buckets).with(&[])
    }

    /// Counters that share a name and differ in labels.
    #[must_use]
    pub fn counters(&self, name: &str, help: &str) -> Family<Counter> {
        self.family(name, help, Counter::default)
    }

    #[must_use]
    pub fn gauges(&self, name: &str, help: &str) -> Family<Gauge> {
        self.family(name, help, Gauge::default)
    }

    #[must_use]
    pub fn histograms(&self, name: &str, help: &str, buckets: &[f64]) -> Family<Histogram> {
        let buckets = buckets.to_vec();
        self.family(name, help, move || Histogram::new(buckets.iter().copied()))
    }

    fn family<M: Kind>(&self, name: &str, help: &str, make: impl Fn() -> M + Send + Sync + 'static) -> Family<M> {
        Family { of: self.metrics.family(name, help, make), service: self.service.clone() }
    }
}

/// One service's series of a name. Where it is hot, keep what [`Family::with`] gave.
pub struct Family<M> {
    of: Arc<FamilyOf<M>>,
    service: Arc<str>,
}

impl<M: Kind> Family<M> {
    /// The series with these labels, made when it is asked for first. Keys in the same order give the same series.
    #[must_use]
    pub fn with(&self, labels: &[(&'static str, &str)]) -> M {
        let mut all: Labels = Vec::with_capacity(labels.len() + 1);
        all.push(("service", Cow::Owned(self.service.to_string())));
        all.extend(labels.iter().map(|(key, value)| (*key, Cow::Owned((*value).to_owned()))));
        self.of.series().entry(all).or_insert_with(|| (self.of.make)()).clone()
    }
}

impl<M> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self { of: self.of.clone(), service: self.service.clone() }
    }
}

impl<M> fmt::Debug for Family<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("service", &self.service).finish_non_exhaustive()
    }
}

/// The first is the service.
type Labels = Vec<(&'static str, Cow<'static, str>)>;

struct FamilyOf<M> {
    make: Box<dyn Fn() -> M + Send + Sync>,
    series: Mutex<BTreeMap<Labels, M>>,
}

impl<M> FamilyOf<M> {
    fn series(&self) -> std::sync::MutexGuard<'_, BTreeMap<Labels, M>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> fmt::Debug for FamilyOf<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FamilyOf").field("series", &self.series().len()).finish_non_exhaustive()
    }
}

/// The three kinds of metric.
pub trait Kind: EncodeMetric + Clone + Send + Sync + 'static {
    const IS_COUNTER: bool = false;
}
impl Kind for Counter {
    const IS_COUNTER: bool = true;
}
impl Kind for Gauge {}
impl Kind for Histogram {}

trait AnyFamily: Any + fmt::Debug + Send + Sync {
    /// The series of one service, or all, under the name; nothing when there are none.
    fn encode(&self, name: &str, help: &str, service: Option<&str>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result;
}

impl<M: Kind> AnyFamily for FamilyOf<M> {
    fn encode(&self, name: &str, help: &str, service: Option<&str>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let series = self.series();
        let wanted = |labels: &Labels| service.is_none_or(|service| labels.first().is_some_and(|(_, value)| value == service));
        let Some((_, first)) = series.iter().find(|(labels, _)| wanted(labels)) else { return Ok(()) };
        let kind: MetricType = first.metric_type();
        let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in series.iter().filter(|(labels, _)| wanted(labels)) {
            value.encode(metric.encode_family(labels)?)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct View {
    metrics: Metrics,
    service: Option<String>,
}

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let families = self.metrics.families.lock().unwrap_or_else(PoisonError::into_inner);
        families.iter().try_for_each(|(name, stored)| stored.family.encode(name, &stored.help, self.service.as_deref(), &mut encoder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_shown_by_the_name_they_were_asked_for() {
        let metrics = Metrics::new();
        metrics.for_service("customer").counter("customer_create_total", "Customers created.").inc();
        assert_eq!(
            metrics.encode(None),
            "# HELP customer_create Customers created.\n# TYPE customer_create counter\ncustomer_create_total{service=\"customer\"} 1\n# EOF\n"
        );
    }

    #[test]
    fn asking_twice_gives_the_same_metric() {
        let metrics = Metrics::new();
        metrics.for_service("order").counter("orders_total", "Orders.").inc();
        let again = metrics.for_service("order").counter("orders_total", "Orders.");
        again.inc();
        assert_eq!(again.get(), 2);
        let latency = |value| metrics.for_service("order").histogram("order_seconds", "Time.", &[1.0, 2.0]).observe(value);
        latency(0.5);
        latency(1.5);
        assert!(metrics.encode(None).contains("order_seconds_bucket{le=\"2.0\",service=\"order\"} 2"), "{}", metrics.encode(None));
    }

    #[test]
    fn two_worlds_count_apart() {
        let (a, b) = (Metrics::new(), Metrics::new());
        a.for_service("order").counter("orders_total", "Orders.").inc();
        assert_eq!(b.for_service("order").counter("orders_total", "Orders.").get(), 0);
    }

    #[test]
    fn a_name_is_one_family_over_all_services_and_each_can_be_seen_alone() {
        let metrics = Metrics::new();
        for service in ["psp", "order"] {
            metrics.for_service(service).counters("calls_total", "Calls.").with(&[("to", "a\"b\n")]).inc();
            metrics.for_service(service).gauge("share", "Share.").set(0.25);
        }
        metrics.for_service("psp").gauge("psp_only", "Only there.").set(1.0);
        let all = metrics.encode(None);
        assert_eq!(all.matches("# TYPE calls counter").count(), 1, "{all}");
        assert!(all.contains("calls_total{service=\"order\",to=\"a\\\"b\\n\"} 1\ncalls_total{service=\"psp\""), "{all}");
        assert!(all.contains("share{service=\"order\"} 0.25\n"), "{all}");
        let one = metrics.encode(Some("order"));
        assert!(!one.contains("psp") && one.contains("calls_total") && one.ends_with("# EOF\n"), "{one}");
        assert_eq!(metrics.encode(Some("nobody")), "# EOF\n");
    }

    #[test]
    fn a_name_of_another_kind_neither_breaks_nor_replaces_the_first() {
        let metrics = Metrics::new();
        metrics.for_service("order").gauge("depth", "Depth.").set(3.0);
        metrics.for_service("order").counter("depth", "Not depth.").inc();
        assert_eq!(metrics.encode(None), "# HELP depth Depth.\n# TYPE depth gauge\ndepth{service=\"order\"} 3.0\n# EOF\n");
    }
}
