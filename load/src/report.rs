//! What is counted, and how it is shown. Latencies are kept in histograms with three significant digits up to an hour, and told in
//! microseconds. Those of a journey run from the moment at which its buyer was meant to come (in a closed loop: came), those of a single
//! call from the moment at which it was sent.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use types::Region;

use crate::journey::{Ending, Outcome, Step};

/// Percentiles of a latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    pub count: u64,
    pub mean_micros: u64,
    pub p50_micros: u64,
    pub p90_micros: u64,
    pub p99_micros: u64,
    pub p999_micros: u64,
    pub max_micros: u64,
}

/// What one region saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionReport {
    pub journeys: u64,
    pub orders: u64,
    pub answered: Latency,
    pub settled: Latency,
}

/// What came of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `open loop, 50 journeys/s (poisson)` or `closed loop, 16 shoppers`.
    pub load: String,
    /// From the first buyer to the last outcome.
    pub elapsed_seconds: f64,
    pub journeys: u64,
    /// Checkouts that were answered.
    pub orders: u64,
    pub journeys_per_second: f64,
    pub orders_per_second: f64,
    /// Journeys by how they ended: an order's state, `ABANDONED`, `UNSETTLED`, `REFUSED`, `UNREACHABLE`, `UNREADABLE`.
    pub endings: BTreeMap<String, u64>,
    /// Cancelled orders by reason.
    pub cancelled: BTreeMap<String, u64>,
    /// Refusals by step, status and slug: `checkout 409 price-changed`. Coupons that were not taken are here too.
    pub errors: BTreeMap<String, u64>,
    /// From the intended start to the checkout's answer.
    pub answered: Latency,
    /// From the intended start to the settled order.
    pub settled: Latency,
    /// How much later than intended the buyers started: what the load generator itself, or its limit, is to blame for. It is part of the
    /// two above.
    pub late: Latency,
    /// Each kind of call, from its sending.
    pub steps: BTreeMap<Step, Latency>,
    pub regions: BTreeMap<Region, RegionReport>,
}

/// Collects outcomes.
pub struct Recorder {
    journeys: u64,
    orders: u64,
    endings: BTreeMap<String, u64>,
    cancelled: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
    answered: Histogram<u64>,
    settled: Histogram<u64>,
    late: Histogram<u64>,
    steps: BTreeMap<Step, Histogram<u64>>,
    regions: BTreeMap<Region, (u64, u64, Histogram<u64>, Histogram<u64>)>,
}

#[expect(clippy::expect_used, reason = "the bounds are constants that the library takes; no input reaches them")]
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("one microsecond to one hour")
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            journeys: 0,
            orders: 0,
            endings: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            errors: BTreeMap::new(),
            answered: histogram(),
            settled: histogram(),
            late: histogram(),
            steps: BTreeMap::new(),
            regions: BTreeMap::new(),
        }
    }
}

impl Recorder {
    /// An outcome, and how much later than intended its buyer had started.
    pub fn record(&mut self, outcome: &Outcome, late_micros: u64) {
        let region = self.regions.entry(outcome.region).or_insert_with(|| (0, 0, histogram(), histogram()));
        self.journeys += 1;
        region.0 += 1;
        self.late.saturating_record(late_micros);
        if let Some(answered) = outcome.answered_micros {
            self.orders += 1;
            region.1 += 1;
            self.answered.saturating_record(answered.saturating_add(late_micros));
            region.2.saturating_record(answered.saturating_add(late_micros));
        }
        if let Some(settled) = outcome.settled_micros {
            self.settled.saturating_record(settled.saturating_add(late_micros));
            region.3.saturating_record(settled.saturating_add(late_micros));
        }
        for call in &outcome.calls {
            self.steps.entry(call.step).or_insert_with(histogram).saturating_record(call.took_micros);
        }
        count(&mut self.endings, outcome.ending.label());
        match &outcome.ending {
            Ending::Settled { reason: Some(reason), .. } => count(&mut self.cancelled, reason),
            Ending::Refused { step, status, slug, .. } => count(&mut self.errors, &format!("{step} {status} {slug}")),
            Ending::Unreachable { step, .. } => count(&mut self.errors, &format!("{step} no answer")),
            Ending::Unreadable { step } => count(&mut self.errors, &format!("{step} unreadable answer")),
            Ending::Abandoned | Ending::Settled { .. } | Ending::Unsettled { .. } => {}
        }
        if let Some(slug) = &outcome.coupon_refused {
            let status = outcome.calls.iter().find(|call| call.step == Step::ApplyCoupon).map_or(0, |call| call.status);
            count(&mut self.errors, &format!("{} {status} {slug}", Step::ApplyCoupon));
        }
    }

    #[must_use]
    pub fn report(&self, load: String, elapsed: Duration) -> Report {
        let elapsed_seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a count of journeys")]
        let per_second = |count: u64| if elapsed_seconds > 0.0 { count as f64 / elapsed_seconds } else { 0.0 };
        let region = |(journeys, orders, answered, settled): &(u64, u64, Histogram<u64>, Histogram<u64>)| RegionReport {
            journeys: *journeys,
            orders: *orders,
            answered: latency(answered),
            settled: latency(settled),
        };
        Report {
            load,
            elapsed_seconds,
            journeys: self.journeys,
            orders: self.orders,
            journeys_per_second: per_second(self.journeys),
            orders_per_second: per_second(self.orders),
            endings: self.endings.clone(),
            cancelled: self.cancelled.clone(),
            errors: self.errors.clone(),
            answered: latency(&self.answered),
            settled: latency(&self.settled),
            late: latency(&self.late),
            steps: self.steps.iter().map(|(step, histogram)| (*step, latency(histogram))).collect(),
            regions: self.regions.iter().map(|(name, seen)| (*name, region(seen))).collect(),
        }
    }
}

pub(crate) fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

pub(crate) fn latency(histogram: &Histogram<u64>) -> Latency {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of what a histogram keeps: at most an hour")]
    let mean_micros = histogram.mean().round() as u64;
    Latency {
        count: histogram.len(),
        mean_micros,
        p50_micros: histogram.value_at_quantile(0.5),
        p90_micros: histogram.value_at_quantile(0.9),
        p99_micros: histogram.value_at_quantile(0.99),
        p999_micros: histogram.value_at_quantile(0.999),
        max_micros: histogram.max(),
    }
}

/// Plain text, at most 100 columns wide.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let load: String = self.load.chars().take(80).collect();
        writeln!(f, "Load: {load}")?;
        writeln!(
            f,
            "{} journeys in {:.1} s ({:.1}/s), {} orders ({:.1}/s)\n",
            self.journeys, self.elapsed_seconds, self.journeys_per_second, self.orders, self.orders_per_second
        )?;
        heads(f)?;
        row(f, "checkout answered", &self.answered)?;
        row(f, "order settled", &self.settled)?;
        row(f, "started late by", &self.late)?;
        for (step, latency) in &self.steps {
            row(f, &format!("  {step}"), latency)?;
        }
        for (region, seen) in &self.regions {
            row(f, &format!("{region} answered"), &seen.answered)?;
            row(f, &format!("{region} settled"), &seen.settled)?;
        }
        table(f, "outcomes", &self.endings)?;
        table(f, "cancelled because", &self.cancelled)?;
        table(f, "errors", &self.errors)
    }
}

/// What stands above the rows.
pub(crate) fn heads(f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    writeln!(f, "{:<30}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}", "latency", "count", "p50", "p90", "p99", "p99.9", "max")
}

pub(crate) fn row(f: &mut std::fmt::Formatter<'_>, name: &str, latency: &Latency) -> std::fmt::Result {
    let Latency { count, p50_micros, p90_micros, p99_micros, p999_micros, max_micros, .. } = *latency;
    write!(f, "{name:<30}{count:>10}")?;
    for micros in [p50_micros, p90_micros, p99_micros, p999_micros, max_micros] {
        write!(f, "{:>12}", human(micros))?;
    }
    writeln!(f)
}

pub(crate) fn table(f: &mut std::fmt::Formatter<'_>, title: &str, counts: &BTreeMap<String, u64>) -> std::fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    for (name, count) in counts {
        let name: String = name.chars().take(85).collect();
        writeln!(f, "  {count:>10}  {name}")?;
    }
    Ok(())
}

/// `870 µs`, `12.4 ms`, `3.21 s`.
fn human(micros: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people's eyes")]
    let value = micros as f64;
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", value / 1e3),
        _ => format!("{:.2} s", value / 1e6),
    }
}

#[cfg(test)]
mod tests;
