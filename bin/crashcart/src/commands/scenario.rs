//! `crashcart scenario`: the incidents. Simulated by default; against a running system with `--target`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lab::{
    knob::Knob,
    record, report,
    scenario::{self, LabError, Request, Run, Twins},
};
use platform::Clock;
use serde_json::json;

use crate::{
    cli::{Common, runtime},
    output::{self, Failure, Outcome},
    registry::SIMULATION,
    remote::Where,
};

#[derive(Args, Debug)]
pub struct Scenario {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// What can go wrong, with every ladder and every knob
    #[command(after_help = "Example:\n  crashcart scenario list\n  crashcart scenario list --json | jq '.[].ladder[].name'")]
    List,
    /// Run one: each rung, with its twins, in virtual time
    #[command(
        after_help = "Example:\n  crashcart scenario run oversell --seed 43\n  crashcart scenario run oversell --rung R0 --rung R3 --set stock=50 --json\n\nExit: 0 when each rung did what the scenario declares, 1 when not, 2 for bad usage."
    )]
    Run(RunArgs),
}

#[derive(Args, Debug)]
struct RunArgs {
    /// Which; see `scenario list`
    name: String,
    /// Another number is another day; the same number is the same day, always
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Only this rung; may be given more than once
    #[arg(long)]
    rung: Vec<String>,
    /// A knob, as knob=value; may be given more than once
    #[arg(long, value_name = "KNOB=VALUE")]
    set: Vec<String>,
    /// Where the incident record is written
    #[arg(long, value_name = "DIR", default_value = "crashcart-incidents")]
    records: PathBuf,
    #[command(flatten)]
    at: Where,
}

impl Scenario {
    pub fn run(self, common: &Common) -> Outcome {
        match self.what {
            What::List if common.json => {
                output::json(&listed());
                Ok(output::OK)
            }
            What::List => {
                output::lines(&report::list());
                Ok(output::OK)
            }
            What::Run(args) => args.run(common),
        }
    }
}

impl RunArgs {
    fn run(self, common: &Common) -> Outcome {
        let scenario = scenario::find(&self.name).map_err(usage)?;
        let request = Request::new(scenario, self.seed)
            .on_rungs(self.rung.iter().map(String::as_str))
            .and_then(|request| request.with_knobs(self.set.iter().map(String::as_str)))
            .map_err(usage)?;
        let clock = Clock::real();
        let started = clock.now();
        let turning = output::spinner(&format!("{}, {} rungs and their twins", scenario.name, request.rungs.len()));
        let run = if self.at.target.is_some() {
            runtime()?.block_on(async {
                let (admin, token) = self.at.admin()?;
                let remote = self.at.gateway(common).target((&admin, &token))?;
                request.against(&remote).await.map_err(failed)
            })?
        } else {
            request.with_twins(Twins::EveryRung).simulate(&SIMULATION).map_err(failed)?
        };
        turning.finish_and_clear();
        let wall = clock.now().since(started);
        let written = write(&run, &self.records)?;
        if common.json {
            output::json(&run.json(written.as_ref().map(|written| written.record.as_path()), wall));
        } else {
            output::lines(&report::run(&run, written.as_ref(), wall));
        }
        Ok(if run.is_as_declared() { output::OK } else { output::FAILED })
    }
}

/// Every scenario with its ladder and its knobs, for programs.
fn listed() -> Vec<serde_json::Value> {
    let rung = |rung: &scenario::Rung| {
        let breaks: Vec<&str> = rung.breaks.iter().map(|invariant| invariant.as_str()).collect();
        json!({"name": rung.name, "title": rung.title, "description": rung.description, "breaks": breaks})
    };
    let knob = |knob: &Knob| json!({"name": knob.name, "summary": knob.summary, "default": knob.default_text()});
    let all = scenario::SCENARIOS.iter();
    all.map(|one| {
        json!({"name": one.name, "summary": one.summary, "precondition": one.precondition,
            "ladder": one.ladder.iter().map(rung).collect::<Vec<_>>(), "knobs": one.knobs.iter().map(knob).collect::<Vec<_>>()})
    })
    .collect()
}

/// Writes the record of the rung that tells the incident.
pub fn write(run: &Run, folder: &std::path::Path) -> Result<Option<record::Written>, Failure> {
    let Some(telling) = run.telling() else { return Ok(None) };
    record::write(folder, &telling.record, &telling.damage).map(Some).map_err(failed)
}

fn usage(error: LabError) -> Failure {
    Failure::usage(error)
}

fn failed(error: LabError) -> Failure {
    Failure::failed(error)
}
