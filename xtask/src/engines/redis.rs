//! Redis, as a cache and nothing else: it keeps no file.

use std::process::Command;

use super::{Engine, ask, nothing_more, place::Place, source::Source};

pub const ENGINE: Engine = Engine {
    name: "redis",
    source: Source::Debian { packages: &["redis-server"], program: "redis-server", folders: &[] },
    ports: 1,
    after: None,
    configure,
    command,
    answers,
    settle: nothing_more,
    settings: |place| vec![("redis.url", format!("redis://default:{}@127.0.0.1:{}/0", place.password, place.port()))],
    stop: "TERM",
};

fn configure(place: &Place) -> Result<(), String> {
    let (port, password, folder) = (place.port(), &place.password, place.folder.display());
    let text = format!("bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\ndir \"{folder}\"\ndaemonize no\n");
    place.write("redis.conf", &text).map(drop)
}

fn command(place: &Place) -> Result<Command, String> {
    let mut command = Command::new(&place.program);
    command.arg(place.file("redis.conf"));
    Ok(command)
}

fn answers(place: &Place) -> Result<(), String> {
    let answer = ask::bytes(place.port(), format!("AUTH {}\r\nPING\r\n", place.password).as_bytes(), 12)?;
    if answer == b"+OK\r\n+PONG\r\n" { Ok(()) } else { Err(String::from_utf8_lossy(&answer).into_owned()) }
}
