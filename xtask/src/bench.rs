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

#[expect(clippy::print_stdout, reason = "its result")]
fn measure(up: &Child, gateway: &str, call: &impl Fn(&[&str]) -> Result<String, String>) -> Result<(), String> {
    pause(5);
    println!("| resident, idle, nothing stored | {} MB |", resident_mb(up.id()));
    let (cpu, at) = (cpu_seconds(up.id()), now());
    pause(IDLE_SECONDS);
    println!("| CPU of a core, idle over {IDLE_SECONDS} s | {:.3} % |", 100.0 * (cpu_seconds(up.id()) - cpu) / (now() - at));
    let at = now();
    let seeded: Json = serde_json::from_str(&call(&["seed"])?).map_err(|error| error.to_string())?;
    let rows: u64 = seeded["kinds"].as_array().into_iter().flatten().filter_map(|kind| kind["planned"].as_u64()).sum();
    println!("| data set, {rows} rows through the APIs | {:.0} rows/s |", rows as f64 / (now() - at));
    for run in 1..=RUNS {
        // The load finds its people first; what that costs is not the checkouts'.
        call(&["load", "--shoppers", "1", "--seconds", "1", "--bench"])?;
        let (cpu, before) = (cpu_seconds(up.id()), counters(gateway)?);
        let report: Json = serde_json::from_str(&call(&[
            "load",
            "--shoppers",
            "32",
            "--seconds",
            &SECONDS.to_string(),
            "--bench",
            "--seed",
            &run.to_string(),
        ])?)
        .map_err(|error| error.to_string())?;
        let (cpu, after) = (cpu_seconds(up.id()) - cpu, counters(gateway)?);
        let orders = report["orders"].as_f64().unwrap_or(0.0).max(1.0);
        let per = |name: &str| (after.get(name).unwrap_or(&0.0) - before.get(name).unwrap_or(&0.0)) / orders;
        let millis = |path: &str, what: &str| report[path][what].as_f64().unwrap_or(0.0) / 1_000.0;
        println!(
            "| run {run}: whole checkouts, 32 shoppers | {:.0} orders/s; answered p50 {:.1} ms, p99 {:.1} ms; settled p50 {:.1} ms, p99 {:.1} ms; \
             {:.2} CPU ms, {:.0} SQL statements, {:.1} fsyncs of the stores per order |",
            report["ordersPerSecond"].as_f64().unwrap_or(0.0),
            millis("answered", "p50Micros"),
            millis("answered", "p99Micros"),
            millis("settled", "p50Micros"),
            millis("settled", "p99Micros"),
            cpu * 1_000.0 / orders,
            per("store_statements"),
            per("store_commits"),
        );
    }
    println!("| resident afterwards | {} MB |", resident_mb(up.id()));
    call(&["verify"]).map_err(|error| format!("an invariant is broken, so there is no result: {error}"))?;
    println!("| every invariant | holds |");
    Ok(())
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
