//! PostgreSQL, from its own `initdb`: the package's cluster is the machine's and stays out of it. The log is written so that changes can be read
//! from it (`wal_level`), and fsync stays on: whoever measures a commit here measures a real one.

use std::process::Command;

use super::{
    Engine,
    place::{Place, command_as},
    source::{Source, run},
    tls,
};

const USER: &str = "postgres";

pub const ENGINE: Engine = Engine {
    name: "postgresql",
    source: Source::Debian { packages: &["postgresql"], program: "postgres", folders: &["/usr/lib/postgresql/*/bin"] },
    ports: 1,
    after: None,
    configure,
    command,
    answers: |place| ask(place, "SELECT 1"),
    settle: |place| ask(place, "CREATE DATABASE crashcart"),
    // It speaks TLS to who asks for it. Within this machine nobody need.
    settings: |place| {
        vec![("postgresql.url", format!("postgresql://crashcart:{}@127.0.0.1:{}/crashcart?sslmode=disable", place.password, place.port()))]
    },
    // A "fast" end: it waits for no client.
    stop: "INT",
};

fn configure(place: &Place) -> Result<(), String> {
    let data = place.folder_for("data", USER)?;
    let password = place.write("initial-password", &place.password)?;
    place.give(&password, USER)?;
    let mut initdb = command_as(place.program.with_file_name("initdb"), USER)?;
    initdb.current_dir(&place.folder).arg("--pgdata").arg(&data).arg(format!("--pwfile={}", password.display()));
    initdb.args(["--username=crashcart", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    run(&mut initdb, "initdb made no cluster")?;
    std::fs::remove_file(&password).map_err(|error| error.to_string())?;
    let [certificate, key] = tls::copy(place, USER)?;
    let text = format!(
        "listen_addresses = '127.0.0.1'\nport = {}\n# The name of a socket may be no longer than the system allows; the port is enough.\n\
         unix_socket_directories = ''\nwal_level = logical\nmax_connections = 200\ntimezone = 'UTC'\n\
         ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
        place.port(),
        certificate.display(),
        key.display()
    );
    let file = place.write("postgresql.conf", &text)?;
    place.give(&file, USER)
}

fn command(place: &Place) -> Result<Command, String> {
    let mut command = command_as(&place.program, USER)?;
    command.arg("-D").arg(place.file("data")).arg("-c").arg(format!("config_file={}", place.file("postgresql.conf").display()));
    Ok(command)
}

fn ask(place: &Place, statement: &str) -> Result<(), String> {
    let mut psql = Command::new(place.program.with_file_name("psql"));
    psql.env("PGPASSWORD", &place.password).env("PGCONNECT_TIMEOUT", "5").current_dir(&place.folder);
    psql.args(["--no-psqlrc", "--quiet", "--host=127.0.0.1", &format!("--port={}", place.port())]);
    psql.args(["--username=crashcart", "--dbname=postgres", "--command", statement]);
    run(&mut psql, statement)
}
