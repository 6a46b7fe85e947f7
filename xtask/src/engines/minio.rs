//! MinIO, for what only a real store of objects has: tags, versions, life cycles. Built from its module, because no package has it; it is a program
//! that runs beside the tests, and nothing of it is linked into ours.

use std::process::Command;

use super::{Engine, ask, nothing_more, place::Place, source::Source};

pub const ENGINE: Engine = Engine {
    name: "minio",
    source: Source::Go {
        folder: "minio-20260212",
        package: "github.com/minio/minio",
        version: "v0.0.0-20260212201848-7aac2a2c5b7c",
        program: "minio",
        at_least: (1, 24),
    },
    ports: 1,
    after: None,
    configure: |_| Ok(()),
    command,
    answers: |place| ask::http(place.port(), "GET", "/minio/health/ready", "").map(drop),
    settle: nothing_more,
    settings: |place| {
        vec![
            ("s3.endpoint", format!("http://127.0.0.1:{}", place.port())),
            ("s3.region", "us-east-1".to_owned()),
            ("s3.access_key", "crashcart".to_owned()),
            ("s3.secret_key", place.password.clone()),
        ]
    },
    stop: "TERM",
};

fn command(place: &Place) -> Result<Command, String> {
    let mut command = Command::new(&place.program);
    command.args(["server", "--quiet", "--address", &format!("127.0.0.1:{}", place.port())]).arg(place.file("data"));
    command.env("MINIO_ROOT_USER", "crashcart").env("MINIO_ROOT_PASSWORD", &place.password);
    // Neither a page for people nor a question to the outside.
    command.env("MINIO_BROWSER", "off").env("MINIO_UPDATE", "off").env("HOME", &place.folder);
    Ok(command)
}
