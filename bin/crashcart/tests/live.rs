//! The real system: files, threads, sockets. It starts on free ports, takes orders over HTTP, comes to rest, and can be checked afterwards.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::process::{Command, Stdio};

use serde_json::Value as Json;

fn crashcart() -> Command {
    Command::new(env!("CARGO_BIN_EXE_crashcart"))
}

fn run(args: &[&str]) -> (i32, String, String) {
    let output = crashcart().args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A running system; stopped as Ctrl-C does.
struct Up {
    child: std::process::Child,
    data: String,
}

impl Up {
    fn start(data: &str) -> Self {
        let mut child = crashcart().args(["up", "--data", data, "--port", "0", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
        let told: Json = serde_json::from_str(&line).unwrap();
        for field in ["gateway", "admin", "adminToken", "services", "data"] {
            assert!(!told[field].is_null(), "`{field}` is missing in {told}");
        }
        Self { child, data: data.to_owned() }
    }

    fn stop(mut self) -> i32 {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

#[test]
fn a_stopped_system_can_be_verified() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let up = Up::start(&data);
    let (code, orders, error) = run(&["checkout", "--count", "10", "--data", &up.data, "--json"]);
    assert_eq!(code, 0, "{error}\n{orders}");
    assert_eq!(orders.lines().count(), 10);
    let (code, running, error) = run(&["verify", "--data", &data, "--json"]);
    assert_eq!(code, 0, "{error}\n{running}");
    let (code, _, error) = run(&["up", "--data", &data, "--port", "0"]);
    assert_eq!(code, 2);
    assert!(error.contains("in use"), "{error}");
    assert_eq!(up.stop(), 0, "Ctrl-C drains and exits 0");
    let (code, stopped, error) = run(&["verify", "--data", &data, "--json"]);
    assert_eq!(code, 0, "{error}\n{stopped}");
    let facts = |text: &str| serde_json::from_str::<Json>(text).unwrap()["facts"]["orders"].clone();
    assert_eq!(facts(&running), facts(&stopped));
}

#[test]
fn faults_rungs_and_events_of_a_running_system_can_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let up = Up::start(&data);
    let (code, ..) = run(&["checkout", "--data", &data]);
    assert_eq!(code, 0);
    let (code, events, error) =
        run(&["events", "tail", "--from-start", "--limit", "3", "--topic", "order.status.changed.v1", "--data", &data, "--json"]);
    assert_eq!((code, events.lines().count()), (0, 3), "{error}");
    let id = serde_json::from_str::<Json>(events.lines().next().unwrap()).unwrap()["id"].as_str().unwrap().to_owned();
    let (code, event, _) = run(&["events", "show", &id, "--data", &data, "--json"]);
    assert_eq!(code, 0);
    assert!(event.contains("ce_specversion"), "{event}");
    let (code, set, error) = run(&["fault", "set", "call.psp", "delay", "--millis", "5", "--data", &data, "--json"]);
    assert_eq!(code, 0, "{error}");
    assert!(set.contains("call.psp"));
    assert_eq!(run(&["fault", "set", "call.psp", "explode", "--data", &data]).0, 2);
    let (_, cleared, _) = run(&["fault", "clear", "--data", &data]);
    assert!(cleared.contains("lifted: 1"), "{cleared}");
    assert_eq!(run(&["token", "--role", "OPERATOR", "--data", &data]).0, 0);
    assert_eq!(up.stop(), 0);
}

#[test]
fn bad_settings_and_foreign_folders_are_told_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.toml");
    std::fs::write(&file, "[inventory]\nreservation_ttl_second = 5\n").unwrap();
    let config = file.display().to_string();
    let data = folder.path().join("shop").display().to_string();
    let (code, _, error) = run(&["up", "--config", &config, "--data", &data]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("reservation_ttl_second") && error.contains("reservation_ttl_seconds"), "{error}");
    assert!(!std::path::Path::new(&data).exists(), "nothing was made");
    let foreign = folder.path().display().to_string();
    let (code, _, error) = run(&["up", "--data", &foreign, "--port", "0"]);
    assert_eq!(code, 2);
    assert!(error.contains("no data folder"), "{error}");
    let (code, _, error) = run(&["scenario", "run", "oversel"]);
    assert_eq!(code, 2);
    assert!(error.contains("oversell"), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, error) = run(&["up", "--data", &data, "--port", &port]);
    assert_eq!(code, 2);
    assert!(error.contains(&port) && error.contains("--port 0"), "{error}");
}
