//! A schema registry that speaks Confluent's API. Confluent's own is not on Maven Central; Apicurio's is, and the last line of it that is
//! published there as something that runs is 2.6. It keeps its schemas in memory.

use std::process::Command;

use super::{
    Engine, ask,
    place::Place,
    source::{Source, java},
};

/// Where Confluent's API begins.
const API: &str = "/apis/ccompat/v7";

pub const ENGINE: Engine = Engine {
    name: "schema-registry",
    source: Source::Maven { folder: "schema-registry-2.6.13", artifacts: &["io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all"] },
    ports: 1,
    after: None,
    configure: |_| Ok(()),
    command,
    answers: |place| ask::http(place.port(), "GET", &format!("{API}/subjects"), "").map(drop),
    // Confluent's begins with this rule, Apicurio's with none.
    settle: |place| ask::http(place.port(), "PUT", &format!("{API}/config"), "{\"compatibility\": \"BACKWARD\"}").map(drop),
    settings: |place| vec![("schema_registry.url", format!("http://127.0.0.1:{}{API}", place.port()))],
    stop: "TERM",
};

fn command(place: &Place) -> Result<Command, String> {
    let mut command = Command::new(java()?);
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"]);
    command.arg(format!("-Dquarkus.http.port={}", place.port()));
    command.arg(format!("-Djava.io.tmpdir={}", place.folder.display()));
    command.arg("-jar").arg(place.program.join("apicurio-registry-app-2.6.13.Final-runner.jar"));
    Ok(command)
}
