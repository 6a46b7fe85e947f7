//! `crashcart verify`: every invariant over a running or a stopped system, from its audit exports.

use std::path::Path;

use clap::Args;
use lab::{invariants::Grace, report, target::Target, verify};
use platform::{
    telemetry::traces::Traces,
    world::{World, folder},
};

use crate::{
    cli::Common,
    output::{self, Failure, Outcome},
    registry::SERVICES,
    remote::{Where, running},
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart verify                          the system of ./crashcart-data, running or stopped\n  crashcart verify --data shop --rows 20\n\nExit: 0 when every invariant holds, 1 when one is broken (with the rows that break it)."
)]
pub struct Verify {
    /// How many of the rows that break an invariant are shown
    #[arg(long, default_value_t = 5)]
    rows: usize,
    #[command(flatten)]
    at: Where,
}

impl Verify {
    pub async fn run(self, common: &Common) -> Outcome {
        let stopped = self.at.target.is_none() && self.at.admin.is_none() && running(&self.at.data).is_none();
        let turning = output::spinner("reading what the services tell");
        let report = if stopped {
            let resting = at_rest(common, &self.at.data).await?;
            verify::verify(&resting, &Grace::default()).await
        } else {
            let (admin, token) = self.at.admin()?;
            let remote = self.at.gateway(common).target((&admin, &token))?;
            verify::verify(&remote as &dyn Target, &Grace::default()).await
        }
        .map_err(Failure::failed)?;
        turning.finish_and_clear();
        if common.json {
            output::json(&report.json());
        } else {
            output::lines(&report::verified(&report, self.rows));
        }
        Ok(if report.holds() { output::OK } else { output::FAILED })
    }
}

/// A stopped system, opened for a look: nothing runs in it.
async fn at_rest(common: &Common, data: &Path) -> Result<lab::target::Resting, Failure> {
    if !data.join("LAYOUT").exists() {
        return Err(Failure::usage(format!(
            "{} is no data folder; name one with --data, or a running system with --target",
            data.display()
        )));
    }
    let held = folder::hold(data).map_err(Failure::usage)?;
    let world = World::real(common.settings()?, data, Traces::off()).map_err(Failure::failed)?;
    for manifest in SERVICES {
        world.open_at_rest(manifest).await.map_err(Failure::failed)?;
    }
    Ok(lab::target::Resting::new(world, held))
}
