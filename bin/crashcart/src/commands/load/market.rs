//! `crashcart load --workload market`: the range is filled, then buyers and sellers work on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use load::{
    LoadError, Market,
    market::{Choice, Plan, Range, range::LARGEST},
};
use platform::{Clock, Tasks};
use seed::Patient;

use super::Load;
use crate::{
    cli::Common,
    commands::checkout::directory,
    output::{self, Failure, Outcome},
    remote::not_seeded,
};

const PRODUCTS: u32 = 1_000;
const SHOPPERS: u32 = 32;
/// How many requests are under way at a time while the range is filled.
const CONCURRENCY: usize = 64;

pub async fn run(load: Load, common: &Common) -> Outcome {
    let products = load.products.unwrap_or(PRODUCTS);
    if !(1..=LARGEST).contains(&products) {
        // Before a range is filled that nobody can want.
        return Err(Failure::usage(LoadError::Knob { knob: "products", value: products.into(), must: "from 1 to 1000000" }));
    }
    let plan = Plan {
        range: Range { products },
        choice: match load.choice {
            Some(super::Choice::Zipf) => Choice::Zipf,
            Some(super::Choice::Uniform) | None => Choice::Uniform,
        },
        shoppers: load.shoppers.unwrap_or(SHOPPERS),
        duration: load.duration(),
    };
    let gateway = load.at.gateway(common);
    let people = directory(&gateway, 1.0).await?;
    let clock = Clock::real();
    let bar = output::bar(u64::from(products), "filling the shelves");
    let patient = Patient::new(gateway.shop()?, clock);
    plan.range.fill(&patient, CONCURRENCY, |done| bar.set_position(done)).await.map_err(not_seeded)?;
    bar.finish_and_clear();

    let tasks = Tasks::new("load", clock);
    let market = Market::new(Arc::new(gateway.shop()?), &people, plan, load.seed, (clock, tasks.clone())).map_err(Failure::usage)?;
    let bar = output::bar(plan.duration.as_secs(), "");
    let (shown, begun, ended) = (bar.clone(), clock.now(), AtomicU64::new(0));
    let report = market
        .run(move || {
            shown.set_message(format!("{} operations", ended.fetch_add(1, Ordering::Relaxed) + 1));
            shown.set_position(clock.now().since(begun).as_secs());
        })
        .await;
    bar.finish_and_clear();
    tasks.drain(Duration::from_secs(5)).await;
    if common.json {
        output::json(&report);
    } else {
        anstream::println!("{report}");
    }
    Ok(output::OK)
}
