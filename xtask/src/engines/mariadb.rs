//! MariaDB, twice: a primary whose log holds rows with the names of their columns, so that changes can be read from it, and a replica that follows
//! it and refuses to be written, so that somebody who reads what is not there yet can be met.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Engine,
    place::{Place, command_as, pause},
    source::{Source, run},
    tls,
};

const USER: &str = "mysql";

pub const PRIMARY: Engine = Engine {
    name: "mariadb",
    source: SOURCE,
    ports: 1,
    after: None,
    configure: |place| {
        configure(place, "server-id = 1\nlog-bin = changes\nbinlog_format = ROW\nbinlog_row_image = FULL\nbinlog_row_metadata = FULL\n")
    },
    command,
    answers,
    settle: |place| {
        take_over(place, "")?;
        sql(place, "crashcart", "CREATE DATABASE crashcart").map(drop)
    },
    settings: |place| vec![("mariadb.url", url(place))],
    stop: "TERM",
};

pub const REPLICA: Engine = Engine {
    name: "mariadb-replica",
    source: SOURCE,
    ports: 1,
    after: Some("mariadb"),
    configure: |place| configure(place, "server-id = 2\nread_only = ON\nrelay-log = relayed\n"),
    command,
    answers,
    settle: follow,
    settings: |place| vec![("mariadb.replica_url", url(place))],
    stop: "TERM",
};

const SOURCE: Source = Source::Debian { packages: &["mariadb-server"], program: "mariadbd", folders: &[] };

fn url(place: &Place) -> String {
    // It speaks TLS to who asks for it. Within this machine nobody need.
    format!("mysql://crashcart:{}@127.0.0.1:{}/crashcart?ssl-mode=DISABLED", place.password, place.port())
}

fn configure(place: &Place, part: &str) -> Result<(), String> {
    let data = place.folder_for("data", USER)?;
    let mut install = command_as("mariadb-install-db", USER)?;
    install.current_dir(&place.folder).args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    install.arg(format!("--datadir={}", data.display()));
    run(&mut install, "mariadb-install-db made no data folder")?;
    // The socket's name is short because it lies in the data folder, where the server stands: the system allows no long ones.
    let [certificate, key] = tls::copy(place, USER)?;
    let text = format!(
        "[mariadbd]\ndatadir = {}\nport = {}\nbind-address = 127.0.0.1\nsocket = server.sock\npid-file = server.pid\nskip-name-resolve\n\
         character-set-server = utf8mb4\ncollation-server = utf8mb4_bin\ninnodb_buffer_pool_size = 64M\ndefault-time-zone = +00:00\n\
         ssl-cert = {}\nssl-key = {}\n{part}",
        data.display(),
        place.port(),
        certificate.display(),
        key.display()
    );
    let file = place.write("server.cnf", &text)?;
    place.give(&file, USER)
}

fn command(place: &Place) -> Result<Command, String> {
    let mut command = command_as(&place.program, USER)?;
    command.arg(format!("--defaults-file={}", place.file("server.cnf").display()));
    Ok(command)
}

/// A server that was not taken over yet knows root without a password, and nobody else.
fn answers(place: &Place) -> Result<(), String> {
    sql(place, "crashcart", "SELECT 1").or_else(|_| sql(place, "root", "SELECT 1")).map(drop)
}

/// One user with a password, nobody without one; in no log, because each server does it for itself.
fn take_over(place: &Place, less: &str) -> Result<(), String> {
    let statements = format!(
        "SET sql_log_bin = 0; CREATE USER crashcart@'127.0.0.1' IDENTIFIED BY '{}'; GRANT ALL PRIVILEGES ON *.* TO crashcart@'127.0.0.1'; {less} \
         DELETE FROM mysql.global_priv WHERE User = 'root'; FLUSH PRIVILEGES",
        place.password
    );
    sql(place, "root", &statements).map(drop)
}

fn follow(place: &Place) -> Result<(), String> {
    let primary = place.port_of("mariadb")?;
    // The right to write although the server is `read_only`.
    take_over(place, "REVOKE READ_ONLY ADMIN ON *.* FROM crashcart@'127.0.0.1';")?;
    let statements = format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {primary}, MASTER_USER = 'crashcart', MASTER_PASSWORD = '{}', \
         MASTER_USE_GTID = slave_pos; START SLAVE",
        place.password
    );
    sql(place, "crashcart", &statements)?;
    // The database was made on the primary: when it is here, what is written there arrives.
    for _ in 0..600 {
        if sql(place, "crashcart", "SHOW DATABASES LIKE 'crashcart'")?.contains("crashcart") {
            return Ok(());
        }
        pause(Duration::from_millis(50));
    }
    Err("nothing that the primary writes arrives".to_owned())
}

fn sql(place: &Place, user: &str, statements: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("mariadb: {error}");
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--connect-timeout=5", "--batch", "--skip-column-names"]);
    client.args([&format!("--port={}", place.port()), &format!("--user={user}")]);
    client.env("MYSQL_PWD", if user == "root" { "" } else { &place.password });
    // Not as an argument, which everybody on the machine can read.
    let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        drop(input.write_all(statements.as_bytes()));
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("mariadb failed and says nothing").to_owned())
    }
}
