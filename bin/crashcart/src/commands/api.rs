//! `crashcart api export`: the OpenAPI document of every service, the AsyncAPI document of the events, and the table of who may call what,
//! made from the code. The files in `docs/api` are made by this command; a test fails when they differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use platform::{
    auth::{
        Role,
        access::{Access, TABLE},
    },
    world::World,
};

use crate::{
    cli::Common,
    output::{self, Failure, Outcome},
    registry::{SERVICES, SIMULATION},
};

#[derive(Args, Debug)]
pub struct Api {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Write SERVICE.yaml (OpenAPI) for each service, asyncapi.yaml for the events, access.md for the roles
    #[command(after_help = "Example:\n  crashcart api export --to docs/api")]
    Export {
        /// The folder
        #[arg(long, value_name = "DIR", default_value = "docs/api")]
        to: PathBuf,
    },
}

impl Api {
    pub fn run(self, common: &Common) -> Outcome {
        let What::Export { to } = self.what;
        let told = |error: std::io::Error| Failure::failed(format!("{} cannot be written: {error}", to.display()));
        std::fs::create_dir_all(&to).map_err(told)?;
        let documents = documents()?;
        for (name, text) in &documents {
            std::fs::write(to.join(name), text).map_err(told)?;
        }
        if common.json {
            output::json(&serde_json::json!({"folder": to, "files": documents.keys().collect::<Vec<_>>()}));
        } else {
            anstream::println!("{} documents in {}", documents.len(), to.display());
        }
        Ok(output::OK)
    }
}

/// Who may call what, where tokens are asked for: every endpoint with every role, as the code decides it.
fn access_table(world: &World) -> Result<String, Failure> {
    let access = Access::parse(TABLE).map_err(Failure::failed)?;
    let roles = [Role::Customer, Role::Agent, Role::Supervisor, Role::Analyst, Role::Operator, Role::Service];
    let mut text =
        "# Who may call what\nWhere `platform.auth` is `jwt`. Made from `config/access.toml` by `make docs`; every cell is tested.\n"
            .to_owned();
    for manifest in SERVICES {
        let document = world.openapi(manifest.name).and_then(|document| serde_json::to_value(document).ok()).unwrap_or_default();
        text +=
            &format!("\n## {}\n| endpoint | no token | customer | agent | supervisor | analyst | operator | service |\n", manifest.name);
        text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
        for (route, methods) in document["paths"].as_object().into_iter().flatten() {
            for name in methods.as_object().into_iter().flatten().map(|(name, _)| name.to_uppercase()) {
                let method: http::Method = name.parse().map_err(|_| Failure::failed(format!("{name} is no method")))?;
                let open = access.is_open(&method, route);
                let cell = |may: bool| if may { " yes |" } else { " |" };
                let cells: String = roles.iter().map(|role| cell(access.admits(&method, route, &BTreeSet::from([*role])))).collect();
                text += &format!("| `{name} {route}` |{}{cells}\n", cell(open));
            }
        }
    }
    Ok(text)
}

/// Every document by its file name.
pub fn documents() -> Result<BTreeMap<String, String>, Failure> {
    let made = SIMULATION.run(1, &[], async |target| {
        let world = &target.world;
        let mut files: BTreeMap<String, String> =
            SERVICES.iter().filter_map(|manifest| Some((format!("{}.yaml", manifest.name), world.openapi_yaml(manifest.name)?))).collect();
        files.insert("asyncapi.yaml".to_owned(), world.asyncapi_yaml());
        files.insert("access.md".to_owned(), access_table(world)?);
        Ok(files)
    });
    made.map_err(Failure::failed)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_refers_to_is_in_it() {
        for (name, text) in documents().unwrap() {
            for reference in text.split("#/components/schemas/").skip(1) {
                let schema: String = reference.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
                assert!(text.contains(&format!("\n    {schema}:\n")), "{name} refers to {schema}, which is not there");
            }
        }
    }

    #[test]
    fn the_documents_in_docs_are_those_of_the_code() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api"));
        let made = documents().unwrap();
        for (name, text) in &made {
            let stored = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(stored == *text, "docs/api/{name} is not what the code says; run `cargo run -- api export` and look at the difference");
        }
        let stored = std::fs::read_dir(folder).unwrap().flatten().count();
        assert_eq!(stored, made.len(), "docs/api has a file that no service makes");
    }
}
