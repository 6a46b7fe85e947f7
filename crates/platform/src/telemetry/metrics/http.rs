//! The three numbers that every route of every service has (ledger P-08), counted in one place. A request asks for its series by
//! method and route once and finds them without a lock or an allocation; only the first of its kind makes them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::http::{Method, StatusCode};
use arc_swap::ArcSwap;

use super::{Counter, Family, Gauge, Histogram, LATENCY_BUCKETS, ServiceMetrics};

/// What a caller that went away before the answer is counted as; no status was sent.
const GONE: u16 = 499;
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "OTHER"];

#[derive(Clone, Debug)]
pub struct HttpMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: Family<Counter>,
    durations: Family<Histogram>,
    in_flight: Gauge,
    /// By method. Read by every request, replaced when a route is seen first.
    routes: [ArcSwap<BTreeMap<Box<str>, Arc<Route>>>; METHODS.len()],
    writing: Mutex<()>,
}

#[derive(Debug)]
struct Route {
    method: &'static str,
    route: Box<str>,
    duration: Histogram,
    /// The few statuses that a route answers with.
    statuses: ArcSwap<Vec<(u16, Counter)>>,
}

impl HttpMetrics {
    #[must_use]
    pub fn new(metrics: &ServiceMetrics) -> Self {
        Self(Arc::new(Inner {
            requests: metrics.counters("http_requests_total", "Requests answered, by method, route and status."),
            durations: metrics.histograms("http_request_duration_seconds", "Time from request to answer.", &LATENCY_BUCKETS),
            in_flight: metrics.gauge("http_requests_in_flight", "Requests that wait for their answer."),
            routes: std::array::from_fn(|_| ArcSwap::default()),
            writing: Mutex::default(),
        }))
    }

    /// A request begins. `route` is the pattern that matched (`/orders/{id}`), never the path, which has no end of values.
    pub fn begin(&self, method: &Method, route: &str) -> InFlight {
        let index = match method.as_str() {
            "GET" => 0,
            "POST" => 1,
            "PUT" => 2,
            "PATCH" => 3,
            "DELETE" => 4,
            "HEAD" => 5,
            "OPTIONS" => 6,
            _ => 7,
        };
        self.0.in_flight.inc();
        let known = self.0.routes[index].load().get(route).cloned();
        let route = known.unwrap_or_else(|| self.learn(index, route));
        InFlight { metrics: self.0.clone(), route, ended: false }
    }

    fn learn(&self, index: usize, route: &str) -> Arc<Route> {
        let _one_at_a_time = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut routes = self.0.routes[index].load().as_ref().clone();
        let (method, text) = (METHODS[index], route);
        let duration = || self.0.durations.with(&[("method", method), ("route", text)]);
        let new = || Arc::new(Route { method, route: text.into(), duration: duration(), statuses: ArcSwap::default() });
        let route = routes.entry(text.into()).or_insert_with(new).clone();
        self.0.routes[index].store(Arc::new(routes));
        route
    }
}

/// A request on its way. Dropped without an end, the caller went away: it is counted as 499, without a duration.
#[derive(Debug)]
#[must_use = "a request that is not ended counts as given up"]
pub struct InFlight {
    metrics: Arc<Inner>,
    route: Arc<Route>,
    ended: bool,
}

impl InFlight {
    /// The answer is sent, after so long by the world's clock.
    pub fn end(mut self, status: StatusCode, took: Duration) {
        self.ended = true;
        self.route.duration.observe(took.as_secs_f64());
        self.route.count(status.as_u16(), &self.metrics);
        self.metrics.in_flight.dec();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.ended {
            self.route.count(GONE, &self.metrics);
            self.metrics.in_flight.dec();
        }
    }
}

impl Route {
    fn count(&self, status: u16, metrics: &Inner) {
        if let Some((_, counter)) = self.statuses.load().iter().find(|(known, _)| *known == status) {
            counter.inc();
            return;
        }
        let _one_at_a_time = metrics.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = metrics.requests.with(&[("method", self.method), ("route", &self.route), ("status", &status.to_string())]);
        counter.inc();
        let mut statuses = self.statuses.load().as_ref().clone();
        if !statuses.iter().any(|(known, _)| *known == status) {
            statuses.push((status, counter));
            self.statuses.store(Arc::new(statuses));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Metrics, *};

    #[test]
    fn a_request_is_counted_by_method_route_and_status() {
        let metrics = Metrics::new();
        let http = HttpMetrics::new(&metrics.for_service("order"));
        for (status, took) in [(StatusCode::OK, 250), (StatusCode::OK, 500), (StatusCode::CONFLICT, 250)] {
            http.begin(&Method::POST, "/orders").end(status, Duration::from_millis(took));
        }
        http.begin(&Method::from_bytes(b"BREW").unwrap(), "/orders").end(StatusCode::OK, Duration::ZERO);
        let text = metrics.encode(None);
        for line in [
            "http_requests_total{service=\"order\",method=\"POST\",route=\"/orders\",status=\"200\"} 2\n",
            "http_requests_total{service=\"order\",method=\"POST\",route=\"/orders\",status=\"409\"} 1\n",
            "http_requests_total{service=\"order\",method=\"OTHER\",route=\"/orders\",status=\"200\"} 1\n",
            "http_request_duration_seconds_count{service=\"order\",method=\"POST\",route=\"/orders\"} 3\n",
            "http_request_duration_seconds_sum{service=\"order\",method=\"POST\",route=\"/orders\"} 1.0\n",
            "http_requests_in_flight{service=\"order\"} 0.0\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_caller_that_goes_away_is_no_longer_in_flight() {
        let metrics = Metrics::new();
        let http = HttpMetrics::new(&metrics.for_service("order"));
        let request = http.begin(&Method::GET, "/orders/{id}");
        assert!(metrics.encode(None).contains("http_requests_in_flight{service=\"order\"} 1.0\n"));
        drop(request);
        let text = metrics.encode(None);
        assert!(text.contains("http_requests_in_flight{service=\"order\"} 0.0\n"), "{text}");
        assert!(
            text.contains("status=\"499\"} 1\n")
                && !text.contains("duration_seconds_count{service=\"order\",method=\"GET\",route=\"/orders/{id}\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn a_service_built_again_goes_on_counting() {
        let metrics = Metrics::new();
        for _ in 0..2 {
            HttpMetrics::new(&metrics.for_service("order")).begin(&Method::GET, "/").end(StatusCode::OK, Duration::ZERO);
        }
        assert!(metrics.encode(None).contains("route=\"/\",status=\"200\"} 2\n"));
    }

    #[test]
    #[ignore = "a measurement, not a check: cargo test --release -p platform measure -- --ignored --nocapture"]
    #[expect(clippy::disallowed_methods, reason = "it measures the machine")]
    fn measure_a_request() {
        let metrics = Metrics::new();
        let http = HttpMetrics::new(&metrics.for_service("order"));
        let routes: Vec<String> = (0..20).map(|number| format!("/orders/{{id}}/part-{number}")).collect();
        let rounds = 2_000_000_u32;
        let start = std::time::Instant::now();
        for round in 0..rounds {
            http.begin(&Method::GET, &routes[round as usize % routes.len()]).end(StatusCode::OK, Duration::from_micros(900));
        }
        println!("{:.0} ns per request", start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
    }
}
