//! The real system: files, threads, sockets. It starts on free ports, takes orders over HTTP, comes to rest, and can be checked afterwards.

use serde_json::Value as Json;

use crate::process::{Up, run};

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
fn a_system_that_asks_for_tokens_is_filled_and_bought_from_by_whoever_has_its_folder_or_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let elsewhere = folder.path().join("elsewhere").display().to_string();
    let up = Up::start_with(&data, &[("CRASHCART_PLATFORM__AUTH", "jwt")]);
    let (code, seeded, error) = run(&["seed", "--scale", "0.05", "--data", &data, "--json"]);
    assert_eq!(code, 0, "{error}\n{seeded}");
    let (code, orders, error) = run(&["checkout", "--count", "3", "--target", up.gateway(), "--data", &data, "--json"]);
    assert_eq!((code, orders.lines().count()), (0, 3), "{error}\n{orders}");
    // By its address alone it is somebody else's.
    let (code, _, error) = run(&["checkout", "--target", up.gateway(), "--data", &elsewhere]);
    assert_eq!(code, 1);
    assert!(error.contains("401 unauthenticated") && error.contains("--token"), "{error}");
    let (code, token, error) = run(&["token", "--role", "OPERATOR", "--data", &data]);
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = run(&["checkout", "--target", up.gateway(), "--data", &elsewhere, "--token", token.trim()]);
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = run(&["seed", "--target", up.gateway(), "--data", &elsewhere, "--token", "no\ttoken\n"]);
    assert_eq!(code, 2, "{error}");
    assert_eq!(up.stop(), 0);
}

/// The invariants that a verification found broken, each with its damaged rows.
fn broken(verified: &str) -> Vec<(String, Vec<String>)> {
    let verified: Json = serde_json::from_str(verified).unwrap();
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let rows = |violation: &Json| {
        let mut ids: Vec<String> = violation["ids"].as_array().unwrap().iter().map(text).collect();
        ids.sort_unstable();
        (text(&violation["invariant"]), ids)
    };
    verified["violations"].as_array().unwrap().iter().map(rows).collect()
}

/// By the wall's clock, sixty times faster than declared: a hold of two seconds, payments of a few.
#[test]
fn a_running_system_is_oversold_and_the_damage_is_found_while_it_runs_and_when_it_rests() {
    let folder = tempfile::tempdir().unwrap();
    let (data, records) = (folder.path().join("shop").display().to_string(), folder.path().join("incidents").display().to_string());
    let settings = [
        ("CRASHCART_INVENTORY__RESERVATION_TTL_SECONDS", "2"),
        ("CRASHCART_ORDER__PAYMENT_DEADLINE_SECONDS", "8"),
        ("CRASHCART_ORDER__HOLD_EXTENSION_SECONDS", "4"),
    ];
    let up = Up::start_with(&data, &settings);
    let (code, _, error) = run(&["checkout", "--count", "3", "--data", &data, "--json"]);
    assert_eq!(code, 0, "{error}");
    let knobs = ["time_scale=60", "stock=30", "demand_per_second=0.25"];
    let mut args = vec!["scenario", "run", "oversell", "--target", up.gateway(), "--data", &data, "--records", &records, "--json"];
    args.extend(["--rung", "R0", "--rung", "R3"]);
    args.extend(knobs.iter().flat_map(|knob| ["--set", knob]));
    let (code, told, error) = run(&args);
    assert_eq!(code, 0, "{error}\n{told}");
    let told: Json = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["clock"], &told["rungs"][0]["verdict"], &told["rungs"][1]["verdict"]),
        (&"wall".into(), &"REPRODUCED".into(), &"PREVENTED".into())
    );
    let figure = |rung: usize, name: &str| told["rungs"][rung]["figures"][name].as_i64().unwrap();
    assert!((1..=12).contains(&figure(0, "oversold")), "{told}");
    assert_eq!((figure(1, "oversold"), figure(1, "sold")), (0, 30));
    assert!(std::path::Path::new(told["record"].as_str().unwrap()).exists());
    // Who takes another factor than the system runs with is told what to set, and nothing happens.
    let at_forty = ["--set", "time_scale=40", "--set", "demand_per_second=0.1"];
    let (code, _, error) = run(&[&["scenario", "run", "oversell", "--target", up.gateway(), "--data", &data], &at_forty[..]].concat());
    assert_eq!(code, 1);
    assert!(error.contains("RESERVATION_TTL_SECONDS=3"), "{error}");
    // The damage stays: it is found in the running system, and the same rows in the stopped one.
    let (code, running, error) = run(&["verify", "--data", &data, "--json"]);
    assert_eq!(code, 1, "{error}\n{running}");
    assert_eq!(up.stop(), 0);
    let (code, stopped, error) = run(&["verify", "--data", &data, "--json"]);
    assert_eq!(code, 1, "{error}\n{stopped}");
    let names: Vec<String> = broken(&running).into_iter().map(|(invariant, _)| invariant).collect();
    assert_eq!(names, ["I2", "I3", "I18"]);
    assert_eq!(broken(&running), broken(&stopped));
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
