//! `crashcart up`: the whole system in this process, or some of its services, until Ctrl-C.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use lab::{
    invariants::{Breach, Grace},
    target::Remote,
    watch::{self, Flag},
};
use platform::{Clock, telemetry::logs};

use crate::{
    cli::Common,
    host::{Host, Plan},
    output::{self, Failure, Outcome},
    parts::{self, Parts},
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart up --data shop --port 8080\n  crashcart up --port 0 --json     free ports, told as one line of JSON\n  crashcart up --check             and every invariant, each second\n  crashcart --config shop.toml up --service payment --admin-port 8199 --data payment\n\nA process that has some services finds the others by the settings [calls] and [admins]; all of\nthem need one platform.signing_secret, Kafka and a schema registry (docs/guides/processes.md).\nUsual ports: 8080 the gateway, 8101 to 8108 the services as --service lists them, 8099 the admin\nlistener. A service's port has its API, /health/ready, /metrics, /openapi.json and /docs."
)]
pub struct Up {
    /// Where everything is stored; made when it is not there
    #[arg(long, value_name = "DIR", default_value = "crashcart-data")]
    data: PathBuf,
    /// What this process has of the system; may be given more than once. Everything when left out
    #[arg(long = "service", value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(parts::names()))]
    services: Vec<String>,
    /// The gateway's port, or, in a process without it, that of its first service; 0 takes free ports
    /// for everything
    #[arg(long)]
    port: Option<u16>,
    /// The admin listener's port, for several processes on one machine
    #[arg(long)]
    admin_port: Option<u16>,
    /// The address to listen on; with another than loopback requests need a token (auth = "jwt")
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// Check every invariant as it runs, every so many seconds, and tell each row that breaks one as soon as it is seen (on stderr; with
    /// --json a line of JSON each). It reads everything each time: for a system of some thousands of orders
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    check: Option<u64>,
}

impl Up {
    pub async fn run(self, common: &Common) -> Outcome {
        let settings = common.settings()?;
        logs::init(&settings.checked("logs").map_err(Failure::usage)?, Clock::real()).map_err(Failure::failed)?;
        let started = Clock::real().now();
        // Told before anything starts: a signal that comes early is not lost.
        let mut signals = Signals::listen().map_err(|error| Failure::failed(format!("signals cannot be heard: {error}")))?;
        let parts = Parts::named(&self.services, &settings).map_err(Failure::usage)?;
        let plan = Plan { parts, ip: self.listen, port: self.port, admin_port: self.admin_port };
        let host = Host::start(settings, &self.data, plan).await.map_err(Failure::usage)?;
        let took = Clock::real().now().since(started);
        if common.json {
            output::json(&host.addresses);
        } else {
            show(&host, took.as_secs_f64());
        }
        let broken = match self.check {
            None => {
                signals.wait().await;
                0
            }
            Some(seconds) => check(&host, Duration::from_secs(seconds), signals.wait(), common.json).await?,
        };
        if !common.json {
            anstream::println!("\n stopping: requests under way finish …");
        }
        if host.stop().await {
            Ok(if broken == 0 { output::OK } else { output::FAILED })
        } else {
            Err(Failure::failed("something did not finish in time and was ended; what was answered is stored all the same"))
        }
    }
}

/// Looks at the system from outside, as `verify` does, until it is asked to stop; says how many rows broke an invariant.
async fn check(host: &Host, every: Duration, stop: impl Future<Output = ()>, as_json: bool) -> Result<usize, Failure> {
    let addresses = &host.addresses;
    let remote = Remote::new(addresses.gateway.as_deref().unwrap_or(&addresses.admin), Some((&addresses.admin, &addresses.admin_token)))
        .map_err(Failure::failed)?;
    let tell = |flag: &Flag| {
        if as_json {
            anstream::eprintln!("{}", serde_json::to_string(flag).unwrap_or_default());
        } else {
            let Breach { invariant, id, detail } = &flag.breach;
            anstream::eprintln!(" {} {invariant} ({}) {id}: {detail}", flag.at, invariant.name());
        }
    };
    let ((), flags) = watch::during(&remote, &Grace::default(), every, tell, stop).await.map_err(Failure::failed)?;
    Ok(flags.len())
}

fn show(host: &Host, seconds: f64) {
    let addresses = &host.addresses;
    anstream::println!("\n {} services ready in {seconds:.2} s\n", addresses.services.len());
    if let Some(gateway) = &addresses.gateway {
        anstream::println!("   gateway       {gateway}   (docs at {gateway}/docs)");
    }
    for (name, url) in &addresses.services {
        anstream::println!("   {name:<13} {url}");
    }
    anstream::println!("   admin         {}   token {}", addresses.admin, addresses.admin_token);
    anstream::println!("   data          {}", addresses.data.display());
    anstream::println!(
        "\n next: crashcart seed        the data set\n       crashcart checkout    an order, end to end\n\n Ctrl-C stops everything."
    );
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
