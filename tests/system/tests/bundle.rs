//! A bundle: being listened to changes nothing about a world; what is kept is whole, fits together, and says nothing of what was done.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::{collections::BTreeSet, path::Path};

use crashcart::registry::SIMULATION;
use lab::{
    bundle,
    scenario::{LabError, Request, Twins, find},
};
use serde_json::Value as Json;

const SMALL: &[&str] = &["buyers=12", "window_seconds=60", "outage_at_seconds=20", "outage_seconds=20"];

fn request(seed: u64) -> Request {
    let request = Request::new(find("dual-write").unwrap(), seed).with_twins(Twins::Vulnerable);
    request.on_rungs(["R0"]).unwrap().with_knobs(SMALL.iter().copied()).unwrap()
}

fn lines(folder: &Path, path: &str) -> Vec<Json> {
    let text = std::fs::read_to_string(folder.join(path)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts<'a>(lines: &'a [Json], field: &str) -> BTreeSet<&'a str> {
    lines.iter().filter_map(|line| line[field].as_str()).collect()
}

#[test]
fn a_bundle_is_the_run_itself_and_its_parts_fit_together() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("outage");
    let kept = request(42).keep(&SIMULATION).unwrap();
    let manifest = bundle::write(&folder, 42, &kept).unwrap();
    let run = request(42).simulate(&SIMULATION).unwrap();
    assert_eq!(manifest.digest, run.rungs[0].digest, "nobody notices that he is listened to");
    assert_eq!(request(42).keep(&SIMULATION).unwrap().recording.logs, kept.recording.logs, "and the log is a function of the seed too");

    let (orders, events, traces) = (lines(&folder, "facts/orders.jsonl"), lines(&folder, "events.jsonl"), lines(&folder, "traces.jsonl"));
    assert_eq!(orders.len(), 12);
    let ids = texts(&orders, "id");
    assert!(events.iter().any(|event| event["topic"] == "order.status.changed.v1" && ids.contains(event["key"].as_str().unwrap())));
    let spans = texts(&traces, "spanId");
    assert_eq!(spans.len(), traces.len(), "no span comes twice");
    assert!(traces.iter().any(|span| spans.contains(span["parentSpanId"].as_str().unwrap_or_default())), "spans hang together");
    assert!(texts(&traces, "service").is_superset(&BTreeSet::from(["cart", "order", "payment", "inventory", "psp"])));
    let logs = lines(&folder, "logs.jsonl");
    assert!(texts(&logs, "message").contains("events of an order could not be told"), "the log tells what an operator sees of it");
    let metrics = std::fs::read_to_string(folder.join("metrics.txt")).unwrap();
    assert!(metrics.ends_with("# EOF\n") && metrics.lines().filter(|line| *line == "# EOF").count() == 1);
    let scrapes: BTreeSet<&str> =
        metrics.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next_back()).collect();
    assert!(scrapes.len() > 4, "one every 15 seconds: {scrapes:?}");
    for file in &manifest.files {
        assert_eq!(std::fs::read(folder.join(&file.path)).unwrap().len(), file.bytes, "{}", file.path);
    }

    assert!(matches!(bundle::write(&folder, 42, &kept), Err(LabError::Taken(_))), "what is there is not written over");
}

/// Who diagnoses must find the cause from its effects.
#[test]
fn nothing_in_a_bundle_names_what_was_done() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("outage");
    let kept = request(42).keep(&SIMULATION).unwrap();
    let manifest = bundle::write(&folder, 42, &kept).unwrap();
    let files = manifest.files.iter().map(|file| file.path.as_str()).filter(|path| *path != "settings.toml");
    for path in files.chain(["bundle.json"]) {
        let text = std::fs::read_to_string(folder.join(path)).unwrap().to_lowercase();
        for word in ["dual-write", "\"fault", " fault", "inject", "rung", "outage", "scenario", "simulat"] {
            let found = text.lines().find(|line| line.contains(word));
            assert_eq!(found, None, "`{word}` in {path}");
        }
    }
}
