//! `crashcart load --workload sale`: the rush by HTTP, then the books of the system, which say what came of it.

use std::{sync::Arc, time::Duration};

use lab::{
    sale::{Books, Counters, read},
    target::Target,
};
use load::{SaleReport, sale};
use platform::{Clock, Tasks};
use seed::Patient;
use serde::Serialize;

use super::Load;
use crate::{
    cli::Common,
    commands::checkout::directory,
    output::{self, Failure, Outcome},
};

/// What follows from events may follow a little later than the last answer: the books are read so often at most, this far apart.
const READINGS: u32 = 10;
const APART: Duration = Duration::from_secs(1);

/// What shoppers saw and what the books say.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sold<'a> {
    #[serde(flatten)]
    seen: &'a SaleReport,
    books: &'a Books,
    credits: Credits,
    /// Just as many units are sold as there were shoppers for, and no counter counts.
    is_right: bool,
}

/// A shopper's credit is one payment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credits {
    given: i64,
    spent: i64,
    left: i64,
}

pub async fn run(load: Load, common: &Common) -> Outcome {
    let whole = sale::Sale::default();
    let plan =
        sale::Sale { shoppers: load.shoppers.unwrap_or(whole.shoppers), units: load.units.unwrap_or(whole.units), in_cart: load.in_cart };
    // Without the books there is no result, so they must be within reach before anything is sold.
    let (admin, token) = load.at.admin()?;
    let gateway = load.at.gateway(common);
    let target = gateway.target((&admin, &token))?;
    let people = directory(&gateway, 1.0).await?;
    let clock = Clock::real();
    let tasks = Tasks::new("load", clock);
    let sku = sale::stock(&Patient::new(gateway.shop()?, clock), &plan, clock).await.map_err(told)?;
    let turning = output::spinner("selling");
    let seen = sale::rush(Arc::new(gateway.shop()?), &people, (plan, sku), load.seed, (clock, &tasks)).await.map_err(told)?;
    turning.set_message("reading the books");
    let books = books(&target, &seen).await?;
    turning.finish_and_clear();
    tasks.drain(Duration::from_secs(5)).await;
    let is_right = is_right(&books, &seen);
    let given = i64::from(plan.shoppers);
    let credits = Credits { given, spent: books.captured, left: given - books.captured };
    if common.json {
        output::json(&Sold { seen: &seen, books: &books, credits, is_right });
    } else {
        anstream::print!("{seen}");
        show(&books, &credits);
    }
    Ok(if is_right { output::OK } else { output::FAILED })
}

fn told(error: sale::SaleError) -> Failure {
    match error {
        sale::SaleError::Load(wrong) => Failure::usage(wrong),
        other => Failure::failed(other),
    }
}

async fn books(target: &dyn Target, seen: &SaleReport) -> Result<Books, Failure> {
    let mut books = read(target, seen.sku.as_str()).await.map_err(Failure::failed)?;
    for _ in 1..READINGS {
        if is_right(&books, seen) {
            break;
        }
        target.sleep(APART).await;
        books = read(target, seen.sku.as_str()).await.map_err(Failure::failed)?;
    }
    Ok(books)
}

fn is_right(books: &Books, seen: &SaleReport) -> bool {
    books.units_sold == i64::from(seen.sale.sellable()) && books.counters.are_zero()
}

fn show(books: &Books, credits: &Credits) {
    let Books { supply, orders, confirmed, units_sold, available, captured, counters } = *books;
    anstream::println!("\nthe books of the system");
    anstream::println!("  {units_sold} of {supply} units sold in {confirmed} of {orders} orders, {available} left");
    anstream::println!("  {captured} payments captured: {} of {} credits spent, {} left", credits.spent, credits.given, credits.left);
    for (what, count) in Counters::named(&counters) {
        anstream::println!("  {count:>10}  {what}");
    }
}
