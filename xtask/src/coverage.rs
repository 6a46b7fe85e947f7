//! `cargo xtask coverage`: which part of each service's lines its own tests run. Lines of a service that only the tests of the whole system run
//! do not count for it: they show that the system works, and not that the service is tested.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

/// What each service must have, in percent of its lines.
const LEAST: f64 = 70.0;

/// Runs the tests of every service with their coverage counted, prints one line for each, and fails if one has too little.
#[expect(clippy::print_stdout, reason = "a tool that talks to a person")]
pub fn run() -> Result<(), String> {
    let services = services()?;
    let summary = Path::new("target").join("coverage.json");
    let mut command = Command::new("cargo");
    command.args(["llvm-cov", "--locked", "--tests", "--json", "--summary-only", "--output-path"]).arg(&summary);
    for service in &services {
        command.args(["--package", service, "--package", &format!("{service}-api")]);
    }
    let ended = command.status().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !ended.success() {
        return Err(
            "the coverage could not be counted; it needs `cargo install cargo-llvm-cov` and `rustup component add llvm-tools`".into()
        );
    }
    let text = std::fs::read_to_string(&summary).map_err(|error| format!("{}: {error}", summary.display()))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", summary.display()))?;
    let counted = lines_of(&report);
    let mut wanting = Vec::new();
    for service in &services {
        let lines = counted.get(service).copied().unwrap_or_default();
        println!("{service:<12} {:>6.1} %   {:>5} of {:>5} lines", lines.share(), lines.run, lines.all);
        if lines.share() < LEAST {
            wanting.push(service.as_str());
        }
    }
    if wanting.is_empty() { Ok(()) } else { Err(format!("fewer than {LEAST} % of the lines are run in: {}", wanting.join(", "))) }
}

/// The services, by their folders.
fn services() -> Result<Vec<String>, String> {
    let folders = std::fs::read_dir("services").map_err(|error| format!("services: {error}; run this in the project's folder"))?;
    let mut names: Vec<String> = folders
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    all: u64,
    run: u64,
}

impl Lines {
    fn share(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.run as f64 * 100.0 / self.all as f64 }
    }
}

/// The lines of each service in a report of llvm-cov: those of its own folder, without those of its tests.
fn lines_of(report: &Value) -> BTreeMap<String, Lines> {
    let mut counted: BTreeMap<String, Lines> = BTreeMap::new();
    let files = report["data"].as_array().into_iter().flatten().filter_map(|data| data["files"].as_array()).flatten();
    for file in files {
        let Some((_, inside)) = file["filename"].as_str().and_then(|name| name.rsplit_once("/services/")) else { continue };
        let mut folders = inside.split('/');
        let Some(service) = folders.next() else { continue };
        if folders.any(|folder| folder == "tests" || folder == "tests.rs") {
            continue;
        }
        let lines = counted.entry(service.to_owned()).or_default();
        let number = |name: &str| file["summary"]["lines"][name].as_u64().unwrap_or(0);
        lines.all += number("count");
        lines.run += number("covered");
    }
    counted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_counted_by_service_and_without_its_tests() {
        let file =
            |name: &str, count: u64, covered: u64| json!({"filename": name, "summary": {"lines": {"count": count, "covered": covered}}});
        let report = json!({"data": [{"files": [
            file("/p/services/order/src/app.rs", 100, 80),
            file("/p/services/order/api/src/lib.rs", 20, 4),
            file("/p/services/order/tests/it/main.rs", 500, 500),
            file("/p/services/order/src/app/tests.rs", 50, 50),
            file("/p/services/cart/src/app.rs", 10, 0),
            file("/p/crates/platform/src/lib.rs", 10, 10),
        ]}]});
        let counted = lines_of(&report);
        assert_eq!(counted.get("order"), Some(&Lines { all: 120, run: 84 }));
        assert_eq!(counted.get("cart").map(|lines| lines.share()), Some(0.0));
        assert_eq!((counted.len(), counted.get("order").map(|lines| lines.share())), (2, Some(70.0)));
    }
}
