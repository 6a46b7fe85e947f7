//! `crashcart settings`: every setting, its value and where it comes from. Secrets are masked.

use clap::Args;

use crate::{
    cli::Common,
    output::{self, Outcome},
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart settings\n  CRASHCART_INVENTORY__RESERVATION_TTL_SECONDS=120 crashcart settings --config shop.toml"
)]
pub struct Show {}

impl Show {
    pub fn run(self, common: &Common) -> Outcome {
        let settings = common.settings()?;
        if common.json {
            let all: serde_json::Map<_, _> =
                settings.sections().filter_map(|name| Some((name.to_owned(), settings.shown_section(name)?))).collect();
            output::json(&all);
        } else {
            anstream::print!("{}", settings.printable());
        }
        Ok(output::OK)
    }
}
