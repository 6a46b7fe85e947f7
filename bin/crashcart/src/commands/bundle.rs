//! `crashcart bundle`: one run of a scenario as a folder, to be looked at without a system.

use std::path::PathBuf;

use clap::Args;
use lab::{
    bundle, record,
    scenario::{self, LabError, Request, Twins},
};
use serde_json::json;

use crate::{
    cli::Common,
    output::{self, Failure, Outcome},
    registry::SIMULATION,
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart bundle oversell --seed 43 --out oversell-43\n  crashcart bundle dual-write --rung R0 --set outage_seconds=60 --out outage\n\nThe folder has what an operator would have, and nothing of what was done: that is the incident record."
)]
pub struct Bundle {
    /// Which scenario; see `scenario list`
    scenario: String,
    /// Another number is another day; the same number is the same day, always
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The rung that is run; the vulnerable one when left out
    #[arg(long)]
    rung: Option<String>,
    /// A knob, as knob=value; may be given more than once
    #[arg(long, value_name = "KNOB=VALUE")]
    set: Vec<String>,
    /// The folder that is made
    #[arg(long, value_name = "DIR", default_value = "crashcart-bundle")]
    out: PathBuf,
    /// Where the incident record is written, apart from the bundle
    #[arg(long, value_name = "DIR", default_value = "crashcart-incidents")]
    records: PathBuf,
}

impl Bundle {
    pub fn run(self, common: &Common) -> Outcome {
        let scenario = scenario::find(&self.scenario).map_err(usage)?;
        let request = Request::new(scenario, self.seed)
            .with_twins(Twins::Vulnerable)
            .on_rungs(self.rung.as_deref())
            .and_then(|request| request.with_knobs(self.set.iter().map(String::as_str)))
            .map_err(usage)?;
        // What cannot be written is told before anything is run.
        if self.out.exists() {
            return Err(usage(LabError::Taken(self.out)));
        }
        let turning = output::spinner(&format!("{}, one run", scenario.name));
        let kept = request.keep(&SIMULATION).map_err(failed)?;
        turning.finish_and_clear();
        let manifest = bundle::write(&self.out, self.seed, &kept).map_err(failed)?;
        let written = record::write(&self.records, &kept.rung.record, &kept.rung.damage).map_err(failed)?;
        if common.json {
            output::json(
                &json!({"bundle": self.out.display().to_string(), "manifest": manifest, "record": written.record.display().to_string()}),
            );
            return Ok(output::OK);
        }
        anstream::println!(" {} of {}, seed {}, in {}/:", kept.rung.rung.name, scenario.name, self.seed, self.out.display());
        let facts = manifest.files.iter().filter(|file| file.path.starts_with("facts/"));
        let (count, lines) = facts.fold((0, 0), |(count, lines), file| (count + 1, lines + file.lines));
        for file in manifest.files.iter().filter(|file| !file.path.starts_with("facts/")) {
            anstream::println!("   {:<16} {:>8} lines   {}", file.path, file.lines, file.what);
        }
        anstream::println!("   {:<16} {lines:>8} lines   what the services say of themselves, in {count} files", "facts/");
        anstream::println!(" incident record: {}", written.record.display());
        Ok(output::OK)
    }
}

fn usage(error: LabError) -> Failure {
    Failure::usage(error)
}

fn failed(error: LabError) -> Failure {
    Failure::failed(error)
}
