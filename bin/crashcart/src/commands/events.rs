//! `crashcart events`: what a running system announces, decoded.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use platform::Clock;
use serde_json::Value as Json;

use crate::{
    cli::Common,
    output::{self, Outcome},
    remote::Where,
};

#[derive(Args, Debug)]
pub struct Events {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Events as they come, until Ctrl-C
    #[command(
        after_help = "Example:\n  crashcart events tail --topic order.status.changed.v1\n  crashcart events tail --from-start --limit 20"
    )]
    Tail {
        /// Only this topic
        #[arg(long)]
        topic: Option<String>,
        /// Begin with the oldest, not with the next
        #[arg(long)]
        from_start: bool,
        /// End after so many
        #[arg(long)]
        limit: Option<u64>,
        #[command(flatten)]
        at: Where,
    },
    /// One event with its headers, by its id
    #[command(after_help = "Example:\n  crashcart events show 0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22")]
    Show {
        /// Its id, as `events tail` shows it with --json, or `ce_id` in its headers
        #[arg(value_name = "EVENT_ID")]
        id: String,
        #[command(flatten)]
        at: Where,
    },
}

const LOOK: Duration = Duration::from_millis(300);

impl Events {
    pub async fn run(self, common: &Common) -> Outcome {
        match self.what {
            What::Tail { topic, from_start, limit, at } => {
                let filter = topic.map(|topic| format!("&topic={topic}")).unwrap_or_default();
                let mut cursor = String::new();
                if !from_start {
                    cursor = page(&at, "&skip=true", &filter).await?.1;
                }
                let mut left = limit.unwrap_or(u64::MAX);
                loop {
                    let (events, next) = page(&at, &format!("&after={cursor}"), &filter).await?;
                    let quiet = events.is_empty();
                    for event in events {
                        line(&event, common);
                        left -= 1;
                        if left == 0 {
                            return Ok(output::OK);
                        }
                    }
                    cursor = next;
                    if quiet {
                        Clock::real().sleep(LOOK).await;
                    }
                }
            }
            What::Show { id, at } => {
                let event: Json = at.ask_admin(Method::GET, &format!("/lab/events/{id}"), None).await?.json()?;
                if common.json {
                    output::json(&event);
                } else {
                    anstream::println!("{}", serde_json::to_string_pretty(&event).unwrap_or_default());
                }
                Ok(output::OK)
            }
        }
    }
}

async fn page(at: &Where, place: &str, filter: &str) -> Result<(Vec<Json>, String), output::Failure> {
    let page: Json = at.ask_admin(Method::GET, &format!("/lab/events?limit=200{place}{filter}"), None).await?.json()?;
    let events = page["items"].as_array().cloned().unwrap_or_default();
    Ok((events, page["next"].as_str().unwrap_or_default().to_owned()))
}

fn line(event: &Json, common: &Common) {
    if common.json {
        output::json(event);
    } else {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        anstream::println!("{} {:<28} {} {}", text("at"), text("topic"), text("key"), event["data"]);
    }
}
