//! `cargo xtask bench growth [ORDERS]`: what an order costs among ten thousand others and among very many, on the same machine in the same minutes, and how soon
//! a system that was killed takes the first order again with very many stored. A shop sells for some seconds, its invariants are checked, and its stores
//! are grown from there ([`crate::grow`]).

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};

use crate::{
    grow::grow,
    system::{System, now},
};

/// How many orders the smaller of the two shops has.
const FEW: u64 = 10_000;
const RUNS: u64 = 3;
const SECONDS: u64 = 15;
const KILLS: usize = 30;

/// Prints a Markdown table on stdout.
#[expect(clippy::print_stdout, reason = "its result")]
pub fn run(many: u64) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("crashcart-growth-{}", std::process::id()));
    let (few, large) = (folder.join("few"), folder.join("many"));
    let sold = sell(&few)?;
    copy(&few, &large)?;
    println!("| figure | value |\n| --- | --- |");
    let millis = (now() * 1_000.0) as u64;
    for (shop, orders) in [(&few, FEW), (&large, many)] {
        let began = now();
        let rows = grow(shop, (orders / sold).saturating_sub(1), millis)?;
        println!("| {orders} orders | {rows} rows more in {:.0} s; {} MB of stores |", now() - began, megabytes(shop));
    }
    for run in 1..=RUNS {
        let cost = [measure(&few, run)?, measure(&large, run)?];
        println!(
            "| run {run}: CPU of the system per order, among {FEW} and among {many} | {:.2} and {:.2} ms: {:.2} ×; {:.0} and {:.0} statements; {} and {} MB resident |",
            cost[0].millis,
            cost[1].millis,
            cost[1].millis / cost[0].millis,
            cost[0].statements,
            cost[1].statements,
            cost[0].megabytes,
            cost[1].megabytes
        );
    }
    let mut starts = (0..KILLS).map(|_| start_after_kill(&large)).collect::<Result<Vec<_>, _>>()?;
    for (what, at) in [("ready", 0), ("first checkout answered", 1)] {
        starts.sort_by(|one, other| one[at].total_cmp(&other[at]));
        println!(
            "| {what} after a kill under load, from the start of the process, {KILLS} times | p50 {:.2} s, most {:.2} s |",
            starts[KILLS / 2][at],
            starts[KILLS - 1][at]
        );
    }
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())
}

/// A shop that has sold for a while and rests; every invariant holds. Says how many orders it has.
fn sell(data: &Path) -> Result<u64, String> {
    let system = System::start(data)?;
    system.report(&["seed"])?;
    system.report(&["load", "--shoppers", "32", "--seconds", &SECONDS.to_string(), "--bench"])?;
    system.verify()?;
    system.stop();
    let orders = rusqlite::Connection::open(data.join("order.db"))
        .and_then(|store| store.query_row("SELECT count(*) FROM orders", [], |row| row.get::<_, i64>(0)))
        .map_err(|error| error.to_string())?;
    u64::try_from(orders).ok().filter(|orders| *orders > 0).ok_or_else(|| "nothing was sold".to_owned())
}

struct Measured {
    /// Of CPU, both kinds, for an order.
    millis: f64,
    statements: f64,
    megabytes: u64,
}

fn measure(data: &Path, run: u64) -> Result<Measured, String> {
    let system = System::start(data)?;
    let (seconds, seed) = (SECONDS.to_string(), run.to_string());
    let (report, cost) = system.cost(
        &["load", "--shoppers", "32", "--seconds", &seconds, "--bench", "--seed", &seed],
        &["load", "--shoppers", "1", "--seconds", "0", "--bench"],
    )?;
    let orders = report["orders"].as_f64().unwrap_or(0.0).max(1.0);
    let measured =
        Measured { millis: cost.cpu_seconds * 1_000.0 / orders, statements: cost.statements / orders, megabytes: system.resident_mb() };
    system.stop();
    Ok(measured)
}

/// Kills a system that takes orders, starts it again, and says after how many seconds it was ready and had answered a checkout.
fn start_after_kill(data: &Path) -> Result<[f64; 2], String> {
    let system = System::start(data)?;
    let mut buyers = system.begin(&["load", "--shoppers", "8", "--seconds", "60", "--bench"])?;
    let sku = sku(data)?;
    // The twentieth order of somebody in particular: the others are well under way by then.
    for _ in 0..20 {
        checkout(&system.gateway, &sku)?;
    }
    system.kill();
    drop((buyers.kill(), buyers.wait()));
    let system = System::start(data)?;
    checkout(&system.gateway, &sku)?;
    let times = [system.ready, now() - system.began];
    system.stop();
    Ok(times)
}

/// Something that was sold before.
fn sku(data: &Path) -> Result<String, String> {
    rusqlite::Connection::open(data.join("cart.db"))
        .and_then(|store| store.query_row("SELECT sku FROM cart_items LIMIT 1", [], |row| row.get(0)))
        .map_err(|error| error.to_string())
}

/// A cart, a thing, the checkout; it is durable when this returns.
fn checkout(gateway: &str, sku: &str) -> Result<(), String> {
    let address = json!({"line1": "1 Market Street", "city": "Lyon", "postalCode": "69001", "country": "FR"});
    let cart = post(gateway, "/carts", "cart", &json!({"currency": "USD", "region": "US"}))?;
    let id = cart["id"].as_str().unwrap_or_default().to_owned();
    post(gateway, &format!("/carts/{id}/items"), "item", &json!({"sku": sku, "quantity": 1}))?;
    let paid = json!({"paymentMethod": {"type": "card", "token": "tok_ok"}, "shippingAddress": address});
    post(gateway, &format!("/carts/{id}/checkout"), &format!("checkout-{id}"), &paid).map(drop)
}

fn post(gateway: &str, path: &str, key: &str, body: &Json) -> Result<Json, String> {
    let told = |error: std::io::Error| format!("POST {path}: {error}");
    let body = body.to_string();
    let mut stream = TcpStream::connect(gateway).map_err(told)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {gateway}\r\nconnection: close\r\ncontent-type: application/json\r\nidempotency-key: {key}-{}\r\ncontent-length: {}\r\n\r\n",
        now().to_bits(),
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(told)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(told)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 2") {
        return Err(format!("POST {path}: {head} {body}"));
    }
    serde_json::from_str(body).map_err(|error| format!("POST {path}: {error}: {body}"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::create_dir_all(to).map_err(|error| error.to_string())?;
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.map_err(|error| error.to_string())?;
        let target: PathBuf = to.join(entry.path().strip_prefix(from).map_err(|error| error.to_string())?);
        let copied =
            if entry.file_type().is_dir() { std::fs::create_dir_all(&target) } else { std::fs::copy(entry.path(), &target).map(drop) };
        copied.map_err(|error| format!("{}: {error}", target.display()))?;
    }
    Ok(())
}

fn megabytes(folder: &Path) -> u64 {
    let sizes =
        walkdir::WalkDir::new(folder).into_iter().flatten().filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file);
    sizes.map(|file| file.len()).sum::<u64>() / 1_000_000
}
