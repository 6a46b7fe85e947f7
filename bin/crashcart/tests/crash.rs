//! A small number of kills of the real thing: processes, files, sockets, SIGKILL. `make crash` runs a hundred on a release build.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::{path::Path, process::Command};

use serde_json::Value as Json;

fn crash(data: &Path, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crashcart"));
    command.args(["crash", "--json", "--shoppers", "4", "--longest-life", "1200", "--data"]).arg(data).args(more);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("crash");
    let (code, told, error) = crash(&data, &["--kills", "3", "--seed", "11"]);
    assert_eq!(code, 0, "{error}\n{told}");
    let first: Json = serde_json::from_str(&told).unwrap();
    assert_eq!((first["holds"].as_bool(), first["kills"].as_u64()), (Some(true), Some(3)));
    let count = |told: &Json, what: &str| told["acknowledged"][what].as_u64().unwrap();
    assert!(count(&first, "orders") > 0 && count(&first, "movements") > 0, "{first}");

    let (code, _, error) = crash(&data, &["--kills", "5"]);
    assert_eq!(code, 2, "an earlier run is not mixed up with a new one");
    assert!(error.contains("--resume"), "{error}");

    let (code, told, error) = crash(&data, &["--kills", "5", "--seed", "11", "--resume"]);
    assert_eq!(code, 0, "{error}\n{told}");
    let both: Json = serde_json::from_str(&told).unwrap();
    assert_eq!(both["kills"].as_u64(), Some(5));
    assert!(count(&both, "orders") >= count(&first, "orders"), "the record of the first run counts: {both}");
}

#[test]
fn a_loss_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("crash");
    let (code, told, error) = crash(&data, &["--kills", "1", "--seed", "3"]);
    assert_eq!(code, 0, "{error}\n{told}");
    // Somebody believes in an answer that this system never gave.
    let lie = r#"{"entry":"asked","asked":{"key":"lie","intent":"order","path":"/orders","body":{},"about":"0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22"}}
{"entry":"answered","key":"lie","answer":{"status":201,"body":{"id":"0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e33"},"life":0}}
"#;
    let mut record = std::fs::OpenOptions::new().append(true).open(data.join("record.ndjson")).unwrap();
    std::io::Write::write_all(&mut record, lie.as_bytes()).unwrap();
    let (code, told, error) = crash(&data, &["--kills", "1", "--seed", "3", "--resume"]);
    assert_eq!(code, 1, "{error}\n{told}");
    let told: Json = serde_json::from_str(&told).unwrap();
    assert_eq!(told["findings"][0]["wrong"], "lost", "{told}");
}
