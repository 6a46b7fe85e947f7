//! `crashcart demo`: the main job, by itself. The whole system on embedded stores in a fresh folder, 200 orders over real HTTP, every
//! invariant; then the oversell incident on every rung, each with its twins, in virtual time. Exit 0 only if everything declared held.

use std::path::PathBuf;

use clap::Args;
use lab::{
    invariants::{Grace, Invariant},
    report,
    scenario::{self, Request},
    target::Remote,
    verify,
};
use load::{Ending, Outcome as Journey};
use order_api::OrderStatus;
use platform::{Chance, Clock, telemetry::logs};
use seed::{HttpShop, Manifest, Patient};
use serde_json::json;

use crate::{
    cli::{Common, runtime},
    commands::{checkout, scenario as scenarios},
    host::{Host, Plan},
    output::{self, Failure, Outcome},
    registry::SIMULATION,
    remote::Gateway,
};

const ORDERS: u64 = 200;
const SHOPPERS: u32 = 16;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  crashcart demo\n  crashcart demo --seed 43 --json")]
pub struct Demo {
    /// Another number is another day
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where everything is stored: a folder that is not there yet
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What the live part has shown.
struct Live {
    ready_seconds: f64,
    resident_mb: Option<u64>,
    services: usize,
    gateway: String,
    seeded: Manifest,
    seed_seconds: f64,
    journeys: Vec<Journey>,
    orders_seconds: f64,
    verified: Option<verify::Report>,
    events: usize,
}

impl Demo {
    pub fn run(self, common: &Common) -> Outcome {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => fresh_folder()?,
        };
        if data.exists() {
            return Err(Failure::usage(format!("{} is there already; the demo wants a fresh folder", data.display())));
        }
        if !common.json {
            anstream::println!("\n crashcart demo · seed {} · data in {}\n", self.seed, data.display());
        }
        let settings = common.settings()?.with("logs.level", "error").map_err(Failure::usage)?;
        logs::init(&settings.checked("logs").map_err(Failure::usage)?, Clock::real()).map_err(Failure::failed)?;
        let clock = Clock::real();
        let live = runtime()?.block_on(live(settings, &data, self.seed, common.json))?;
        let started = clock.now();
        let request = Request::new(scenario::find("oversell").map_err(Failure::failed)?, self.seed);
        let turning = output::spinner("the incident, on every rung, with its twins");
        let run = request.simulate(&SIMULATION).map_err(Failure::failed)?;
        turning.finish_and_clear();
        let wall = clock.now().since(started);
        let written = scenarios::write(&run, &data.join("incidents"))?;
        if common.json {
            output::json(&json!({
                "data": data,
                "readySeconds": live.ready_seconds,
                "residentMegabytes": live.resident_mb,
                "seed": live.seeded,
                "orders": live.journeys,
                "invariants": live.verified.as_ref().map(verify::Report::json),
                "events": live.events,
                "scenario": run.json(written.as_ref().map(|written| written.record.as_path()), wall),
            }));
        } else {
            anstream::println!();
            output::lines(&report::run(&run, written.as_ref(), wall));
            anstream::println!("\n next: crashcart up                               the system, live, to look around");
            anstream::println!("       crashcart scenario run oversell --seed {:<4} another day", self.seed + 1);
            anstream::println!("       crashcart scenario list                    what else can go wrong\n");
        }
        let settled = live.journeys.iter().all(|journey| matches!(journey.ending, Ending::Settled { .. }));
        let all_held = run.is_as_declared()
            && live.verified.as_ref().is_some_and(verify::Report::holds)
            && settled
            && live.journeys.len() as u64 == ORDERS;
        Ok(if all_held { output::OK } else { output::FAILED })
    }
}

/// A folder beside the working directory that nobody has used.
fn fresh_folder() -> Result<PathBuf, Failure> {
    let chance = Chance::real().map_err(|error| Failure::failed(error.to_string()))?;
    Ok(PathBuf::from(format!("crashcart-demo-{:04x}", chance.seed() & 0xffff)))
}

async fn live(settings: platform::Settings, data: &std::path::Path, seed: u64, quiet: bool) -> Result<Live, Failure> {
    let clock = Clock::real();
    let started = clock.now();
    let host = Host::start(settings, data, Plan::whole(0)).await.map_err(Failure::failed)?;
    let ready_seconds = clock.now().since(started).as_secs_f64();
    let gateway = host.addresses.gateway.clone().unwrap_or_default();
    let services = host.addresses.services.len();
    let mut live = Live {
        ready_seconds,
        resident_mb: resident_mb(),
        services,
        gateway: gateway.clone(),
        seeded: Manifest { seed, scale: 1.0, kinds: Vec::new() },
        seed_seconds: 0.0,
        journeys: Vec::new(),
        orders_seconds: 0.0,
        verified: None,
        events: 0,
    };
    say(quiet, || started_line(&live));
    let started = clock.now();
    let shop = Patient::new(HttpShop::new(&gateway).map_err(Failure::failed)?, clock);
    let bar = output::bar(0, "seeding");
    let seeded = seed::apply(&seed::plan(42, 1.0), &shop, 64, |progress| {
        bar.set_length(progress.planned);
        bar.set_position(progress.done);
    })
    .await
    .map_err(Failure::failed)?;
    bar.finish_and_clear();
    live.seed_seconds = clock.now().since(started).as_secs_f64();
    live.seeded = seeded.manifest;
    say(quiet, || seeded_line(&live));
    let started = clock.now();
    live.journeys = checkout::take(&Gateway { url: gateway.clone(), token: None }, &seeded.directory, ORDERS, seed, SHOPPERS).await?;
    live.orders_seconds = clock.now().since(started).as_secs_f64();
    say(quiet, || orders_lines(&live));
    let admin = (host.addresses.admin.as_str(), host.addresses.admin_token.as_str());
    let remote = Remote::new(&gateway, Some(admin)).map_err(Failure::failed)?;
    live.verified = Some(verify::verify(&remote, &Grace::default()).await.map_err(Failure::failed)?);
    live.events =
        host.world.bus().topics().iter().map(|topic| topic.partitions.iter().map(|part| part.end - part.start).sum::<u64>() as usize).sum();
    say(quiet, || verified_lines(&live));
    host.stop().await;
    Ok(live)
}

fn say(quiet: bool, lines: impl FnOnce() -> Vec<String>) {
    if !quiet {
        lines().iter().for_each(|line| anstream::println!("{line}"));
    }
}

/// What stands on the right ends in the last column.
fn line(mark: &str, text: &str, right: &str) -> String {
    let width = report::WIDTH.saturating_sub(3 + right.chars().count());
    format!(" {mark} {text:<width$}{right}")
}

fn started_line(live: &Live) -> Vec<String> {
    let memory = live.resident_mb.map(|megabytes| format!(", {megabytes} MB")).unwrap_or_default();
    let text = format!("{} services ready in {:.2} s{memory}", live.services, live.ready_seconds);
    vec![line("✓", &text, &format!("gateway {} (docs at /docs)", live.gateway))]
}

fn seeded_line(live: &Live) -> Vec<String> {
    let count = |kind: &str| live.seeded.kinds.iter().find(|counts| counts.kind.as_str() == kind).map_or(0, |counts| counts.planned);
    let text = format!(
        "seeded {} customers, {} products, {} prices, {} carts, stock in 3 warehouses",
        count("customers"),
        count("products"),
        count("prices"),
        count("carts")
    );
    vec![line("✓", &text, &format!("{:.1} s", live.seed_seconds))]
}

fn orders_lines(live: &Live) -> Vec<String> {
    let settled = |wanted: bool| {
        live.journeys
            .iter()
            .filter(|journey| matches!(&journey.ending, Ending::Settled { status, .. } if (*status == OrderStatus::Cancelled) == wanted))
            .count()
    };
    let (confirmed, cancelled) = (settled(false), settled(true));
    let other = live.journeys.len() - confirmed - cancelled;
    let mark = if other == 0 { "✓" } else { "✗" };
    let odd = if other == 0 { String::new() } else { format!(", {other} ended otherwise") };
    let text =
        format!("{} orders over HTTP, all settled: {confirmed} confirmed, {cancelled} declined and undone{odd}", live.journeys.len());
    let mut lines = vec![line(mark, &text, &format!("{:.1} s", live.orders_seconds))];
    if let Some(one) =
        live.journeys.iter().find(|journey| matches!(&journey.ending, Ending::Settled { status, .. } if *status != OrderStatus::Cancelled))
    {
        let (id, total) =
            (one.order_id.map(|id| id.to_string()).unwrap_or_default(), one.total.map(|total| total.to_string()).unwrap_or_default());
        lines.push(String::new());
        lines.push(format!("   one of them, order {id}, {total}"));
        lines.push(format!("     {}", checkout::journey(one)));
        lines.push(String::new());
    }
    lines
}

fn verified_lines(live: &Live) -> Vec<String> {
    let Some(verified) = &live.verified else { return Vec::new() };
    let count = |kind: &str| verified.facts.iter().find(|(name, _)| *name == kind).map_or(0, |(_, count)| *count);
    if verified.holds() {
        let of = |state: &str| -> Vec<&str> {
            let all = Invariant::ALL.iter().filter(|invariant| verified.state(**invariant) == state);
            all.map(|invariant| invariant.as_str()).collect()
        };
        let text = format!(
            "{} invariants hold over {} orders, {} payments, {} holds, {} events; not checked: {}",
            of("held").len(),
            count("orders"),
            count("payments"),
            count("reservations"),
            live.events,
            of("unchecked").join(" ")
        );
        return vec![line("✓", &text, "")];
    }
    report::plain(&report::verified(verified, 5)).lines().map(str::to_owned).collect()
}

/// What the process has in memory, where the system tells.
fn resident_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}
