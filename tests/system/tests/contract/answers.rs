//! An answer outside of the document is found, whatever is wrong with it.

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use platform::{
    service::{BuildError, Env, Manifest, Service},
    testing::Stage,
};
use serde_json::{Value as Json, json};
use system_tests::{contract, shop};

/// What is planted by the header `x-plant`, and what is said of it.
const PLANTED: &[(&str, &str)] = &[
    ("nothing", ""),
    ("status", "the document has only"),
    ("status of a group", ""),
    ("missing field", "\"sku\" is a required property"),
    ("wrong type", "is not of type"),
    ("unknown field", "Additional properties are not allowed"),
    ("not JSON", "not JSON"),
    ("media type", "its type is `text/plain`"),
    ("no problem", "\"title\" is a required property"),
];

async fn wrong(request: Request, next: Next) -> Response {
    let planted = request.headers().get("x-plant").and_then(|what| what.to_str().ok()).unwrap_or_default().to_owned();
    let (mut parts, body) = next.run(request).await.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut json: Json = serde_json::from_slice(&body).unwrap_or_default();
    let problem = json!({"type": "urn:crashcart:problem:conflict", "title": "t", "status": 418});
    match planted.as_str() {
        "status" => parts.status = StatusCode::RESET_CONTENT,
        "status of a group" => {
            (parts.status, json) = (StatusCode::IM_A_TEAPOT, problem);
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        }
        "missing field" => drop(json.as_object_mut().unwrap().remove("sku")),
        "wrong type" => json["warehouses"] = json!("none"),
        "unknown field" => json["secret"] = json!(true),
        "not JSON" => return Response::from_parts(parts, Body::from("{")),
        "media type" => drop(parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))),
        "no problem" => {
            (parts.status, json) = (StatusCode::CONFLICT, json!({"type": "urn:x", "status": 409}));
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        }
        _ => {}
    }
    Response::from_parts(parts, Body::from(json.to_string()))
}

fn build(env: Env) -> BoxFuture<'static, Result<Service, BuildError>> {
    Box::pin(async move {
        let mut service = (inventory::MANIFEST.build)(env).await?;
        service.router = service.router.layer(axum::middleware::from_fn(wrong));
        contract::watch("inventory", &mut service)?;
        Ok(service)
    })
}

static PLANT: Manifest = Manifest { build, ..inventory::MANIFEST };

#[tokio::test(start_paused = true)]
async fn a_planted_wrong_answer_does_not_pass() {
    let stage = Stage::with(&[&PLANT]).await;
    let receipt = json!({"sku": "LAMP-RED-L", "warehouse": "us-east", "delta": 1, "reason": "received"});
    assert_eq!(stage.post("/inventory/adjust", &receipt).await.status.as_u16(), 200);
    for (planted, said) in PLANTED {
        let got = stage.send_bytes(http::Method::GET, "/inventory/LAMP-RED-L", Vec::new(), &[("x-plant", planted)]).await;
        let expected = match (*planted, said.is_empty()) {
            ("status of a group", _) => 418,
            (_, true) => 200,
            (_, false) => 500,
        };
        assert_eq!(got.status.as_u16(), expected, "{planted}: {}", String::from_utf8_lossy(&got.body));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_an_answer_is_said() {
    let stage = Stage::with(&[&inventory::MANIFEST]).await;
    let document = serde_json::to_value(stage.world.openapi("inventory").unwrap()).unwrap();
    let contract = contract::Contract::of("inventory", &document).unwrap();
    let right = json!({"sku": "LAMP-RED-L", "warehouses": []});
    let check = |status: u16, kind: &str, body: &str| contract.check("GET", "/inventory/{sku}", status, Some(kind), body.as_bytes());
    assert_eq!(check(200, "application/json", &right.to_string()), Ok(()));
    let mut unlike = right.clone();
    unlike["secret"] = json!(1);
    let short = json!({"warehouses": []}).to_string();
    let cases = [
        (check(200, "application/json", &short), "\"sku\" is a required property"),
        (check(200, "application/json", &unlike.to_string()), "Additional properties are not allowed"),
        (check(200, "application/json", "{"), "not JSON"),
        (check(200, "text/plain", "x"), "its type is `text/plain`"),
        (check(302, "application/json", "{}"), "the document has only"),
        (check(409, "application/problem+json", r#"{"type": "urn:x", "status": 409}"#), "\"title\" is a required property"),
        (contract.check("PATCH", "/inventory/{sku}", 200, None, b""), "no such operation"),
    ];
    for (found, said) in cases {
        assert!(found.as_ref().is_err_and(|reason| reason.contains(said)), "{said}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_service_is_watched() {
    let names = |manifests: &[&Manifest]| manifests.iter().map(|manifest| manifest.name).collect::<Vec<_>>();
    assert_eq!(names(contract::watched()), names(crashcart::registry::SERVICES));
    let stage = shop(1).await;
    assert_eq!(stage.get("/inventory/LAMP-RED-L").await.status.as_u16(), 200);
}
