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
            let all: serde_json::Map<_, _> = settings
                .sections()
                .filter_map(|name| Some((name.to_owned(), settings.section::<serde_json::Value>(name).ok()?)))
                .map(|(name, mut section)| {
                    mask(&mut section);
                    (name, section)
                })
                .collect();
            output::json(&all);
        } else {
            anstream::print!("{}", settings.printable());
        }
        Ok(output::OK)
    }
}

fn mask(section: &mut serde_json::Value) {
    for (key, value) in section.as_object_mut().into_iter().flatten() {
        let secret = ["_secret", "_password", "_token", "_key"].iter().any(|end| key.ends_with(end));
        if secret && value.as_str().is_some_and(|text| !text.is_empty()) {
            *value = "[secret]".into();
        }
    }
}
