//! `crashcart seed`: the data set, through the public APIs.

use clap::Args;
use platform::Clock;
use seed::{Manifest, Patient};

use crate::{
    cli::Common,
    output::{self, Outcome},
    remote::{Where, not_seeded},
};

/// How many requests are under way at a time.
const CONCURRENCY: usize = 64;

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart seed                    a second time it changes nothing\n  crashcart seed --seed 7 --scale 10 --target http://127.0.0.1:8080"
)]
pub struct Seed {
    /// The same number gives the same data, always
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// 1 is 1,000 customers and 200 products; the smaller set is the beginning of the larger
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    #[command(flatten)]
    at: Where,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (0.01..=100.0).contains(&scale) => Ok(scale),
        _ => Err("must be a number from 0.01 to 100".into()),
    }
}

impl Seed {
    pub async fn run(self, common: &Common) -> Outcome {
        let clock = Clock::real();
        let shop = Patient::new(self.at.gateway(common).shop()?, clock);
        let data = seed::plan(self.seed, self.scale);
        let started = clock.now();
        let bar = output::bar(0, "seeding");
        let seeded = seed::apply(&data, &shop, CONCURRENCY, |progress| {
            bar.set_length(progress.planned);
            bar.set_position(progress.done);
            bar.set_message(progress.kind.to_string());
        })
        .await
        .map_err(not_seeded)?;
        bar.finish_and_clear();
        let seconds = clock.now().since(started).as_secs_f64();
        if common.json {
            output::json(&seeded.manifest);
        } else {
            show(&seeded.manifest, seconds);
        }
        Ok(output::OK)
    }
}

/// The counts of a run, as a table.
pub fn show(manifest: &Manifest, seconds: f64) {
    anstream::println!("\n   {:<12} {:>8} {:>8} {:>8}   digest", "kind", "planned", "made", "found");
    for counts in &manifest.kinds {
        let made = counts.created + counts.completed;
        anstream::println!(
            "   {:<12} {:>8} {made:>8} {:>8}   {}",
            counts.kind.to_string(),
            counts.planned,
            counts.found,
            &counts.digest[..16]
        );
    }
    let rate = manifest.planned() as f64 / seconds.max(0.001);
    anstream::println!("\n {} rows in {seconds:.1} s ({rate:.0} a second), {} of them new\n", manifest.planned(), manifest.changed());
}
