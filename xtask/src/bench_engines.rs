//! `cargo xtask bench engines`: the same checkouts on the embedded stores and on the real engines, by one program, in turn, all on the same cores. Says what
//! the system and each engine spend on an order. Needs `cargo build --release --features engines`. A run that breaks an invariant has no result.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;

use crate::{
    engines::{Running, SETTINGS},
    system::{Cost, System},
};

const RUNS: usize = 3;
const SECONDS: &str = "15";
const SHOPPERS: &str = "32";

/// What takes each store over from the embedded one, and the engines that this needs.
const STORES: &str = r#"
[stores]
cache = "redis"
limiter = "redis"
blobs = "s3"
schemas = "registry"
bus = "kafka"
documents = "couchdb"

[stores.sql]
customer = "postgresql"
catalog = "postgresql"
pricing = "postgresql"
payment = "postgresql"
cart = "mariadb"
order = "mariadb"
"#;
const ENGINES: &str = "redis,postgresql,mariadb,kafka,schema-registry,couchdb,minio";

/// Prints a Markdown table on stdout.
#[expect(clippy::print_stdout, reason = "its result")]
pub fn run() -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("crashcart-bench-engines-{}", std::process::id()));
    let engines = Running::start(&folder.join("engines"), ENGINES)?;
    let config = with_stores(&engines.folder)?;
    println!("| run | orders/s | answered p50, p99 | settled p50, p99 | the system, per order | each engine, CPU ms per order |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let embedded = System::start(&folder.join("embedded"))?;
    let real = System::start_with(&folder.join("real"), Some(&config))?;
    let result = in_turn(&[("embedded", &embedded), ("engines", &real)], &engines);
    embedded.stop();
    real.stop();
    drop(engines);
    drop(std::fs::remove_dir_all(&folder));
    result
}

/// In turn, so that a machine that becomes slower does so for both. Whichever is not measured has nothing to do.
fn in_turn(systems: &[(&str, &System)], engines: &Running) -> Result<(), String> {
    for run in 1..=RUNS {
        for (name, system) in systems {
            measure(name, system, engines, run)?;
        }
    }
    systems.iter().try_for_each(|(_, system)| system.verify())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn measure(name: &str, system: &System, engines: &Running, run: usize) -> Result<(), String> {
    let seed = run.to_string();
    let load = ["load", "--shoppers", SHOPPERS, "--seconds", SECONDS, "--bench", "--seed", &seed];
    let nothing = ["load", "--shoppers", "1", "--seconds", "0", "--bench"];
    let start = engines.cpu_seconds();
    system.report(&nothing)?;
    let before = engines.cpu_seconds();
    let (told, cost): (Json, Cost) = system.spend(&load)?;
    let after = engines.cpu_seconds();
    let orders = told["orders"].as_f64().unwrap_or(0.0).max(1.0);
    let spent = |engine: &String| -> f64 {
        let at = |moment: &BTreeMap<String, f64>| moment.get(engine).copied().unwrap_or(0.0);
        (at(&after) - at(&before)) - (at(&before) - at(&start))
    };
    let mut each = String::new();
    for engine in after.keys() {
        let separator = if each.is_empty() { "" } else { ", " };
        write!(each, "{separator}{engine} {:.2}", spent(engine) * 1_000.0 / orders).map_err(|error| error.to_string())?;
    }
    let millis = |path: &str, what: &str| told[path][what].as_f64().unwrap_or(0.0) / 1_000.0;
    println!(
        "| {run}, {name} | {:.0} | {:.1}, {:.1} ms | {:.1}, {:.1} ms | {} | {each} |",
        told["ordersPerSecond"].as_f64().unwrap_or(0.0),
        millis("answered", "p50Micros"),
        millis("answered", "p99Micros"),
        millis("settled", "p50Micros"),
        millis("settled", "p99Micros"),
        cost.each(&told["orders"]),
    );
    Ok(())
}

/// The engines' settings file, with the stores on them.
fn with_stores(engines: &Path) -> Result<PathBuf, String> {
    let told = engines.join(SETTINGS);
    let text = std::fs::read_to_string(&told).map_err(|error| format!("{}: {error}", told.display()))?;
    let file = engines.join("bench.toml");
    crate::engines::write(&file, &format!("{text}{STORES}"))?;
    Ok(file)
}
