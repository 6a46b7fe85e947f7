//! The numbers of payment-service: how long the PSP takes, and how often it says no.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use platform::telemetry::metrics::{Family, Gauge, Histogram, ServiceMetrics};

use crate::store::Operation;

/// Over how many outcomes the rate of failures is taken.
pub const OUTCOMES: u32 = 1_000;

/// Upper bounds in seconds: from a PSP next door to one that answers after the payment deadline.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];

/// What is to be counted once a transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    /// From the start of an attempt to the PSP's event of it, by whichever way that came.
    Latency(Operation, Duration),
    /// The PSP decided about an authorization.
    Outcome { failed: bool },
}

#[derive(Clone, Debug)]
pub struct Metrics {
    latency: Family<Histogram>,
    failure_rate: Gauge,
    /// Whether each of the last outcomes was a failure, the newest last.
    last: Arc<Mutex<VecDeque<bool>>>,
}

impl Metrics {
    /// `instance`: each keeps its own last outcomes. `last`: the newest first, from before this start.
    #[must_use]
    pub fn new(metrics: &ServiceMetrics, instance: u32, last: Vec<bool>) -> Self {
        let made = Self {
            latency: metrics.histograms(
                "payment_attempt_latency_seconds",
                "From asking the PSP to its outcome, by answer, callback or inquiry.",
                &BUCKETS,
            ),
            failure_rate: metrics
                .gauges("payment_failure_rate", "Share of failures among the last 1000 outcomes that this instance knows of.")
                .with(&[("instance", &instance.to_string())]),
            last: Arc::new(Mutex::new(last.into_iter().rev().collect())),
        };
        made.show();
        made
    }

    pub fn note(&self, notes: &[Note]) {
        for note in notes {
            match *note {
                Note::Latency(operation, took) => {
                    self.latency.with(&[("operation", operation.as_str())]).observe(took.as_secs_f64());
                }
                Note::Outcome { failed } => {
                    let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                    last.push_back(failed);
                    while last.len() > OUTCOMES as usize {
                        last.pop_front();
                    }
                }
            }
        }
        if notes.iter().any(|note| matches!(note, Note::Outcome { .. })) {
            self.show();
        }
    }

    fn show(&self) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = last.iter().filter(|failed| **failed).count();
        self.failure_rate.set(if last.is_empty() { 0.0 } else { failed as f64 / last.len() as f64 });
    }
}

#[cfg(test)]
mod tests {
    use platform::telemetry::metrics::Metrics as World;

    use super::*;

    #[test]
    fn the_rate_is_of_the_last_thousand() {
        let world = World::new();
        let metrics = Metrics::new(&world.for_service("payment"), 0, vec![true, false]);
        let shown = |rate: &str| {
            let text = world.encode(None);
            assert!(text.contains(&format!("payment_failure_rate{{service=\"payment\",instance=\"0\"}} {rate}\n")), "{text}");
        };
        shown("0.5");
        metrics.note(&[Note::Outcome { failed: true }, Note::Outcome { failed: false }]);
        shown("0.5");
        metrics.note(&vec![Note::Outcome { failed: false }; 999]);
        shown("0.0");
        metrics.note(&vec![Note::Outcome { failed: true }; 250]);
        shown("0.25");
    }
}
