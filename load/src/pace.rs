//! When buyers come. The moments are fixed before anything is sent, so a system that stands still does not slow its buyers down: that is
//! what keeps the latencies honest.

use std::time::Duration;

use platform::chance::Stream;
use rand_distr::{Distribution, Exp1};
use serde::{Deserialize, Serialize};
use types::{Region, Timestamp};

/// How arrivals follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Independent of each other, as people are.
    #[default]
    Poisson,
    /// Always the same time apart.
    Constant,
}

/// Days and weeks: more people in the evening than at night, more on a Sunday than on a Wednesday, each region by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cycle {
    /// How long a day takes; 86,400 is a day as it is, 60 shows a week in seven minutes.
    pub day_seconds: f64,
}

/// How busy each hour is; 1 is the average.
const HOURS: [f64; 24] = [
    0.45, 0.30, 0.22, 0.18, 0.18, 0.25, 0.45, 0.70, 0.90, 1.05, 1.15, 1.20, 1.30, 1.25, 1.15, 1.10, 1.15, 1.25, 1.45, 1.75, 1.95, 1.85,
    1.60, 1.17,
];
/// How busy each day is, from Monday.
const DAYS: [f64; 7] = [1.00, 0.92, 0.90, 0.93, 0.97, 1.08, 1.20];

impl Cycle {
    /// How busy a region is at this moment; 1 is the average over a week. Between two full hours it changes evenly.
    #[must_use]
    pub fn busy(&self, region: Region, start: Timestamp, offset: Duration) -> f64 {
        // Standard time of the region's largest city; that summer time is an hour off does not matter to a cycle.
        let hours_from_utc = match region {
            Region::Us => -5.0,
            Region::Eu => 1.0,
            Region::Apac => 8.0,
        };
        let days_passed = offset.as_secs_f64() / self.day_seconds;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a float exactly")]
        let hours = start.seconds() as f64 / 3_600.0 + days_passed * 24.0 + hours_from_utc;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an hour of the day and a day of the week")]
        let (hour, day) = (hours.rem_euclid(24.0) as usize % 24, (hours / 24.0 + 3.0).rem_euclid(7.0) as usize % 7);
        let part = hours.rem_euclid(1.0);
        // 1970-01-01 was a Thursday, which is day 3.
        (HOURS[hour] * (1.0 - part) + HOURS[(hour + 1) % 24] * part) * DAYS[day]
    }
}

/// The moments at which buyers come, as time since the start, in order, up to and without `until`.
pub struct Schedule<F> {
    arrivals: Arrivals,
    rate_per_second: f64,
    until: Duration,
    stream: Stream,
    busy: F,
    number: u64,
    at_seconds: f64,
}

impl<F: Fn(Duration) -> f64> Schedule<F> {
    /// `busy` multiplies the rate at a moment.
    pub const fn new(arrivals: Arrivals, rate_per_second: f64, until: Duration, stream: Stream, busy: F) -> Self {
        Self { arrivals, rate_per_second, until, stream, busy, number: 0, at_seconds: 0.0 }
    }
}

/// The rate never falls below this share of the average, so that time goes on.
const QUIETEST: f64 = 0.01;

impl<F: Fn(Duration) -> f64> Iterator for Schedule<F> {
    type Item = (u64, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        let rate = self.rate_per_second * (self.busy)(Duration::try_from_secs_f64(self.at_seconds).ok()?).max(QUIETEST);
        let step: f64 = match self.arrivals {
            Arrivals::Poisson => Exp1.sample(&mut self.stream),
            // The first one comes at once.
            Arrivals::Constant => f64::from(u8::from(self.number > 0)),
        };
        self.at_seconds += step / rate;
        let at = Duration::try_from_secs_f64(self.at_seconds).ok().filter(|at| *at < self.until)?;
        self.number += 1;
        Some((self.number - 1, at))
    }
}

#[cfg(test)]
mod tests {
    use platform::{Chance, clock::SIMULATED_EPOCH};

    use super::*;

    fn moments(arrivals: Arrivals, rate: f64, seconds: u64, busy: impl Fn(Duration) -> f64) -> Vec<Duration> {
        let stream = Chance::seeded(3).stream("load", "arrivals", "schedule");
        Schedule::new(arrivals, rate, Duration::from_secs(seconds), stream, busy).map(|(_, at)| at).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let moments = moments(Arrivals::Constant, 4.0, 2, |_| 1.0);
        assert_eq!(moments.iter().map(Duration::as_millis).collect::<Vec<_>>(), [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let moments = moments(Arrivals::Poisson, 50.0, 200, |_| 1.0);
        assert!((9_700..10_300).contains(&moments.len()), "{}", moments.len());
        let gaps: Vec<f64> = moments.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((deviation / mean - 1.0).abs() < 0.05, "an exponential's deviation is its mean: {deviation} of {mean}");
        assert!(moments.is_sorted());
    }

    #[test]
    fn a_week_has_evenings_and_sundays() {
        let cycle = Cycle { day_seconds: 86_400.0 };
        let at = |region, hours: u64| cycle.busy(region, SIMULATED_EPOCH, Duration::from_secs(hours * 3_600));
        // The epoch is a Monday's midnight UTC: nine in the evening in Berlin is 20:00 UTC.
        assert!(at(Region::Eu, 19) > 4.0 * at(Region::Eu, 2));
        assert!(at(Region::Apac, 12) > 4.0 * at(Region::Eu, 3), "evening in Asia is noon in UTC");
        assert!(at(Region::Eu, 6 * 24 + 19) > 1.15 * at(Region::Eu, 19), "a Sunday is busier than a Monday");
        let week: f64 = (0..7 * 24).map(|hour| at(Region::Us, hour)).sum::<f64>() / (7.0 * 24.0);
        assert!((week - 1.0).abs() < 0.02, "a week is an average week: {week}");
        let fast = Cycle { day_seconds: 24.0 };
        let (quick, slow) = (fast.busy(Region::Eu, SIMULATED_EPOCH, Duration::from_secs(19)), at(Region::Eu, 19));
        assert!((quick - slow).abs() < 1e-9);
    }

    #[test]
    fn a_busier_time_has_more_arrivals() {
        let busy = |at: Duration| if at < Duration::from_secs(10) { 0.5 } else { 2.0 };
        let moments = moments(Arrivals::Constant, 10.0, 20, busy);
        let early = moments.iter().filter(|at| **at < Duration::from_secs(10)).count();
        assert_eq!((early, moments.len() - early), (50, 200));
    }
}
