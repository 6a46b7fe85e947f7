//! Bad days of a whole process: each ends in one clear sentence that names the mistake and the mend, with the exit code that is
//! documented, and with nothing half-done. A full disk ends nothing at all.

use std::path::Path;

use crate::process::{Up, run};

/// Refused with exit code 2 and one sentence that has all of these words; nothing on stdout.
fn refused(args: &[&str], words: &[&str]) {
    let (code, out, error) = run(args);
    assert_eq!(code, 2, "{args:?}: {error}");
    assert!(out.is_empty(), "{out}");
    assert_eq!(error.trim_end().lines().count(), 1, "one sentence: {error}");
    assert!(error.starts_with("crashcart: "), "{error}");
    for word in words {
        assert!(error.contains(word), "`{word}` is missing in: {error}");
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A data folder that a system has made and left.
fn left_behind(folder: &Path) -> String {
    let data = folder.join("shop").display().to_string();
    assert_eq!(Up::start(&data).stop(), 0);
    data
}

#[test]
fn a_data_folder_of_another_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("LAYOUT"), "crashcart-data 99\n").unwrap();
    let path = data.display().to_string();
    for command in ["up", "verify", "token"] {
        let mut args = vec![command, "--data", &path];
        args.extend(match command {
            "up" => ["--port", "0"],
            "token" => ["--role", "OPERATOR"],
            _ => ["--rows", "1"],
        });
        refused(&args, &["crashcart-data 99", "crashcart-data 1", "another folder"]);
    }
    assert_eq!(files(&data), ["LAYOUT"], "nothing was made in it");
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = left_behind(folder.path());
    let store = rusqlite::Connection::open(Path::new(&data).join("order.db")).unwrap();
    store.execute("INSERT INTO schema_migrations (number, name, digest) VALUES (999, 'later', 'x')", []).unwrap();
    refused(&["up", "--data", &data, "--port", "0"], &["order", "newer version", "999", "another data folder"]);
    store.execute("DELETE FROM schema_migrations WHERE number = 999", []).unwrap();
    drop(store);
    assert_eq!(Up::start(&data).stop(), 0, "it is as it was");
}

#[test]
fn a_damaged_store_is_told_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = left_behind(folder.path());
    let path = Path::new(&data).join("payment.db");
    for ending in ["-wal", "-shm"] {
        drop(std::fs::remove_file(Path::new(&data).join(format!("payment.db{ending}"))));
    }
    std::fs::write(&path, vec![b'x'; 8_192]).unwrap();
    refused(&["up", "--data", &data, "--port", "0"], &["payment", "payment.db", "backup"]);
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 8_192], "what there is to be saved is as it was");
}

#[test]
fn a_folder_that_is_in_use_is_refused_whatever_the_ports_are() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let up = Up::start(&data);
    let port = up.gateway().rsplit(':').next().unwrap().to_owned();
    for port in ["0", port.as_str()] {
        refused(&["up", "--data", &data, "--port", port], &["in use by another crashcart", "--data"]);
    }
    let (code, ..) = run(&["verify", "--data", &data]);
    assert_eq!(code, 0, "the one that runs is not disturbed");
    assert_eq!(up.stop(), 0);
}

#[test]
fn a_port_in_use_leaves_no_folder_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(&["up", "--data", &data, "--port", &port], &[&port, "gateway", "--port 0"]);
    assert!(!Path::new(&data).exists(), "nothing was made");
}

#[test]
fn wrong_settings_are_told_with_the_place_and_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let file = folder.path().join("shop.toml");
    let path = file.display().to_string();
    let cases: [(&str, &[&str]); 6] = [
        ("[inventory]\nreservation_ttl_second = 5\n", &["reservation_ttl_second", "reservation_ttl_seconds", "shop.toml"]),
        ("[inventry]\nreservation_ttl_seconds = 5\n", &["inventry", "inventory", "shop.toml"]),
        ("[inventory]\nreservation_ttl_seconds = \"long\"\n", &["reservation_ttl_seconds", "shop.toml"]),
        ("[inventory]\nreservation_ttl_seconds = 0\n", &["reservation_ttl_seconds"]),
        ("[inventory\n", &["shop.toml:1", "TOML"]),
        ("[platform]\ndurability = \"hope\"\n", &["durability", "power", "process"]),
    ];
    for (text, words) in cases {
        std::fs::write(&file, text).unwrap();
        refused(&["up", "--config", &path, "--data", &data, "--port", "0"], words);
    }
    refused(&["up", "--config", "/nowhere/shop.toml", "--data", &data], &["/nowhere/shop.toml"]);
    assert!(!Path::new(&data).exists(), "nothing was made");
}

#[test]
fn what_is_no_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let path = file.display().to_string();
    refused(&["up", "--data", &path, "--port", "0"], &[&path, "--data"]);
    refused(&["up", "--data", &format!("{path}/below"), "--port", "0"], &[&path, "--data"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_system_that_was_killed_is_not_taken_for_one_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let mut up = Up::start(&data);
    let (code, ..) = run(&["checkout", "--data", &data]);
    assert_eq!(code, 0);
    up.kill();
    let (code, out, error) = run(&["verify", "--data", &data]);
    assert_eq!(code, 0, "looked at as a stopped one: {error}{out}");
    assert_eq!(Up::start(&data).stop(), 0);
}
