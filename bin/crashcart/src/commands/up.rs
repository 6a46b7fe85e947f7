//! `crashcart up`: the whole system in this process, until Ctrl-C.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use lab::{
    invariants::{Breach, Grace},
    target::Remote,
    watch::{self, Flag},
};
use platform::{Clock, telemetry::logs};

use crate::{
    cli::Common,
    host::{GATEWAY_PORT, Host},
    output::{self, Failure, Outcome},
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart up --data shop --port 8080\n  crashcart up --port 0 --json     free ports, told as one line of JSON\n  crashcart up --check             and every invariant, each second"
)]
pub struct Up {
    /// Where everything is stored; made when it is not there
    #[arg(long, value_name = "DIR", default_value = "crashcart-data")]
    data: PathBuf,
    /// The gateway's port; 0 takes free ports for everything
    #[arg(long, default_value_t = GATEWAY_PORT)]
    port: u16,
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
        let host = Host::start(settings, &self.data, self.port).await.map_err(Failure::usage)?;
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
    let remote = Remote::new(&addresses.gateway, Some((&addresses.admin, &addresses.admin_token))).map_err(Failure::failed)?;
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
    anstream::println!("   gateway       {}   (docs at {}/docs)", addresses.gateway, addresses.gateway);
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
