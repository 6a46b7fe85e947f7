//! The checks. Each gives findings, one sentence each that names the file and the mend.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

/// Every check over the whole house.
pub fn all() -> Vec<String> {
    let mut findings = dependencies();
    findings.extend(rooms());
    findings.extend(file_heads());
    findings.extend(one_world());
    findings.extend(features());
    findings.extend(links());
    findings
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Files below a folder, outside of build output, by extension; paths are relative to the root.
fn files(below: &str, extension: &str) -> Vec<PathBuf> {
    let root = root();
    let start = root.join(below);
    let hidden = |name: &str| name == "target" || (name.starts_with('.') && name.len() > 2);
    let mut found: Vec<PathBuf> = WalkDir::new(start)
        .into_iter()
        .filter_entry(|entry| !hidden(&entry.file_name().to_string_lossy()))
        .flatten()
        .map(|entry| entry.into_path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter_map(|path| path.strip_prefix(&root).ok().map(Path::to_owned))
        .collect();
    found.sort();
    found
}

fn services() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("services"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Dependencies point one way: bin → outsiders → api crates; bin → services → saga → platform → types. A service may use another's api,
/// never the other service.
pub fn dependencies() -> Vec<String> {
    let metadata = match cargo_metadata::MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec() {
        Ok(metadata) => metadata,
        Err(error) => return vec![format!("cargo metadata does not answer: {error}")],
    };
    let own: Vec<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let services = services();
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let name = package.name.to_string();
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind == cargo_metadata::DependencyKind::Normal) {
            let on = dependency.name.clone();
            if own.contains(&on) && !may_depend(&name, &on, &services) {
                findings.push(format!("{name} may not depend on {on}: dependencies point from bin to services and outsiders, to api crates, to platform, to types"));
            }
        }
    }
    findings
}

fn may_depend(name: &str, on: &str, services: &[String]) -> bool {
    let is_api = |name: &str| name.strip_suffix("-api").is_some_and(|service| services.iter().any(|known| known == service));
    let base = matches!(on, "types" | "platform");
    match name {
        "crashcart" | "system-tests" | "xtask" => true,
        "types" => false,
        "platform" => on == "types",
        "saga" => base,
        "load" => base || is_api(on) || on == "seed",
        "lab" | "seed" => base || is_api(on),
        api if is_api(api) => base || is_api(on),
        _ => base || is_api(on) || on == "saga",
    }
}

/// The same rooms in every service.
pub fn rooms() -> Vec<String> {
    let mut findings = Vec::new();
    for service in services() {
        let folder = root().join("services").join(&service);
        for room in [
            "README.md",
            "api/src/lib.rs",
            "src/lib.rs",
            "src/app.rs",
            "src/http.rs",
            "src/store.rs",
            "src/error.rs",
            "src/audit.rs",
            "src/config.rs",
        ] {
            if !folder.join(room).exists() {
                findings.push(format!("services/{service} has no {room}: every service has the same rooms"));
            }
        }
        if !read(&folder.join("src/lib.rs")).contains("pub static MANIFEST: Manifest") {
            findings.push(format!("services/{service}/src/lib.rs does not declare its MANIFEST"));
        }
        if let Ok(migrations) = std::fs::read_dir(folder.join("migrations/sqlite")) {
            let names: Vec<String> = migrations.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            for up in names.iter().filter_map(|name| name.strip_suffix(".up.sql")) {
                if !names.contains(&format!("{up}.down.sql")) {
                    findings.push(format!("services/{service}/migrations/sqlite/{up}.up.sql has no way down"));
                }
            }
        }
    }
    findings
}

/// A file opens with why it exists; there is no `mod.rs` and no drawer named `utils`.
pub fn file_heads() -> Vec<String> {
    let mut findings = Vec::new();
    for path in files(".", "rs") {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let shown = path.display();
        if name == "mod.rs" || name.starts_with("util") || name.starts_with("helper") || name.starts_with("misc") {
            findings.push(format!("{shown}: give it the name of what is in it"));
        }
        // What a file of tests is for, the file beside it says.
        let of_tests = name == "tests.rs" || path.components().any(|part| part.as_os_str() == "tests");
        if !of_tests && !read(&root().join(&path)).starts_with("//!") {
            findings.push(format!("{shown}: open the file with a `//!` that says why it exists"));
        }
    }
    findings
}

/// No service asks which runtime it is in, and none goes around the platform to time, threads, sockets or the environment.
pub fn one_world() -> Vec<String> {
    let banned: BTreeMap<&str, &str> = BTreeMap::from([
        ("is_simulated", "no service knows which runtime it is in"),
        ("tokio::time", "time is platform::Clock"),
        ("tokio::spawn", "tasks are platform::Tasks"),
        ("std::thread", "no thread may stand behind a service"),
        ("tokio::net", "a service opens no socket; the host does"),
        ("std::fs", "a service writes to its stores, not to files"),
        ("std::env::", "settings come from platform::settings"),
        ("rusqlite", "the engine stands behind platform::db"),
        ("thread_rng", "chance is platform::Chance"),
    ]);
    let mut findings = Vec::new();
    for path in files("services", "rs").into_iter().filter(|path| path.components().any(|part| part.as_os_str() == "src")) {
        let text = read(&root().join(&path));
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for (word, why) in &banned {
                if line.contains(word) {
                    findings.push(format!("{}:{}: `{word}`: {why}", path.display(), number + 1));
                }
            }
        }
    }
    findings
}

/// `docs/features.md` has each row of the ledger once; a row that is done names a test that exists.
pub fn features() -> Vec<String> {
    let text = read(&root().join("docs/features.md"));
    let tests = test_names();
    let mut findings = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, state, shown] = cells.as_slice() else { continue };
        if !id.contains('-') || id.starts_with('-') {
            continue;
        }
        if seen.iter().any(|known| known == id) {
            findings.push(format!("docs/features.md: {id} stands there twice"));
        }
        seen.push((*id).to_owned());
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        if *state == "done" && named.is_empty() {
            findings.push(format!("docs/features.md: {id} is done, but no test is named that shows it"));
        }
        for test in named.into_iter().filter(|name| !name.contains(' ')) {
            if !tests.iter().any(|known| known == test) {
                findings.push(format!("docs/features.md: {id} names the test `{test}`, which does not exist"));
            }
        }
    }
    if seen.is_empty() {
        findings.push("docs/features.md has no rows".to_owned());
    }
    findings
}

/// The names of all test functions, and of those that the suites of the databases on servers make of a list.
fn test_names() -> Vec<String> {
    let mut names = Vec::new();
    for path in files(".", "rs") {
        let text = read(&root().join(&path));
        let (mut marked, mut listed) = (false, false);
        for line in text.lines().map(str::trim) {
            listed = if listed { line != ");" } else { line.contains("::on!(") };
            if let Some(name) = line.strip_suffix(',').filter(|_| listed) {
                names.push(name.to_owned());
            } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| marked || path.to_string_lossy().contains("proptest")) {
                names.push(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
                marked = false;
            }
        }
    }
    names
}

/// A link in a document leads somewhere.
pub fn links() -> Vec<String> {
    let mut findings = Vec::new();
    for path in files(".", "md") {
        let folder = root().join(path.parent().unwrap_or(Path::new("")));
        for part in read(&root().join(&path)).split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default().split('#').next().unwrap_or_default();
            let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !outside && !folder.join(target).exists() {
                findings.push(format!("{}: the link to {target} leads nowhere", path.display()));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(findings: &[String]) {
        assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    }

    #[test]
    fn dependencies_point_one_way() {
        none(&dependencies());
        let services = vec!["cart".to_owned(), "order".to_owned()];
        assert!(!may_depend("cart", "order", &services), "the check can fail");
        assert!(may_depend("cart", "order-api", &services));
        assert!(!may_depend("lab", "order", &services));
    }

    #[test]
    fn every_service_has_the_same_rooms() {
        none(&rooms());
    }

    #[test]
    fn every_file_says_why_it_exists() {
        none(&file_heads());
    }

    #[test]
    fn no_service_knows_its_world() {
        none(&one_world());
    }

    #[test]
    fn every_feature_names_a_test_that_exists() {
        none(&features());
    }

    #[test]
    fn every_link_leads_somewhere() {
        none(&links());
    }
}
