//! `crashcart simulate`: worlds at random with faults and crashes, every invariant over each.

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use lab::chaos::{Campaign, Report, Shape, campaign::Failed};
use platform::Clock;

use crate::{
    cli::Common,
    output::{self, Outcome},
    registry::SIMULATION,
};

/// How many findings of a world are shown.
const SHOWN: usize = 8;

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart simulate --seeds 100\n  crashcart simulate --seeds 1 --first-seed 17 --orders 40 --only-first 3 --harms 2,5\n\nExit: 0 when every invariant held in every world, 1 when not: then with the smallest world that still fails, and the command that brings it back."
)]
pub struct Simulate {
    /// How many worlds; one in a hundred is run twice and must be the same
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first world's seed; the others follow
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// How long buyers come and things go wrong, in virtual minutes
    #[arg(long, default_value_t = Shape::default().minutes, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
    /// How many buyers come
    #[arg(long, default_value_t = Shape::default().orders, value_name = "N")]
    orders: usize,
    /// Of those only the first so many, as a replay asks for
    #[arg(long, value_name = "N")]
    only_first: Option<usize>,
    /// Only these faults and crashes, by their numbers: `2,5` or `none`
    #[arg(long, value_name = "NUMBERS", value_parser = numbers)]
    harms: Option<Numbers>,
    /// How many worlds at once
    #[arg(long, default_value_t = 2, value_name = "N")]
    threads: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers(BTreeSet<usize>);

fn numbers(text: &str) -> Result<Numbers, String> {
    if text == "none" {
        return Ok(Numbers(BTreeSet::new()));
    }
    let all: Result<BTreeSet<usize>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    all.map(Numbers).map_err(|_| format!("`{text}` is no list of numbers; write `2,5`, or `none`"))
}

impl Simulate {
    pub fn run(self, common: &Common) -> Outcome {
        let clock = Clock::real();
        let started = clock.now();
        let bar = output::bar(self.seeds, "worlds");
        let campaign = Campaign {
            first_seed: self.first_seed,
            seeds: self.seeds,
            shape: Shape { minutes: self.minutes, orders: self.orders },
            only_first: self.only_first,
            harms: self.harms.map(|numbers| numbers.0),
            threads: self.threads,
        };
        let report = campaign.run(&SIMULATION, &|| bar.inc(1));
        bar.finish_and_clear();
        if common.json {
            output::json(&report.json());
        } else {
            show(&report, clock.now().since(started));
        }
        Ok(if report.holds() { output::OK } else { output::FAILED })
    }
}

fn show(report: &Report, took: Duration) {
    for failed in &report.failed {
        tell(failed);
    }
    let held = report.worlds - report.failed.len();
    anstream::println!(
        " {held} of {} worlds held: {} orders ({} confirmed), {} crashes, {} faults, {} h of virtual time; {} run twice, the same; {:.1} s",
        report.worlds,
        report.orders,
        report.confirmed,
        report.crashes,
        report.faults,
        report.virtual_seconds / 3_600,
        report.run_twice,
        took.as_secs_f64()
    );
}

fn tell(failed: &Failed) {
    anstream::println!(" seed {} failed; as small as it could be made, with {} orders and {}:", failed.seed, failed.orders, harms(failed));
    for harm in &failed.harms {
        anstream::println!("   {harm}");
    }
    for finding in failed.findings.iter().take(SHOWN) {
        anstream::println!("   {:<8} {}: {}", finding.what, finding.id, finding.detail);
    }
    if failed.findings.len() > SHOWN {
        anstream::println!("   and {} more", failed.findings.len() - SHOWN);
    }
    anstream::println!("   again: {}\n", failed.replay);
}

fn harms(failed: &Failed) -> String {
    match failed.harms.len() {
        0 => "nothing that goes wrong".to_owned(),
        1 => "one thing that goes wrong".to_owned(),
        count => format!("{count} things that go wrong"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harms_are_asked_for_by_number() {
        assert_eq!(numbers("2, 5"), Ok(Numbers(BTreeSet::from([2, 5]))));
        assert_eq!(numbers("none"), Ok(Numbers(BTreeSet::new())));
        assert!(numbers("two").unwrap_err().contains("`2,5`"));
    }
}
