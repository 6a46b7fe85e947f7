//! `cargo xtask bench`: the first figures of the whole system, as a user would measure them: a release binary over a fresh folder, load from a
//! process of its own on the same cores, the operating system's accounting of the system alone, the stores' counters before and after,
//! and every invariant checked at the end. A run that breaks one has no result.

use std::{
    collections::BTreeMap,
    io::BufRead,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value as Json;

const RUNS: usize = 3;
const SECONDS: u64 = 15;
const IDLE_SECONDS: u64 = 60;

/// Prints a Markdown table on stdout.
#[expect(clippy::print_stdout, reason = "its result")]
pub fn run() -> Result<(), String> {
    let binary = binary();
    let folder = std::env::temp_dir().join(format!("crashcart-bench-{}", std::process::id()));
    let data = folder.join("shop").display().to_string();
    let call = |args: &[&str]| -> Result<String, String> {
        let output = Command::new(&binary)
            .args(args)
            .args(["--data", &data, "--json"])
            .output()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(text) } else { Err(format!("{args:?}: {}{text}", String::from_utf8_lossy(&output.stderr))) }
    };
    let started = now();
    let mut up = Command::new(&binary)
        .args(["up", "--port", "0", "--json", "--data", &data])
        .env("CRASHCART_LOGS__LEVEL", "error")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}; build it first (`cargo build --release`)", binary.display()))?;
    let mut line = String::new();
    if let Some(out) = up.stdout.as_mut() {
        std::io::BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
    }
    let ready = now() - started;
    let gateway: Json = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
    let gateway = gateway["gateway"].as_str().unwrap_or_default().to_owned();
    println!("| figure | value |\n| --- | --- |");
    println!("| process start to ready | {ready:.2} s |");
    let result = measure(&up, &gateway, &call);
    stop(&mut up);
    drop(std::fs::remove_dir_all(&folder));
    result
}

/// One command of the program, against the system; what it says on stdout.
type Call<'a> = &'a dyn Fn(&[&str]) -> Result<String, String>;

#[expect(clippy::print_stdout, reason = "its result")]
fn measure(up: &Child, gateway: &str, call: Call<'_>) -> Result<(), String> {
    pause(5);
    println!("| resident, idle, nothing stored | {} MB |", resident_mb(up.id()));
    let (cpu, at) = (cpu_seconds(up.id()), now());
    pause(IDLE_SECONDS);
    println!("| CPU of a core, idle over {IDLE_SECONDS} s | {:.3} % |", 100.0 * (cpu_seconds(up.id()) - cpu) / (now() - at));
    let at = now();
    let seeded: Json = serde_json::from_str(&call(&["seed"])?).map_err(|error| error.to_string())?;
    let rows: u64 = seeded["kinds"].as_array().into_iter().flatten().filter_map(|kind| kind["planned"].as_u64()).sum();
    println!("| data set, {rows} rows through the APIs | {:.0} rows/s |", rows as f64 / (now() - at));
    for workload in [checkouts, sale, market] {
        workload(up, gateway, call)?;
    }
    println!("| resident afterwards | {} MB |", resident_mb(up.id()));
    call(&["verify"]).map_err(|error| format!("an invariant is broken, so there is no result: {error}"))?;
    println!("| every invariant | holds |");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn checkouts(up: &Child, gateway: &str, call: Call<'_>) -> Result<(), String> {
    for run in 1..=RUNS {
        let (seconds, seed) = (SECONDS.to_string(), run.to_string());
        let load = ["load", "--shoppers", "32", "--seconds", &seconds, "--bench", "--seed", &seed];
        let (report, cost) = cost(up, gateway, call, &load, &["load", "--shoppers", "1", "--seconds", "0", "--bench"])?;
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
fn sale(up: &Child, gateway: &str, call: Call<'_>) -> Result<(), String> {
    for (how, options) in [("from an empty cart on", &[][..]), ("in the cart beforehand", &["--in-cart"])] {
        for run in 1..=RUNS {
            let seed = run.to_string();
            let load = [&["load", "--workload", "sale", "--seed", &seed][..], options].concat();
            let (report, cost) = cost(up, gateway, call, &load, &["load", "--workload", "sale", "--shoppers", "1"])?;
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
fn market(up: &Child, gateway: &str, call: Call<'_>) -> Result<(), String> {
    // The range is filled first; what that costs is not the market's.
    call(&["load", "--workload", "market", "--seconds", "0"])?;
    for choice in ["uniform", "zipf"] {
        for run in 1..=RUNS {
            let (seconds, seed) = (SECONDS.to_string(), run.to_string());
            let load = ["load", "--workload", "market", "--choice", choice, "--seconds", &seconds, "--seed", &seed];
            let (report, cost) = cost(up, gateway, call, &load, &["load", "--workload", "market", "--seconds", "0"])?;
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

/// What a load cost the system.
struct Cost {
    cpu_seconds: f64,
    statements: f64,
    fsyncs: f64,
}

impl Cost {
    /// For each of so many.
    fn each(&self, count: &Json) -> String {
        let count = count.as_f64().unwrap_or(0.0).max(1.0);
        format!(
            "{:.2} CPU ms, {:.0} SQL statements, {:.1} fsyncs of the stores",
            self.cpu_seconds * 1_000.0 / count,
            self.statements / count,
            self.fsyncs / count
        )
    }
}

/// A load's report, and what the system spent meanwhile. A load finds its people first and reads the books afterwards; what that costs is seen by
/// `nothing`, the same load with nothing in it, and taken off.
fn cost(up: &Child, gateway: &str, call: Call<'_>, load: &[&str], nothing: &[&str]) -> Result<(Json, Cost), String> {
    let spend = |load: &[&str]| -> Result<(String, Cost), String> {
        let (cpu, before) = (cpu_seconds(up.id()), counters(gateway)?);
        let told = call(load)?;
        let (cpu_seconds, after) = (cpu_seconds(up.id()) - cpu, counters(gateway)?);
        let spent = |name: &str| after.get(name).unwrap_or(&0.0) - before.get(name).unwrap_or(&0.0);
        Ok((told, Cost { cpu_seconds, statements: spent("store_statements"), fsyncs: spent("store_commits") }))
    };
    let (_, idle) = spend(nothing)?;
    let (told, all) = spend(load)?;
    let cost = Cost {
        cpu_seconds: all.cpu_seconds - idle.cpu_seconds,
        statements: all.statements - idle.statements,
        fsyncs: all.fsyncs - idle.fsyncs,
    };
    Ok((serde_json::from_str(&told).map_err(|error| error.to_string())?, cost))
}

/// The release build, wherever that is put.
#[expect(clippy::disallowed_methods, reason = "a tool may ask where the build is")]
pub fn binary() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into())).join("release/crashcart")
}

/// Sums over all services of the metrics that tell what the stores did.
pub fn counters(gateway: &str) -> Result<BTreeMap<String, f64>, String> {
    let address = gateway.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).map_err(|error| error.to_string())?;
    std::io::Write::write_all(&mut stream, format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())
        .map_err(|error| error.to_string())?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).map_err(|error| error.to_string())?;
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("store_")) {
        if let (Some(name), Some(value)) = (line.split('{').next(), line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok())) {
            *sums.entry(name.to_owned()).or_insert(0.0) += value;
        }
    }
    Ok(sums)
}

/// Seconds of both kinds of CPU time, by the system's accounting.
pub fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

pub fn resident_mb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[expect(clippy::disallowed_methods, reason = "a tool outside of the system, by the machine's clock")]
pub fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a tool outside of the system, by the machine's clock")]
fn pause(seconds: u64) {
    std::thread::sleep(std::time::Duration::from_secs(seconds));
}

pub fn stop(up: &mut Child) {
    // Ctrl-C, as a user would; then until it has come to rest.
    drop(Command::new("kill").args(["-INT", &up.id().to_string()]).status());
    drop(up.wait());
}
