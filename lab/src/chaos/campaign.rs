//! Many worlds, one after the other on each of some threads; of a hundred, one is run twice and must be the same to the last fact. What fails is
//! shrunk and told with the command that brings it back.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{
    phases::{Finding, Outcome, run},
    plan::{Plan, Shape},
    shrink::{Shrunk, shrink},
};
use crate::target::{Simulation, simulation::on_threads};

/// One world in so many is run twice.
const TWICE_ONE_IN: u64 = 100;

/// Which worlds are run.
#[derive(Clone, Debug)]
pub struct Campaign {
    pub first_seed: u64,
    pub seeds: u64,
    pub shape: Shape,
    /// Only the first so many buyers, and only these harms, by their numbers: what a replay of a shrunk world asks for.
    pub only_first: Option<usize>,
    pub harms: Option<BTreeSet<usize>>,
    pub threads: usize,
}

/// A world that failed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    pub seed: u64,
    pub findings: Vec<Finding>,
    /// Brings the shrunk world back.
    pub replay: String,
    pub orders: usize,
    pub harms: Vec<String>,
    /// How many smaller worlds were tried.
    pub tried: usize,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub worlds: usize,
    pub run_twice: usize,
    pub failed: Vec<Failed>,
    pub orders: usize,
    pub confirmed: usize,
    pub crashes: usize,
    pub faults: usize,
    pub virtual_seconds: u64,
}

impl Campaign {
    /// Runs it. `on_world` is told after each world: for a progress bar.
    #[must_use]
    pub fn run(&self, simulation: &Simulation, on_world: &(dyn Fn() + Sync)) -> Report {
        let seeds: Vec<u64> = (0..self.seeds).map(|number| self.first_seed.wrapping_add(number)).collect();
        let done = on_threads(self.threads, &seeds, |seed| {
            let seen = self.world(simulation, *seed);
            on_world();
            seen
        });
        let mut report = Report { worlds: seeds.len(), ..Report::default() };
        for (seed, seen) in seeds.into_iter().zip(done) {
            match seen {
                Some(Ok(seen)) => report.take(seen),
                Some(Err(error)) => report.failed.push(self.unshrunk(simulation, seed, error.to_string())),
                None => report.failed.push(self.unshrunk(simulation, seed, "the world panicked, as was printed above".into())),
            }
        }
        report
    }

    fn plan(&self, simulation: &Simulation, seed: u64) -> Plan {
        let services: Vec<&str> = simulation.manifests.iter().map(|manifest| manifest.name).collect();
        let plan = Plan::draw(seed, self.shape, &services);
        let harms = self.harms.clone().unwrap_or_else(|| plan.harm_numbers());
        plan.reduced(self.only_first.unwrap_or(self.shape.orders), &harms)
    }

    fn world(&self, simulation: &Simulation, seed: u64) -> Result<Seen, crate::target::SimulationError> {
        let plan = self.plan(simulation, seed);
        let mut outcome = run(simulation, &plan)?;
        let is_twice = seed.wrapping_sub(self.first_seed).is_multiple_of(TWICE_ONE_IN);
        if is_twice {
            let again = run(simulation, &plan)?;
            if again != outcome {
                let detail = format!("the same seed gave the digests {} and {}", outcome.digest, again.digest);
                outcome.findings.push(Finding { what: "repeats".into(), id: seed.to_string(), detail });
            }
        }
        let failed = (!outcome.findings.is_empty()).then(|| {
            // What does not repeat cannot be made smaller.
            let is_fickle = outcome.findings.iter().any(|finding| finding.what == "repeats");
            let shrunk = if is_fickle {
                Shrunk { plan: plan.clone(), outcome: outcome.clone(), tried: 0 }
            } else {
                shrink(simulation, &plan, outcome.clone())
            };
            self.failed(&shrunk)
        });
        Ok(Seen { outcome, is_twice, failed })
    }

    fn failed(&self, shrunk: &Shrunk) -> Failed {
        let plan = &shrunk.plan;
        Failed {
            seed: plan.seed,
            findings: shrunk.outcome.findings.clone(),
            replay: self.replay(plan),
            orders: plan.shoppers.len(),
            harms: plan.harms.iter().map(|(number, harm)| format!("{number}: {harm:?}")).collect(),
            tried: shrunk.tried,
        }
    }

    fn unshrunk(&self, simulation: &Simulation, seed: u64, detail: String) -> Failed {
        let plan = self.plan(simulation, seed);
        let finding = Finding { what: "runs".into(), id: seed.to_string(), detail };
        let outcome = Outcome {
            findings: vec![finding],
            digest: String::new(),
            orders: std::collections::BTreeMap::new(),
            virtual_seconds: 0,
            crashes: 0,
            faults: 0,
        };
        self.failed(&Shrunk { plan, outcome, tried: 0 })
    }

    /// The harms are drawn for the shape's own number of orders, so that stays as it was; fewer are asked for beside it.
    fn replay(&self, plan: &Plan) -> String {
        let harms = plan.harms.iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(",");
        let harms = if harms.is_empty() { "none".to_owned() } else { harms };
        format!(
            "crashcart simulate --seeds 1 --first-seed {} --minutes {} --orders {} --only-first {} --harms {harms}",
            plan.seed,
            self.shape.minutes,
            self.shape.orders,
            plan.shoppers.len()
        )
    }
}

/// One world of a campaign.
struct Seen {
    outcome: Outcome,
    is_twice: bool,
    failed: Option<Failed>,
}

impl Report {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failed.is_empty()
    }

    fn take(&mut self, seen: Seen) {
        let Seen { outcome, is_twice, failed } = seen;
        self.run_twice += usize::from(is_twice);
        self.orders += outcome.orders.values().sum::<usize>();
        self.confirmed += outcome.orders.get("FULFILLED_READY").copied().unwrap_or(0);
        self.crashes += outcome.crashes;
        self.faults += outcome.faults;
        self.virtual_seconds += outcome.virtual_seconds;
        self.failed.extend(failed);
    }

    #[must_use]
    pub fn json(&self) -> Json {
        json!({
            "holds": self.holds(), "worlds": self.worlds, "runTwice": self.run_twice, "orders": self.orders, "confirmed": self.confirmed,
            "crashes": self.crashes, "faults": self.faults, "virtualSeconds": self.virtual_seconds, "failed": self.failed,
        })
    }
}
