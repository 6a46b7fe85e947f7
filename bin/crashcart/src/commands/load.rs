//! `crashcart load`: buyers by the thousand, and what they saw. Three workloads: whole checkouts (here), a flash sale ([`sale`]), and buyers
//! and sellers on one market ([`market`]).

mod market;
mod sale;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::{Args, ValueEnum};
use load::{Arrivals, ClosedLoop, Cycle, Load as Loading, Mix, OpenLoop, Until};
use platform::{Clock, Tasks};

use crate::{
    cli::Common,
    commands::checkout::directory,
    output::{self, Failure, Outcome},
    remote::Where,
};

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Load {
    /// What is done
    #[arg(long, value_enum, default_value_t)]
    workload: Workload,
    /// checkout: journeys that begin each second (open loop: latency counts from the moment a buyer was meant to come) [default: 20]
    #[arg(long)]
    rate: Option<f64>,
    /// So many people at a time. checkout: instead of --rate, they come again as soon as they are done (closed loop); sale: each comes
    /// once [default: 1000]; market: each does one operation after the other [default: 32]
    #[arg(long)]
    shoppers: Option<u32>,
    /// checkout, market: for how long [default: 30]
    #[arg(long)]
    seconds: Option<u64>,
    /// sale: how many units there are [default: 100]
    #[arg(long)]
    units: Option<u32>,
    /// sale: the unit lies in every cart before the sale opens, so that the time begins with the checkout
    #[arg(long)]
    in_cart: bool,
    /// market: how many products there are, ten to a seller; those that are missing are made first [default: 1000]
    #[arg(long)]
    products: Option<u32>,
    /// market: how products are chosen [default: uniform]
    #[arg(long, value_enum)]
    choice: Option<Choice>,
    /// checkout: everybody buys and every payment goes through, to measure the machine and not people
    #[arg(long)]
    bench: bool,
    /// checkout: the share of carts that are left standing
    #[arg(long)]
    abandoned: Option<f64>,
    /// checkout: days and weeks; a day of demand takes so many seconds
    #[arg(long, value_name = "SECONDS")]
    day: Option<f64>,
    /// checkout: buyers come at even intervals instead of by chance
    #[arg(long)]
    even: bool,
    /// Who does what; the same number is the same crowd
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    at: Where,
}

const EXAMPLES: &str = "Example:
  crashcart load --rate 50 --seconds 60              buyers come at 50 a second, whether it keeps up
  crashcart load --shoppers 32 --seconds 20 --bench  32 shoppers, again and again, who all buy
  crashcart load --workload sale                     1,000 want one of 100 units, all at once
  crashcart load --workload market --choice zipf     buyers and sellers on the same products

sale: what was sold, and that nothing is sold twice, confirmed without money, paid for nothing
or lost, is read from the audit exports of the system; 0 when just the units there were are sold
and all four counters are 0, else 1.

market: the mix of the Online Marketplace benchmark, 30 checkouts to 5 looks at a seller's
dashboard, 3 updates of a price and 2 of a product. Its 60 updates of deliveries are left out: no
service delivers yet. No service knows sellers either: a dashboard is a search for the seller's
ten products, with the price and the stock (on hand, held, sold) of each.";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Buyers, each from an empty cart to an order that has settled
    #[default]
    Checkout,
    /// A flash sale: everybody wants one unit of the same thing at once
    Sale,
    /// Buyers and sellers: checkouts, dashboards, updates of prices and products
    Market,
}

impl Workload {
    const fn name(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Sale => "sale",
            Self::Market => "market",
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// All alike
    Uniform,
    /// A few very often, most hardly ever (Zipf, exponent 1.1)
    Zipf,
}

impl Load {
    pub async fn run(self, common: &Common) -> Outcome {
        self.must_fit()?;
        match self.workload {
            Workload::Checkout => self.check_out(common).await,
            Workload::Sale => sale::run(self, common).await,
            Workload::Market => market::run(self, common).await,
        }
    }

    /// An option that another workload has would be passed over in silence.
    fn must_fit(&self) -> Result<(), Failure> {
        use Workload::{Checkout, Market, Sale};
        let given: [(&str, bool, &[Workload]); 9] = [
            ("--rate", self.rate.is_some(), &[Checkout]),
            ("--seconds", self.seconds.is_some(), &[Checkout, Market]),
            ("--units", self.units.is_some(), &[Sale]),
            ("--in-cart", self.in_cart, &[Sale]),
            ("--products", self.products.is_some(), &[Market]),
            ("--choice", self.choice.is_some(), &[Market]),
            ("--bench", self.bench, &[Checkout]),
            ("--abandoned, --day", self.abandoned.is_some() || self.day.is_some(), &[Checkout]),
            ("--even", self.even, &[Checkout]),
        ];
        match given.iter().find(|(_, is_given, of)| *is_given && !of.contains(&self.workload)) {
            Some((option, _, of)) => {
                let of: Vec<&str> = of.iter().map(|workload| workload.name()).collect();
                let (of, own) = (of.join(" or "), self.workload.name());
                Err(Failure::usage(format!("{option} is of --workload {of}, and this is {own}; leave it out, or name the workload")))
            }
            None => Ok(()),
        }
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(30))
    }

    async fn check_out(self, common: &Common) -> Outcome {
        let gateway = self.at.gateway(common);
        let directory = directory(&gateway, 1.0).await?;
        let clock = Clock::real();
        let tasks = Tasks::new("load", clock);
        let mut mix = if self.bench { Mix::bench() } else { Mix::default() };
        if let Some(share) = self.abandoned {
            mix.abandoned = share;
        }
        let shop = Arc::new(gateway.shop()?);
        let duration = self.duration();
        let bar = output::bar(duration.as_secs(), "");
        let (shown, begun, ended) = (bar.clone(), clock.now(), AtomicU64::new(0));
        let load =
            Loading::new(shop, &directory, mix, self.seed, clock, tasks.clone()).map_err(Failure::usage)?.watched_by(Arc::new(move |_| {
                shown.set_message(format!("{} journeys", ended.fetch_add(1, Ordering::Relaxed) + 1));
                shown.set_position(clock.now().since(begun).as_secs());
            }));
        let report = match self.shoppers {
            Some(shoppers) => load.closed_loop(ClosedLoop { shoppers, until: Until::Passed(duration) }).await,
            None => {
                let mut plan = OpenLoop::new(self.rate.unwrap_or(20.0), duration);
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
