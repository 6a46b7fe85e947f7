//! One table of what is wrong with a body, tried on every POST and PUT of every service. The operations come from the documents, so a new
//! endpoint is in the table on the day it is made. Each refusal is a problem of the right kind that names the place, and nothing changes.

use std::collections::BTreeMap;

use http::Method;
use platform::testing::{Got, Stage};
use serde_json::{Value as Json, json};
use system_tests::{
    samples::{Operation, operations},
    shop,
};

/// More than any service takes; an image may be larger.
const TOO_MANY_BYTES: usize = 3 * 1024 * 1024;
const TOO_MANY_BYTES_OF_A_MEDIUM: usize = 10 * 1024 * 1024;

async fn all_operations(stage: &Stage) -> Vec<Operation> {
    let document = |name: &str| serde_json::to_value(stage.world.openapi(name).unwrap()).unwrap();
    stage.world.names().into_iter().flat_map(|name| operations(name, &document(name))).collect()
}

/// One wrong body: what it is called, its bytes and type, the status it deserves, and what the refusal must mention.
struct Case {
    name: String,
    body: Vec<u8>,
    kind: &'static str,
    status: u16,
    mentions: String,
}

fn case(name: impl Into<String>, body: impl Into<Vec<u8>>, status: u16, mentions: impl Into<String>) -> Case {
    Case { name: name.into(), body: body.into(), kind: "application/json", status, mentions: mentions.into() }
}

/// A text with one key more: JSON as no writer of JSON makes it.
fn with_key(body: &Json, key: &str, value: &Json) -> String {
    let text = body.to_string();
    let comma = if text == "{}" { "" } else { "," };
    format!("{{{}:{value}{comma}{}", json!(key), &text[1..])
}

fn cases(operation: &Operation) -> Vec<Case> {
    let body = operation.sample_body();
    let schema = operation.body_schema();
    let too_many = if operation.route.ends_with("/media") { TOO_MANY_BYTES_OF_A_MEDIUM } else { TOO_MANY_BYTES };
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let mut all = vec![
        case("nothing whole", "{", 400, ""),
        case("no JSON", "quantity=1", 400, ""),
        case("JSON and more", format!("{body} {{}}"), 400, ""),
        case("broken UTF-8", b"{\"sku\": \"\xff\xfe\"}".to_vec(), 400, "UTF-8"),
        case("too large", format!("{{\"sku\": \"{}\"}}", "x".repeat(too_many)), 413, ""),
        case("a list", "[]", 422, ""),
        case("a number", "7", 422, ""),
        case("null", "null", 422, ""),
        case("too deep", with_key(&body, "noSuchField", &json!(0)).replacen('0', &deep, 1), 422, ""),
        case("an unknown field", with_key(&body, "noSuchField", &json!(1)), 422, "noSuchField"),
        Case { kind: "text/plain", ..case("the wrong media type", body.to_string(), 415, "application/json") },
        Case { kind: "", ..case("no media type", body.to_string(), 415, "application/json") },
    ];
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let mut one = body.clone();
        let value = operation.sample_of(field);
        one[name.as_str()] = value.clone();
        all.push(case(format!("`{name}` twice"), with_key(&one, name, &value), 422, name.clone()));
        let wrong = if value.is_object() || value.is_array() || value.is_number() || value.is_boolean() { json!("x") } else { json!({}) };
        one[name.as_str()] = wrong;
        all.push(case(format!("`{name}` of another type"), one.to_string(), 422, format!("#/{name}")));
        if value.is_number() {
            let negative = if operation.minimum(field).is_some_and(|least| least >= 0) { "-1" } else { "1.25" };
            for number in [negative, "1e400", "1.5", "99999999999999999999", "-99999999999999999999"] {
                one[name.as_str()] = json!("NUMBER");
                let text = one.to_string().replace("\"NUMBER\"", number);
                all.push(case(format!("`{name}` = {number}"), text, 422, String::new()));
            }
        }
    }
    all
}

/// Everything that the services tell of themselves.
async fn everything(stage: &Stage) -> BTreeMap<String, Vec<Json>> {
    let mut all = BTreeMap::new();
    let names = stage.admin(Method::GET, "/lab/audit", None::<&Json>).await.json();
    for name in names["collections"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        all.insert(name.to_owned(), stage.facts(name).await);
    }
    all
}

fn wrong_with(got: &Got, case: &Case) -> Option<String> {
    let told = String::from_utf8_lossy(&got.body);
    let problem = got.header("content-type") == Some("application/problem+json") && !got.slug().is_empty();
    (got.status.as_u16() != case.status || !problem || !told.contains(&case.mentions))
        .then(|| format!("{}: expected {} with `{}`, got {} {told}", case.name, case.status, case.mentions, got.status.as_u16()))
}

#[tokio::test(start_paused = true)]
async fn every_wrong_body_is_refused_everywhere_and_changes_nothing() {
    let stage = shop(1).await;
    let before = everything(&stage).await;
    let mut findings = Vec::new();
    let (mut endpoints, mut tried) = (0, 0);
    for operation in all_operations(&stage).await {
        if operation.body.is_none() || !matches!(operation.method.as_str(), "POST" | "PUT") {
            continue;
        }
        endpoints += 1;
        for case in cases(&operation) {
            tried += 1;
            let key = format!("wrong-{tried}");
            let mut headers = vec![("idempotency-key", key.as_str())];
            if !case.kind.is_empty() {
                headers.push(("content-type", case.kind));
            }
            let method = operation.method.parse().unwrap();
            let got = stage.send_bytes(method, &operation.path(), case.body.clone(), &headers).await;
            // Whoever cannot sign is told nothing else.
            let signed = operation.route == "/payments/psp/callback" && case.status != 413;
            let expected = if signed { Case { status: 401, mentions: "callback-signature".into(), ..case } } else { case };
            findings.extend(wrong_with(&got, &expected).map(|what| format!("{} {}: {what}", operation.method, operation.route)));
        }
    }
    assert!(findings.is_empty(), "{} of {tried} cases\n{}", findings.len(), findings.join("\n"));
    assert!(endpoints >= 30 && tried >= 600, "{endpoints} endpoints, {tried} cases");
    let after = everything(&stage).await;
    for (name, facts) in &before {
        assert_eq!(Some(facts), after.get(name), "`{name}` changed");
    }
}

#[tokio::test(start_paused = true)]
async fn every_wrong_query_and_header_is_refused() {
    let stage = shop(1).await;
    let mut findings = Vec::new();
    for operation in all_operations(&stage).await {
        let path = operation.path();
        let method: Method = operation.method.parse().unwrap();
        let body = operation.sample_body().to_string();
        let json = ("content-type", "application/json");
        let mut check = |what: &str, got: Got, allowed: &[u16]| {
            if !allowed.contains(&got.status.as_u16()) || got.slug().is_empty() {
                let told = String::from_utf8_lossy(&got.body).into_owned();
                findings.push(format!("{} {}: {what}: {} {told}", operation.method, operation.route, got.status.as_u16()));
            }
        };
        if operation.body.is_some() && operation.route != "/payments/psp/callback" {
            for key in ["", "a\"b", "clé", &"k".repeat(256)] {
                let got = stage.send_bytes(method.clone(), &path, body.clone().into_bytes(), &[json, ("idempotency-key", key)]).await;
                if operation.takes_key {
                    check(&format!("the key {key:?}"), got, &[400]);
                }
            }
        }
        if operation.has_query {
            let join = if path.contains('?') { "&" } else { "?" };
            for (what, query) in [("an unknown parameter", "noSuchThing=1"), ("not UTF-8", "limit=%ff")] {
                let got = stage.send_bytes(method.clone(), &format!("{path}{join}{query}"), body.clone().into_bytes(), &[json]).await;
                check(what, got, &[400, 422]);
            }
        }
        // A method that no operation of this path has.
        let got = stage.send_bytes(Method::PATCH, &path, Vec::new(), &[]).await;
        check("a method that it has not", got, &[405]);
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
