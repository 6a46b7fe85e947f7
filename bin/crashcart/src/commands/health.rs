//! `crashcart health`: whether a gateway or a service is ready, as an exit code: what a container's health check needs, without another
//! program in its image.

use std::time::Duration;

use clap::Args;
use serde_json::Value as Json;

use crate::{
    cli::Common,
    host::GATEWAY_PORT,
    output::{self, Failure, Outcome},
};

/// Who is asked this often has no use for an answer that comes later.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart health\n  crashcart health http://127.0.0.1:8106\n\nExit: 0 when it is ready, 1 when it is not or does not answer."
)]
pub struct Health {
    /// Where it listens
    #[arg(value_name = "URL", default_value_t = format!("http://127.0.0.1:{GATEWAY_PORT}"))]
    url: String,
}

impl Health {
    pub async fn run(self, common: &Common) -> Outcome {
        let url = format!("{}/health/ready", self.url.trim_end_matches('/'));
        let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(Failure::failed)?;
        let silent = |error: reqwest::Error| Failure::failed(format!("{url} does not answer: {}", platform::with_causes(&error)));
        let response = client.get(&url).send().await.map_err(silent)?;
        let is_ready = response.status().is_success();
        let told: Json = response.json().await.map_err(silent)?;
        if common.json {
            output::json(&told);
        } else {
            anstream::println!("{told}");
        }
        Ok(if is_ready { output::OK } else { output::FAILED })
    }
}
