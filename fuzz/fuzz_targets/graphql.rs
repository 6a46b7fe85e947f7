//! Any text as a GraphQL query: it is answered within its limits, or told what is wrong with it. No query is the service's own fault.
#![no_main]

use crashcart_fuzz::ask;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};

/// Codes of errors that are not the caller's.
const OURS: &[&str] = &["internal", "unavailable", "timeout", "storage-full"];
/// `catalog.graphql_max_depth`.
const DEPTH_MAX: usize = 10;

/// How many fields stand in each other.
fn depth(told: &Json) -> usize {
    match told {
        Json::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Json::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

// The query; behind a line of `---` the variables.
fuzz_target!(|input: &str| {
    let (query, variables) = input.split_once("\n---\n").unwrap_or((input, ""));
    let got = ask(async |shop| {
        let ids = |text: &str| String::from_utf8(shop.with_ids(text.as_bytes())).expect("ids are text");
        let mut question = json!({"query": ids(query)});
        if let Ok(variables @ Json::Object(_)) = serde_json::from_str(&ids(variables)) {
            question["variables"] = variables;
        }
        shop.stage.post("/graphql", &question).await
    });
    let body = String::from_utf8_lossy(&got.body);
    assert_eq!(got.status.as_u16(), 200, "a GraphQL request is answered 200: {body}");
    let Json::Object(told) = got.json() else { panic!("an answer is an object: {body}") };
    assert!(told.keys().all(|key| matches!(key.as_str(), "data" | "errors" | "extensions")), "{body}");
    assert!(told.contains_key("data") || told.contains_key("errors"), "{body}");
    for error in told.get("errors").and_then(Json::as_array).into_iter().flatten() {
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "an error without a message: {body}");
        assert!(!error["extensions"]["code"].as_str().is_some_and(|code| OURS.contains(&code)), "the service failed: {body}");
    }
    // The introspection is deeper than any query of the shop's, and has a bound of its own.
    if !query.contains("__") {
        assert!(depth(told.get("data").unwrap_or(&Json::Null)) <= DEPTH_MAX, "{body}");
    }
});
