//! `crashcart load`: buyers by the thousand, and what they saw.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Args;
use load::{Arrivals, ClosedLoop, Cycle, Load as Loading, Mix, OpenLoop, Until};
use platform::{Clock, Tasks};

use crate::{
    cli::Common,
    commands::checkout::directory,
    output::{self, Failure, Outcome},
    remote::Where,
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart load --rate 50 --seconds 60              buyers come at 50 a second, whether it keeps up\n  crashcart load --shoppers 32 --seconds 20 --bench  32 shoppers, again and again, who all buy"
)]
pub struct Load {
    /// Journeys that begin each second (open loop: latency counts from the moment a buyer was meant to come)
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Instead: so many shoppers who come again as soon as they are done (closed loop)
    #[arg(long)]
    shoppers: Option<u32>,
    /// For how long
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Everybody buys and every payment goes through, to measure the machine and not people
    #[arg(long)]
    bench: bool,
    /// The share of carts that are left standing
    #[arg(long)]
    abandoned: Option<f64>,
    /// Days and weeks: a day of demand takes so many seconds
    #[arg(long, value_name = "SECONDS")]
    day: Option<f64>,
    /// Buyers come at even intervals instead of by chance
    #[arg(long)]
    even: bool,
    /// Who buys what; the same number is the same crowd
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    at: Where,
}

impl Load {
    pub async fn run(self, common: &Common) -> Outcome {
        let gateway = self.at.gateway(common);
        let directory = directory(&gateway, 1.0).await?;
        let clock = Clock::real();
        let tasks = Tasks::new("load", clock);
        let mut mix = if self.bench { Mix::bench() } else { Mix::default() };
        if let Some(share) = self.abandoned {
            mix.abandoned = share;
        }
        let shop = Arc::new(gateway.shop()?);
        let duration = Duration::from_secs(self.seconds);
        let bar = output::bar(self.seconds, "");
        let (shown, begun, ended) = (bar.clone(), clock.now(), AtomicU64::new(0));
        let load =
            Loading::new(shop, &directory, mix, self.seed, clock, tasks.clone()).map_err(Failure::usage)?.watched_by(Arc::new(move |_| {
                shown.set_message(format!("{} journeys", ended.fetch_add(1, Ordering::Relaxed) + 1));
                shown.set_position(clock.now().since(begun).as_secs());
            }));
        let report = match self.shoppers {
            Some(shoppers) => load.closed_loop(ClosedLoop { shoppers, until: Until::Passed(duration) }).await,
            None => {
                let mut plan = OpenLoop::new(self.rate, duration);
                plan.cycle = self.day.map(|day_seconds| Cycle { day_seconds });
                if self.even {
                    plan.arrivals = Arrivals::Constant;
                }
                load.open_loop(&plan).await
            }
        }
        .map_err(Failure::usage)?;
        bar.finish_and_clear();
        tasks.drain(Duration::from_secs(5)).await;
        if common.json {
            output::json(&report);
        } else {
            anstream::println!("{report}");
        }
        Ok(output::OK)
    }
}
