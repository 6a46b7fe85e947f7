//! `crashcart crash`: the whole system in a process of its own, killed again and again at moments that a seed draws, while shoppers use it;
//! then what it acknowledged is held against what it has. The run can be gone on with: system and record stay in the folder.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::Args;
use lab::{
    crash::{self, Checked, Fate, Shared, judge::Finding, record::Record},
    target::Remote,
};
use platform::Clock;
use serde::Serialize;
use serde_json::json;

use crate::{
    cli::Common,
    host::Addresses,
    output::{self, Failure, Outcome},
};

/// After how many kills everything is looked at; and at the end.
const CHECK_EVERY: u32 = 25;
/// A start that takes longer has failed.
const START_PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(2);

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart crash --kills 100 --data crash-data\n  crashcart crash --kills 10000 --data crash-data --resume     goes on from 100\n\nExit: 0 when nothing that was acknowledged is lost and nothing was done twice, 1 when something is."
)]
pub struct Crash {
    /// How often the system is killed, all in all
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    kills: u32,
    /// When it is killed, and what the shoppers do
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many use it at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    shoppers: u32,
    /// How long it lives at most between two kills
    #[arg(long, default_value_t = 2_000, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(100..=600_000))]
    longest_life: u64,
    /// Where the system and the record of its answers are kept
    #[arg(long, value_name = "DIR", default_value = "crashcart-crash")]
    data: PathBuf,
    /// Go on with what an earlier run left there; its kills count
    #[arg(long)]
    resume: bool,
    /// The program that is started and killed; this one when left out
    #[arg(long, value_name = "FILE", hide = true)]
    program: Option<PathBuf>,
}

/// What a run tells.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    holds: bool,
    seed: u64,
    kills: u32,
    kills_in_start: u32,
    acknowledged: Acknowledged,
    /// Requests without an answer that were sent again.
    repeated: u64,
    restart_millis: Spread,
    /// From the start of the process to its first acknowledged order.
    first_order_millis: Spread,
    findings: Vec<Finding>,
    violations: serde_json::Value,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Acknowledged {
    orders: u64,
    cancellations: u64,
    refunds: u64,
    movements: u64,
    captures: u64,
}

#[derive(Serialize)]
struct Spread {
    count: usize,
    p50: u64,
    p99: u64,
    max: u64,
}

impl Spread {
    fn of(mut millis: Vec<u64>) -> Self {
        millis.sort_unstable();
        let at = |share: usize| millis.get((millis.len() * share / 100).min(millis.len().saturating_sub(1))).copied().unwrap_or(0);
        Self { count: millis.len(), p50: at(50), p99: at(99), max: millis.last().copied().unwrap_or(0) }
    }
}

impl Crash {
    pub async fn run(self, common: &Common) -> Outcome {
        let shared = Shared::new(self.record()?);
        let program = match self.program.clone() {
            Some(program) => program,
            None => std::env::current_exe().map_err(|error| Failure::failed(format!("this program cannot be found: {error}")))?,
        };
        let stage = Stage { program, folder: self.data.clone(), clock: Clock::real() };
        let bar = output::bar(self.kills.into(), "kills");
        let (mut restarts, mut first_orders, mut findings) = (Vec::new(), Vec::new(), Vec::new());
        let checked = loop {
            let kills = shared.record().kills();
            bar.set_position(kills.into());
            if kills >= self.kills || (kills > 0 && kills.is_multiple_of(CHECK_EVERY)) {
                let checked = self.check(&stage, &shared, kills).await?;
                if kills >= self.kills || !checked.holds() || !findings.is_empty() {
                    break checked;
                }
            }
            let life = self.live(&stage, &shared, kills).await?;
            restarts.extend(life.ready_millis);
            first_orders.extend(life.first_order_millis);
            findings.extend(life.findings);
        };
        bar.finish_and_clear();
        findings.extend(checked.judged.findings.iter().cloned());
        let record = shared.record();
        let judged = &checked.judged;
        let told = Told {
            holds: findings.is_empty() && checked.breaches.is_empty(),
            seed: self.seed,
            kills: record.kills(),
            kills_in_start: record.kills_in_start(),
            acknowledged: Acknowledged {
                orders: judged.orders,
                cancellations: judged.cancellations,
                refunds: judged.refunds,
                movements: judged.movements,
                captures: judged.captures,
            },
            repeated: record.repeats(),
            restart_millis: Spread::of(restarts),
            first_order_millis: Spread::of(first_orders),
            findings,
            violations: json!(checked.breaches),
        };
        if common.json {
            output::json(&told);
        } else {
            show(&told);
        }
        Ok(if told.holds { output::OK } else { output::FAILED })
    }

    fn record(&self) -> Result<Record, Failure> {
        let wrong = |error: std::io::Error| Failure::usage(format!("{} cannot be used: {error}", self.data.display()));
        let path = self.data.join("record.ndjson");
        if path.exists() && !self.resume {
            return Err(Failure::usage(format!(
                "{} holds an earlier run; go on with it with --resume, or name another folder with --data",
                self.data.display()
            )));
        }
        std::fs::create_dir_all(&self.data).map_err(wrong)?;
        Record::open(&path).map_err(wrong)
    }

    /// One life, from the start of the process to its kill.
    async fn live(&self, stage: &Stage, shared: &Shared, life: u32) -> Result<Life, Failure> {
        let mut system = stage.start()?;
        let started = stage.clock.now();
        let since = || u64::try_from(stage.clock.now().since(started).as_millis()).unwrap_or(u64::MAX);
        let after = match Fate::draw(self.seed, life, Duration::from_millis(self.longest_life)) {
            Fate::InStart(after) => {
                stage.clock.sleep(after).await;
                system.kill()?;
                shared.record().killed(true);
                return Ok(Life::default());
            }
            Fate::AtWork(after) => after,
        };
        let addresses = stage.ready(&mut system, life).await?;
        let ready_millis = since();
        let target = remote(&addresses)?;
        let before = shared.record().orders();
        let mut first_order_millis = None;
        let watching = async {
            let until = stage.clock.now().plus(after);
            while stage.clock.now() < until {
                if first_order_millis.is_none() && shared.record().orders() > before {
                    first_order_millis = Some(since());
                }
                stage.clock.sleep(LOOK).await;
            }
            system.kill()
        };
        let (killed, findings) = futures::join!(watching, crash::live(&target, shared, self.seed, life, self.shoppers));
        killed?;
        shared.record().killed(false);
        Ok(Life { ready_millis: Some(ready_millis), first_order_millis, findings })
    }

    /// Everything, at rest.
    async fn check(&self, stage: &Stage, shared: &Shared, life: u32) -> Result<Checked, Failure> {
        let mut system = stage.start()?;
        let addresses = stage.ready(&mut system, life).await?;
        let checked = crash::check(&remote(&addresses)?, shared, self.seed, life).await.map_err(Failure::failed)?;
        system.kill()?;
        Ok(checked)
    }
}

#[derive(Default)]
struct Life {
    ready_millis: Option<u64>,
    first_order_millis: Option<u64>,
    findings: Vec<Finding>,
}

fn remote(addresses: &Addresses) -> Result<Remote, Failure> {
    Remote::new(addresses.gateway.as_deref().unwrap_or_default(), Some((&addresses.admin, &addresses.admin_token))).map_err(Failure::failed)
}

/// Where the system is started.
struct Stage {
    program: PathBuf,
    folder: PathBuf,
    clock: Clock,
}

/// A running system; killed when dropped.
struct System {
    child: Child,
    /// What it prints when it is ready.
    told: PathBuf,
}

impl System {
    /// `SIGKILL`: it is given no moment to put anything in order.
    fn kill(&mut self) -> Result<(), Failure> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| Failure::failed(format!("the system cannot be killed: {error}")))
    }
}

impl Drop for System {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

impl Stage {
    fn start(&self) -> Result<System, Failure> {
        let wrong = |error: std::io::Error| Failure::failed(format!("{} cannot be started: {error}", self.program.display()));
        let told = self.folder.join("ready.json");
        let log = File::options().create(true).append(true).open(self.folder.join("system.log")).map_err(wrong)?;
        let child = Command::new(&self.program)
            .args(["up", "--port", "0", "--json", "--data"])
            .arg(self.folder.join("system"))
            .env("CRASHCART_LOGS__LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(File::create(&told).map_err(wrong)?)
            .stderr(log)
            .spawn()
            .map_err(wrong)?;
        Ok(System { child, told })
    }

    /// Waits until it says where it listens.
    async fn ready(&self, system: &mut System, life: u32) -> Result<Addresses, Failure> {
        let until = self.clock.now().plus(START_PATIENCE);
        loop {
            if let Some(addresses) = addresses(&system.told) {
                return Ok(addresses);
            }
            let is_over = !matches!(system.child.try_wait(), Ok(None));
            if is_over || self.clock.now() >= until {
                let log = self.folder.join("system.log");
                return Err(Failure::failed(format!("the system did not start again after kill {life}; {} says why", log.display())));
            }
            self.clock.sleep(LOOK).await;
        }
    }
}

fn addresses(told: &Path) -> Option<Addresses> {
    let text = std::fs::read_to_string(told).ok()?;
    serde_json::from_str(text.strip_suffix('\n')?).ok()
}

fn show(told: &Told) {
    let Acknowledged { orders, cancellations, refunds, movements, captures } = &told.acknowledged;
    anstream::println!("\n {} kills ({} of them in a start), seed {}", told.kills, told.kills_in_start, told.seed);
    anstream::println!(" acknowledged   {orders} orders, {cancellations} cancellations, {refunds} refunds, {movements} stock movements");
    anstream::println!(" at the PSP     {captures} captures");
    anstream::println!(" asked again    {} requests that had no answer", told.repeated);
    let Spread { count, p50, p99, max } = &told.restart_millis;
    anstream::println!(" ready again    p50 {p50} ms, p99 {p99} ms, at most {max} ms ({count} starts)");
    let Spread { p50, p99, max, .. } = &told.first_order_millis;
    anstream::println!(" first order    p50 {p50} ms, p99 {p99} ms, at most {max} ms after the start of the process\n");
    for finding in &told.findings {
        anstream::println!("   {}: {}", finding.wrong.as_str(), finding.detail);
    }
    if let Some(violations) = told.violations.as_array() {
        for violation in violations {
            anstream::println!("   {violation}");
        }
    }
    anstream::println!(
        " {}",
        if told.holds { "nothing lost, nothing twice, everything ended" } else { "NOT everything that was acknowledged holds" }
    );
}
