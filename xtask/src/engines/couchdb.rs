//! A server that speaks CouchDB's protocol. CouchDB itself is in none of the packages, PouchDB's server is; what the two do differently and the
//! code must bear stands in docs/guides/engines.md.

use std::process::Command;

use super::{
    Engine, ask, nothing_more,
    place::Place,
    source::{Source, tool},
};

pub const ENGINE: Engine = Engine {
    name: "couchdb",
    source: Source::Npm { folder: "pouchdb-server-4.2.0", package: "pouchdb-server@4.2.0", before: "2026-11-01" },
    ports: 1,
    after: None,
    configure: |place| std::fs::create_dir(place.file("data")).map_err(|error| error.to_string()),
    command,
    answers: |place| match ask::http(place.port(), "GET", "/", "")? {
        welcome if welcome.contains("4.2.0") => Ok(()),
        other => Err(format!("it answers {other}")),
    },
    settle: nothing_more,
    settings: |place| vec![("couchdb.url", format!("http://127.0.0.1:{}", place.port()))],
    stop: "TERM",
};

fn command(place: &Place) -> Result<Command, String> {
    let mut command = Command::new(tool("node", "nodejs")?);
    command.arg("--max-old-space-size=256").arg(place.program.join("node_modules/pouchdb-server/bin/pouchdb-server"));
    command.args(["--host", "127.0.0.1", "--port", &place.port().to_string(), "--no-color"]);
    command.arg("--dir").arg(place.file("data")).arg("--config").arg(place.file("config.json"));
    Ok(command)
}
