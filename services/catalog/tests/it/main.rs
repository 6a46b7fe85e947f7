//! catalog-service from outside: over HTTP in a simulated world, with its real stores, bus and background work.
#![expect(clippy::expect_used, reason = "for tests")]

mod categories;
mod feed;
mod graphql;
mod media;
mod products;
mod recovery;

use std::time::Duration;

use catalog::MANIFEST;
use http::Method;
use platform::testing::{Got, Stage};
use serde_json::{Value as Json, json};

pub const UPDATED: &str = "catalog.product.updated.v1";

pub async fn stage() -> Stage {
    Stage::with(&[&MANIFEST]).await
}

pub fn lamp(sku: &str) -> Json {
    json!({"sku": sku, "title": format!("Lamp {sku}")})
}

pub async fn create(stage: &Stage, body: &Json) -> Json {
    let got = stage.post("/products", body).await;
    assert_eq!(got.status, 201, "{}", got.json());
    got.json()
}

pub async fn category(stage: &Stage, slug: &str, parent: Option<&Json>) -> Json {
    let mut body = json!({"slug": slug, "name": slug});
    if let Some(parent) = parent {
        body["parentId"] = parent["id"].clone();
    }
    let got = stage.post("/categories", &body).await;
    assert_eq!(got.status, 201, "{}", got.json());
    got.json()
}

pub fn path(product: &Json) -> String {
    format!("/products/{}", text(&product["id"]))
}

pub fn text(value: &Json) -> &str {
    value.as_str().expect("a text")
}

pub async fn put_if_match(stage: &Stage, path: &str, body: &Json, tag: &str) -> Got {
    stage.send(Method::PUT, path, Some(body), &[("if-match", tag)]).await
}

/// Lets everything that was rung for happen.
pub async fn settle(stage: &Stage) {
    stage.pass(Duration::from_millis(200)).await;
}

/// The SKUs of a page of products.
pub fn skus(page: &Json) -> Vec<String> {
    page["items"].as_array().expect("items").iter().map(|item| text(&item["sku"]).to_owned()).collect()
}

/// The status and slug of a refusal, and where it points.
pub fn refusal(got: &Got) -> (u16, String, String) {
    let pointer = got.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
    assert_eq!(got.header("content-type"), Some("application/problem+json"), "{}", String::from_utf8_lossy(&got.body));
    (got.status.as_u16(), got.slug(), pointer)
}

pub fn told(status: u16, slug: &str, pointer: &str) -> (u16, String, String) {
    (status, slug.to_owned(), pointer.to_owned())
}
