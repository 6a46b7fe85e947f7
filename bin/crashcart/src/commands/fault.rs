//! `crashcart fault`: faults in a running system, over its admin listener.

use clap::{Args, Subcommand};
use http::Method;
use platform::{fault::POINTS, world::admin::FaultAt};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::{
    cli::Common,
    output::{self, Failure, Outcome},
    remote::Where,
};

#[derive(Args, Debug)]
pub struct Fault {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// What is set at the moment
    #[command(after_help = "Example:\n  crashcart fault list")]
    List {
        #[command(flatten)]
        at: Where,
    },
    /// Set a fault; it lifts itself after --for, or with `fault clear`
    #[command(
        after_help = "Example:\n  crashcart fault set call.psp delay --millis 3000 --share 0.2 --for 60\n  crashcart fault set bus.deliver duplicate --topic payment.authorized.v1\n  crashcart fault set clock.offset delay --millis 20000 --service order"
    )]
    Set {
        /// Where: call.SERVICE, bus.publish, bus.deliver, store.commit, blob.put, blob.get, clock.offset
        point: String,
        /// What happens there: delay, fail, drop, duplicate, reorder, hold, corrupt
        rule: String,
        /// Of what passes, the share that is hit
        #[arg(long, default_value_t = 1.0)]
        share: f64,
        /// How long a delay lasts; how far a clock is behind
        #[arg(long, default_value_t = 0)]
        millis: u64,
        /// Lift it after so many seconds
        #[arg(long = "for", value_name = "SECONDS")]
        for_seconds: Option<f64>,
        /// Only what this service calls, publishes, handles or stores
        #[arg(long)]
        service: Option<String>,
        /// Only this topic
        #[arg(long)]
        topic: Option<String>,
        /// Only this key: an aggregate's id, a correlation id
        #[arg(long)]
        key: Option<String>,
        /// Only this region
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        at: Where,
    },
    /// Lift the faults at a point, or all
    #[command(after_help = "Example:\n  crashcart fault clear call.psp\n  crashcart fault clear")]
    Clear {
        /// Which; all when left out
        point: Option<String>,
        #[command(flatten)]
        at: Where,
    },
}

#[derive(Deserialize)]
struct Listed {
    items: Vec<FaultAt>,
}

impl Fault {
    pub async fn run(self, common: &Common) -> Outcome {
        match self.what {
            What::List { at } => show(&at.ask_admin(Method::GET, "/lab/faults", None).await?.json()?, common),
            What::Set { point, rule, share, millis, for_seconds, service, topic, key, region, at } => {
                let mut scope = serde_json::Map::new();
                for (name, value) in [("service", service), ("topic", topic), ("key", key), ("region", region)] {
                    scope.extend(value.map(|value| (name.to_owned(), Json::String(value))));
                }
                let mut fault = json!({"rule": rule, "share": share, "millis": millis, "scope": scope});
                if let Some(seconds) = for_seconds {
                    fault["for"] = json!(seconds);
                }
                let answer = at.ask_admin(Method::PUT, &format!("/lab/faults/{point}"), Some(&fault)).await;
                let answer = answer
                    .map_err(|failure| Failure { message: format!("{} (points: {})", failure.message, POINTS.join(", ")), ..failure })?;
                show(&answer.json()?, common)
            }
            What::Clear { point, at } => {
                let path = point.map_or_else(|| "/lab/faults".to_owned(), |point| format!("/lab/faults/{point}"));
                let answer: Json = at.ask_admin(Method::DELETE, &path, None).await?.json()?;
                if common.json {
                    output::json(&answer);
                } else {
                    anstream::println!("lifted: {}", answer["cleared"]);
                }
                Ok(output::OK)
            }
        }
    }
}

fn show(listed: &Listed, common: &Common) -> Outcome {
    if common.json {
        output::json(&json!({"items": listed.items}));
    } else if listed.items.is_empty() {
        anstream::println!("no faults are set");
    } else {
        for at in &listed.items {
            let fault = &at.fault;
            let scope = serde_json::to_string(&fault.scope).unwrap_or_default();
            let ends = fault.for_seconds.map_or_else(|| "until cleared".to_owned(), |seconds| format!("for {seconds} s"));
            anstream::println!("{:<16} {:?} share {} millis {} scope {scope} {ends}", at.point, fault.rule, fault.share, fault.millis);
        }
    }
    Ok(output::OK)
}
