//! The disk of the data folder is full. Nothing can be written, and the caller is told so; everything can be read; what was acknowledged is
//! there; and when there is space again the system goes on by itself, without a restart.
//!
//! It takes a small file system, which only root may mount (or `sudo` that asks for no password); elsewhere these tests say that they did not
//! run.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value as Json, json};

use crate::process::{Up, run};

const MEGABYTES: usize = 96;

/// A file system with room for little; gone when dropped.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    /// Nothing when this user may not mount one.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={MEGABYTES}m,mode=777");
        let mounted = as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", &folder.path().display().to_string()]);
        mounted.then_some(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![0_u8; size]).is_err() {
                size /= 2;
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        as_root(&["umount", "--lazy", &self.folder.path().display().to_string()]);
    }
}

/// Says whether it could be done.
fn as_root(words: &[&str]) -> bool {
    let done = |mut command: Command| command.output().is_ok_and(|output| output.status.success());
    let mut plain = Command::new(words[0]);
    plain.args(&words[1..]);
    let mut sudo = Command::new("sudo");
    sudo.arg("-n").args(words);
    done(plain) || done(sudo)
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
    let Some(disk) = Small::mount() else {
        eprintln!("not root: a small file system cannot be mounted, so a full disk is not shown here");
        return;
    };
    let data = disk.path().join("shop").display().to_string();
    let up = Up::start(&data);
    let mut acknowledged = 0;
    for _ in 0..20 {
        let (status, told) = adjust(&up, 1);
        assert_eq!(status, 200, "{told}");
        acknowledged += 1;
    }
    disk.fill();
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
    disk.free();
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
    let Some(disk) = Small::mount() else {
        eprintln!("not root: a small file system cannot be mounted, so a full disk is not shown here");
        return;
    };
    let data = disk.path().join("shop").display().to_string();
    disk.fill();
    let (code, out, error) = run(&["up", "--data", &data, "--port", "0"]);
    assert_eq!((code, out.as_str()), (2, ""), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "one sentence: {error}");
    assert!(error.contains("space"), "{error}");
    disk.free();
    assert_eq!(Up::start(&data).stop(), 0, "with space the same folder can be used");
}
