//! `crashcart checkout`: orders end to end over HTTP, and the journey of each.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use load::{ClosedLoop, Ending, Load, Mix, Outcome, Until};
use order_api::OrderStatus;
use platform::{Clock, Tasks};
use seed::{Directory, Patient};

use crate::{
    cli::Common,
    output::{self, Failure, Outcome as Exit},
    remote::{Gateway, Where, not_seeded},
};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  crashcart checkout\n  crashcart checkout --count 20 --seed 7 --target http://127.0.0.1:8080")]
pub struct Checkout {
    /// How many
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    count: u64,
    /// Who buys what; the same number buys the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    at: Where,
}

impl Checkout {
    pub async fn run(self, common: &Common) -> Exit {
        let gateway = self.at.gateway(common);
        let directory = directory(&gateway, 0.05).await?;
        let outcomes = take(&gateway, &directory, self.count, self.seed, 8).await?;
        if common.json {
            outcomes.iter().for_each(output::json);
        } else {
            outcomes.iter().for_each(show);
        }
        let all_settled = outcomes.iter().all(|outcome| matches!(outcome.ending, Ending::Settled { .. }));
        Ok(if all_settled { output::OK } else { output::FAILED })
    }
}

/// Who and what there is to buy from and with; seeded first where it is not there yet.
pub async fn directory(gateway: &Gateway, scale: f64) -> Result<Directory, Failure> {
    let shop = Patient::new(gateway.shop()?, Clock::real());
    let bar = output::bar(0, "looking for goods");
    let seeded = seed::apply(&seed::plan(42, scale), &shop, 32, |progress| {
        bar.set_length(progress.planned);
        bar.set_position(progress.done);
    })
    .await
    .map_err(not_seeded)?;
    bar.finish_and_clear();
    Ok(seeded.directory)
}

/// Takes so many orders with so many shoppers at a time.
pub async fn take(gateway: &Gateway, directory: &Directory, count: u64, seed: u64, shoppers: u32) -> Result<Vec<Outcome>, Failure> {
    let clock = Clock::real();
    let tasks = Tasks::new("checkout", clock);
    let shop = Arc::new(gateway.shop()?);
    let seen: Arc<Mutex<Vec<Outcome>>> = Arc::default();
    let bar = output::bar(count, "orders");
    let (keep, shown) = (seen.clone(), bar.clone());
    let mix = Mix { abandoned: 0.0, ..Mix::default() };
    let load = Load::new(shop, directory, mix, seed, clock, tasks.clone()).map_err(Failure::usage)?.watched_by(Arc::new(move |outcome| {
        shown.inc(1);
        keep.lock().unwrap_or_else(PoisonError::into_inner).push(outcome.clone());
    }));
    let plan = ClosedLoop { shoppers: shoppers.min(u32::try_from(count).unwrap_or(shoppers)), until: Until::Orders(count) };
    load.closed_loop(plan).await.map_err(Failure::failed)?;
    tasks.drain(Duration::from_secs(5)).await;
    bar.finish_and_clear();
    let mut outcomes = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    outcomes.sort_by_key(|outcome| outcome.buyer);
    Ok(outcomes)
}

fn show(outcome: &Outcome) {
    let id = outcome.order_id.map_or_else(|| "no order".to_owned(), |id| format!("order {id}"));
    let total = outcome.total.map(|total| format!(", {total}")).unwrap_or_default();
    anstream::println!("\n {id}{total}, buyer {} in {}", outcome.buyer, outcome.region);
    anstream::println!("   {}", journey(outcome));
    match &outcome.ending {
        Ending::Settled { status: OrderStatus::Cancelled, reason } => {
            anstream::println!("   cancelled: {}; stock and money are where they were", reason.as_deref().unwrap_or("no reason told"));
        }
        Ending::Settled { .. } => {}
        other => anstream::println!("   {}", serde_json::to_string(other).unwrap_or_default()),
    }
}

/// The states of an order with the milliseconds after the first.
pub fn journey(outcome: &Outcome) -> String {
    let Some(first) = outcome.timeline.first() else { return "nothing happened".into() };
    let step = |entry: &order_api::TimelineEntry| format!("+{} ms {}", entry.at.since(first.at).as_millis(), entry.status);
    outcome.timeline.iter().map(step).collect::<Vec<_>>().join("  ")
}
