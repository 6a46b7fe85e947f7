//! `cargo xtask bench`: the first figures of the whole system, as a user would measure them: a release binary over a fresh folder, load from a
//! process of its own on the same cores, the operating system's accounting of the system alone, the stores' counters before and after,
//! and every invariant checked at the end. A run that breaks one has no result.

use serde_json::Value as Json;

use crate::system::{System, now, pause};

const RUNS: usize = 3;
const SECONDS: u64 = 15;
const IDLE_SECONDS: u64 = 60;

/// Prints a Markdown table on stdout.
#[expect(clippy::print_stdout, reason = "its result")]
pub fn run() -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("crashcart-bench-{}", std::process::id()));
    println!("| figure | value |\n| --- | --- |");
    let system = System::start(&folder)?;
    println!("| process start to ready | {:.2} s |", system.ready);
    let result = measure(&system);
    system.stop();
    drop(std::fs::remove_dir_all(&folder));
    result
}

#[expect(clippy::print_stdout, reason = "its result")]
fn measure(system: &System) -> Result<(), String> {
    pause(5);
    println!("| resident, idle, nothing stored | {} MB |", system.resident_mb());
    let (cpu, at) = (system.cpu_seconds(), now());
    pause(IDLE_SECONDS);
    println!("| CPU of a core, idle over {IDLE_SECONDS} s | {:.3} % |", 100.0 * (system.cpu_seconds() - cpu) / (now() - at));
    let at = now();
    let seeded = system.report(&["seed"])?;
    let rows: u64 = seeded["kinds"].as_array().into_iter().flatten().filter_map(|kind| kind["planned"].as_u64()).sum();
    println!("| data set, {rows} rows through the APIs | {:.0} rows/s |", rows as f64 / (now() - at));
    for workload in [checkouts, sale, market] {
        workload(system)?;
    }
    println!("| resident afterwards | {} MB |", system.resident_mb());
    system.verify()?;
    println!("| every invariant | holds |");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn checkouts(system: &System) -> Result<(), String> {
    for run in 1..=RUNS {
        let (seconds, seed) = (SECONDS.to_string(), run.to_string());
        let load = ["load", "--shoppers", "32", "--seconds", &seconds, "--bench", "--seed", &seed];
        let (report, cost) = system.cost(&load, &["load", "--shoppers", "1", "--seconds", "0", "--bench"])?;
        let millis = |path: &str, what: &str| report[path][what].as_f64().unwrap_or(0.0) / 1_000.0;
        println!(
            "| run {run}: whole checkouts, 32 shoppers | {:.0} orders/s; answered p50 {:.1} ms, p99 {:.1} ms; settled p50 {:.1} ms, p99 {:.1} ms; {} per order |",
            report["ordersPerSecond"].as_f64().unwrap_or(0.0),
            millis("answered", "p50Micros"),
            millis("answered", "p99Micros"),
            millis("settled", "p50Micros"),
            millis("settled", "p99Micros"),
            cost.each(&report["orders"]),
        );
    }
    Ok(())
}

/// A sale that sells another number, or whose books do not agree, has no result: the command fails then.
#[expect(clippy::print_stdout, reason = "its result")]
fn sale(system: &System) -> Result<(), String> {
    for (how, options) in [("from an empty cart on", &[][..]), ("in the cart beforehand", &["--in-cart"])] {
        for run in 1..=RUNS {
            let seed = run.to_string();
            let load = [&["load", "--workload", "sale", "--seed", &seed][..], options].concat();
            let (report, cost) = system.cost(&load, &["load", "--workload", "sale", "--shoppers", "1"])?;
            let seconds = |what: &str, by: &str| report[what][by].as_f64().unwrap_or(f64::NAN);
            let books = &report["books"];
            println!(
                "| run {run}: flash sale, {how}, 1,000 shoppers for 100 units | {} sold, counters {}; the last unit sold after {:.2} s \
                 (seen {:.2} s), everybody answered after {:.2} s (seen {:.2} s); {} per shopper |",
                books["unitsSold"],
                books["counters"].as_object().into_iter().flatten().map(|(_, count)| count.to_string()).collect::<Vec<_>>().join(" "),
                seconds("soldOut", "toldSeconds"),
                seconds("soldOut", "seenSeconds"),
                seconds("allAnswered", "toldSeconds"),
                seconds("allAnswered", "seenSeconds"),
                cost.each(&report["sale"]["shoppers"]),
            );
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn market(system: &System) -> Result<(), String> {
    // The range is filled first; what that costs is not the market's.
    system.report(&["load", "--workload", "market", "--seconds", "0"])?;
    for choice in ["uniform", "zipf"] {
        for run in 1..=RUNS {
            let (seconds, seed) = (SECONDS.to_string(), run.to_string());
            let load = ["load", "--workload", "market", "--choice", choice, "--seconds", &seconds, "--seed", &seed];
            let (report, cost) = system.cost(&load, &["load", "--workload", "market", "--seconds", "0"])?;
            let kinds: Vec<String> = report["kinds"].as_object().into_iter().flatten().map(|(name, kind)| of_kind(name, kind)).collect();
            println!(
                "| run {run}: market, 32 shoppers on {} products, {choice} | {:.0} operations/s, {} of {} failed; {}; {} per operation |",
                report["products"],
                report["operationsPerSecond"].as_f64().unwrap_or(0.0),
                report["failed"],
                report["operations"],
                kinds.join("; "),
                cost.each(&report["operations"]),
            );
        }
    }
    Ok(())
}

fn of_kind(name: &str, kind: &Json) -> String {
    let millis = |what: &str| kind["latency"][what].as_f64().unwrap_or(0.0) / 1_000.0;
    let rate = kind["perSecond"].as_f64().unwrap_or(0.0);
    format!("{name} {rate:.0}/s, p50 {:.1} ms, p99 {:.1} ms", millis("p50Micros"), millis("p99Micros"))
}
