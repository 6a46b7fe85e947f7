//! `crashcart token`: a token for the APIs, signed with the secret of a data folder.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use platform::{
    Chance, Clock,
    auth::{Keys, Role},
    world::{
        PlatformSettings,
        folder::{self, FolderError},
    },
};

use crate::{
    cli::Common,
    output::{self, Failure, Outcome},
};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  crashcart token --role OPERATOR --subject me --hours 8\n  curl -H \"Authorization: Bearer $(crashcart token --role OPERATOR)\" http://127.0.0.1:8080/customers"
)]
pub struct Token {
    /// A role it has; may be given more than once
    #[arg(long, required = true, value_parser = role)]
    role: Vec<Role>,
    /// Whose token it is
    #[arg(long, default_value = "operator")]
    subject: String,
    /// How long it is valid
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=720))]
    hours: u64,
    /// The data folder whose services are to take it
    #[arg(long, value_name = "DIR", default_value = "crashcart-data")]
    data: PathBuf,
}

fn role(text: &str) -> Result<Role, String> {
    serde_json::from_value(serde_json::Value::String(text.to_uppercase()))
        .map_err(|_| "no such role; there are CUSTOMER, AGENT, SUPERVISOR, ANALYST, OPERATOR, SERVICE".to_owned())
}

impl Token {
    pub fn run(self, common: &Common) -> Outcome {
        let roles: BTreeSet<Role> = self.role.into_iter().collect();
        let token = issue(common, &self.data, &self.subject, roles, Duration::from_secs(self.hours * 3600))?;
        if common.json {
            output::json(&serde_json::json!({"token": token, "expiresInSeconds": self.hours * 3600}));
        } else {
            anstream::println!("{token}");
        }
        Ok(output::OK)
    }
}

/// A token signed with the secret of the settings, or else of the data folder.
pub fn issue(common: &Common, data: &Path, subject: &str, roles: BTreeSet<Role>, life: Duration) -> Result<String, Failure> {
    let platform: PlatformSettings = common.settings()?.checked("platform").map_err(Failure::usage)?;
    let secret = if platform.signing_secret.is_empty() {
        if !data.join("LAYOUT").exists() {
            return Err(Failure::usage(format!(
                "{} is no data folder; start a system there first, or name it with --data",
                data.display()
            )));
        }
        // One that runs may be given tokens too; one of another version is left alone.
        match folder::look(data) {
            Ok(()) | Err(FolderError::InUse { .. }) => {}
            Err(error) => return Err(Failure::usage(error)),
        }
        let chance = Chance::real().map_err(|error| Failure::failed(error.to_string()))?;
        folder::secret(data, "signing.secret", chance).map_err(Failure::failed)?
    } else {
        platform::auth::Secret::new(&platform.signing_secret).map_err(Failure::usage)?
    };
    let keys = Keys::new(&secret, Clock::real()).map_err(Failure::usage)?;
    keys.issue(subject, roles, life).map_err(Failure::failed)
}
