//! The figures of a world as its operators read them: what the services count, and what their stores and consumers have done.

use std::sync::atomic::Ordering::Relaxed;

use super::World;

impl World {
    /// The metrics as text, of one service or of all, with what the stores and the consumers have done brought up to date.
    #[must_use]
    pub fn metrics_text(&self, service: Option<&str>) -> String {
        for (name, standing) in self.services().iter() {
            let (metrics, counters) = (self.0.metrics.for_service(name), standing.db.counters());
            let show = |metric: &str, help: &str, count: u64| {
                metrics.gauge(metric, help).set(count as f64);
            };
            show("store_statements", "SQL statements since the start.", counters.statements.load(Relaxed));
            show("store_transactions", "Write transactions since the start.", counters.transactions.load(Relaxed));
            show(
                "store_commits",
                "Commits of the engine since the start; each is one fsync with durability \"power\".",
                counters.commits.load(Relaxed),
            );
            if standing.db.has_replica() {
                show("store_replica_reads", "Reads that the replica has answered since the start.", counters.replica_reads.load(Relaxed));
                show(
                    "store_replica_misses",
                    "Reads that the primary answered since the start because the replica was away or behind.",
                    counters.replica_misses.load(Relaxed),
                );
            }
            for consumer in standing.instances.values().flat_map(|instance| instance.consumers.iter()) {
                let (stats, labels) = (consumer.stats(), [("group", consumer.group())]);
                metrics.gauges("consumer_handled", "Events handled since the start.").with(&labels).set(stats.handled as f64);
                metrics.gauges("consumer_retried", "Events tried again since the start.").with(&labels).set(stats.retried as f64);
                metrics.gauges("consumer_dead_lettered", "Events set aside since the start.").with(&labels).set(stats.dead_lettered as f64);
            }
        }
        for lag in self.0.bus.lag() {
            let Some(service) = self.names().into_iter().find(|name| lag.group.starts_with(&format!("{name}-"))) else { continue };
            let labels = [("group", &*lag.group), ("partition", &*lag.partition.to_string())];
            let family = self.0.metrics.for_service(service).gauges("consumer_lag", "Events that a consumer has yet to take.");
            family.with(&labels).set(lag.events as f64);
        }
        self.0.metrics.encode(service)
    }
}
