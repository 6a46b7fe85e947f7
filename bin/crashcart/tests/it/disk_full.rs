//! The disk of the data folder is full. Nothing can be written, and the caller is told so; everything can be read; what was acknowledged is
//! there; and when there is space again the system goes on by itself, without a restart.
//!
//! It takes a small file system, which only root may mount (or `sudo` that asks for no password); elsewhere these tests say that they did not
//! run.

use std::time::Duration;

use platform::testing::disk::SmallDisk;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::process::{Up, run};

const MEGABYTES: usize = 96;

/// A disk in a folder of its own; nothing, and a word about it, when this user may not mount one.
#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
fn small_disk() -> Option<(SmallDisk, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), MEGABYTES);
    if disk.is_none() {
        eprintln!("not root: a small file system cannot be mounted, so a full disk is not shown here");
    }
    Some((disk?, folder))
}

fn adjust(up: &Up, delta: i64) -> (u16, Json) {
    up.ask("/inventory/adjust", Some(&json!({"sku": "LAMP", "warehouse": "us-east", "delta": delta, "reason": "received"})))
}

fn on_hand(up: &Up) -> i64 {
    let (status, stock) = up.ask("/inventory/LAMP", None);
    assert_eq!(status, 200, "what is stored can be read: {stock}");
    stock["warehouses"][0]["onHand"].as_i64().unwrap_or(0)
}

/// How many events are not published yet.
fn waiting(up: &Up) -> usize {
    up.facts("outbox").iter().filter(|row| row["status"] != "SENT").count()
}

/// Tries until it works; a disk that has space again is to be noticed soon.
fn soon(what: &str, test: impl Fn() -> bool) {
    const TRIES: u32 = 600;
    let works = (0..TRIES).any(|_| {
        test() || {
            std::thread::park_timeout(Duration::from_millis(50));
            false
        }
    });
    assert!(works, "not within 30 s: {what}");
}

#[test]
fn a_full_disk_stops_writing_and_nothing_else() {
    let Some((disk, _folder)) = small_disk() else { return };
    let data = disk.path().join("shop").display().to_string();
    let up = Up::start(&data);
    let mut acknowledged = 0;
    for _ in 0..20 {
        let (status, told) = adjust(&up, 1);
        assert_eq!(status, 200, "{told}");
        acknowledged += 1;
    }
    disk.fill().unwrap();
    let mut refused = 0;
    for _ in 0..2_000 {
        let (status, told) = adjust(&up, 1);
        match status {
            200 => acknowledged += 1,
            507 => {
                assert_eq!(told["type"], "urn:crashcart:problem:storage-full", "{told}");
                refused += 1;
            }
            503 => refused += 1,
            _ => panic!("{status} {told}"),
        }
        if refused >= 20 {
            break;
        }
    }
    assert!(refused >= 20, "the disk is full, and still everything was written");
    assert_eq!(adjust(&up, 1).0, 507);
    assert_eq!(on_hand(&up), acknowledged, "neither lost nor done by halves");
    eprintln!("{} events wait for the log", waiting(&up));
    assert_eq!(up.ask("/health", None).0, 200, "it lives");
    disk.free().unwrap();
    soon("it takes writes again", || adjust(&up, 0).0 != 507);
    let (status, told) = adjust(&up, 1);
    assert_eq!(status, 200, "{told}");
    acknowledged += 1;
    assert_eq!(on_hand(&up), acknowledged);
    // A whole checkout needs every store and the event log.
    let (code, out, error) = run(&["checkout", "--count", "5", "--data", &data, "--json"]);
    assert_eq!(code, 0, "{error}{out}");
    soon("every event is published", || waiting(&up) == 0);
    let told = up.facts("events").iter().filter(|event| event["topic"] == "inventory.adjusted.v1").count();
    assert!(i64::try_from(told).unwrap() >= acknowledged, "{told} events of {acknowledged} adjustments");
    let (code, out, error) = run(&["verify", "--data", &data]);
    assert_eq!(code, 0, "{error}{out}");
    assert_eq!(up.stop(), 0);
    let (code, out, error) = run(&["verify", "--data", &data]);
    assert_eq!(code, 0, "and so it stays when it is stopped: {error}{out}");
}

#[test]
fn a_system_does_not_start_by_halves_on_a_full_disk() {
    let Some((disk, _folder)) = small_disk() else { return };
    let data = disk.path().join("shop").display().to_string();
    disk.fill().unwrap();
    let (code, out, error) = run(&["up", "--data", &data, "--port", "0"]);
    assert_eq!((code, out.as_str()), (2, ""), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "one sentence: {error}");
    assert!(error.contains("space"), "{error}");
    disk.free().unwrap();
    assert_eq!(Up::start(&data).stop(), 0, "with space the same folder can be used");
}
