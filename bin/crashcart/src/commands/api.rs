//! `crashcart api export`: the OpenAPI document of every service and the AsyncAPI document of the events, made from the code. The files
//! in `docs/api` are made by this command; a test fails when they differ.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, Subcommand};

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
    /// Write SERVICE.yaml (OpenAPI) for each service and asyncapi.yaml for the events
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

/// Every document by its file name.
pub fn documents() -> Result<BTreeMap<String, String>, Failure> {
    let made = SIMULATION.run(1, &[], async |target| {
        let world = &target.world;
        let mut files: BTreeMap<String, String> =
            SERVICES.iter().filter_map(|manifest| Some((format!("{}.yaml", manifest.name), world.openapi_yaml(manifest.name)?))).collect();
        files.insert("asyncapi.yaml".to_owned(), world.asyncapi_yaml());
        files
    });
    made.map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

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
