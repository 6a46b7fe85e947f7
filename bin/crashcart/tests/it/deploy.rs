//! What stands under `deploy/`, as far as it can be held against the program without an engine that runs containers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crashcart::parts::{self, GATEWAY, Parts};
use platform::{Settings, settings::DEFAULTS};
use yaml_serde::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// The services of the file, its anchors and merges resolved.
fn services() -> BTreeMap<String, Value> {
    let mut file: Value = yaml_serde::from_str(&read("compose.yaml")).unwrap();
    file.apply_merge().unwrap();
    yaml_serde::from_value(file["services"].clone()).unwrap()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_sequence().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What `${NAME}` and `${NAME:?told}` name in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().map(str::to_owned);
    text.split("${").skip(1).filter_map(name).collect()
}

/// A text with every variable as somebody might fill it in.
fn filled(text: &str) -> String {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        filled.push_str(if name.ends_with("_PORT") { "9000" } else { "thirtytwolettersordigitsormoreofit" });
        filled.push_str(rest);
    }
    filled
}

#[test]
fn every_part_and_every_engine_is_on_one_network_and_looked_after() {
    let services = services();
    let engines = ["redis", "postgresql", "kafka", "schema-registry", "minio", "mariadb", "couchdb", "cassandra"];
    let expected: BTreeSet<&str> = parts::names().chain(engines).collect();
    assert_eq!(services.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    for (name, service) in &services {
        assert_eq!(texts(&service["networks"]), ["datanet"], "{name}");
        assert!(texts(&service["healthcheck"]["test"]).len() >= 2, "{name} has no health check");
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').unwrap().1;
        assert!(tag == "local" || tag.chars().any(|letter| letter.is_ascii_digit()), "{name}: {image} names no version");
        for (other, waits) in service["depends_on"].as_mapping().into_iter().flatten() {
            let other = other.as_str().unwrap();
            assert!(services.contains_key(other), "{name} waits for {other}");
            assert_eq!(waits["condition"].as_str(), Some("service_healthy"), "{name} waits for {other}");
            assert!(services[other]["profiles"].is_null(), "{name} waits for {other}, which is not started");
        }
    }
    for port in services.values().flat_map(|service| texts(&service["ports"])) {
        assert!(port.starts_with("127.0.0.1:"), "{port} is open to everybody");
    }
}

#[test]
fn every_variable_can_be_filled_in_and_none_has_a_secret_yet() {
    let example = read(".env.example");
    let lines = example.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let known: BTreeMap<&str, &str> = lines.map(|line| line.split_once('=').unwrap()).collect();
    let used = variables(&read("compose.yaml"));
    assert_eq!(known.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), used);
    for (name, value) in known {
        assert_eq!(value.is_empty(), !name.ends_with("_PORT"), "{name}");
    }
}

#[test]
fn every_part_starts_with_these_settings_and_is_where_the_others_look_for_it() {
    let services = services();
    for name in parts::names() {
        let service = &services[name];
        let variables = service["environment"].as_mapping().unwrap().iter();
        let variables = variables.map(|(name, value)| (name.as_str().unwrap().to_owned(), filled(value.as_str().unwrap())));
        let settings = Settings::load(DEFAULTS, Some(&folder().join("crashcart.toml")), variables).unwrap();
        crashcart::registry::check_settings(&settings).unwrap();
        let parts = Parts::named(&[name.to_owned()], &settings).unwrap();
        for there in &parts.elsewhere {
            let name = there.manifest.name;
            assert_eq!(there.admins, [format!("http://{name}:8099")]);
            let check = texts(&services[name]["healthcheck"]["test"]);
            let here = check.last().unwrap().replace("127.0.0.1", name);
            assert_eq!(there.urls, [here], "{name} is asked for its health where it is called");
        }
        assert_eq!(
            parts.elsewhere.len(),
            services.values().filter(|service| is_part(service)).count() - if name == GATEWAY { 1 } else { 2 }
        );
        let command = texts(&service["command"]);
        let has = |words: &[&str]| command.windows(words.len()).any(|window| window == words);
        assert!(has(&["up", "--service", name]) && has(&["--listen", "0.0.0.0"]) && has(&["--data", "/data"]), "{command:?}");
    }
}

fn is_part(service: &Value) -> bool {
    service["image"].as_str() == Some("crashcart:local")
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_looks_after_itself() {
    let dockerfile = read("Dockerfile");
    let stages: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(stages.len(), 2, "one stage builds, the other runs");
    let toolchain = std::fs::read_to_string(folder().join("../rust-toolchain.toml")).unwrap();
    let version = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"')).unwrap();
    assert!(stages[0].starts_with(&format!("rust:{version}-")), "{} builds with {version}", stages[0]);
    for wanted in ["\nUSER 10001\n", "\nHEALTHCHECK ", "--features engines", "--locked"] {
        assert!(dockerfile.contains(wanted), "{wanted}");
    }
}
