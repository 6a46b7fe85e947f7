use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

const FIRST: &str = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}"#;
const GOOD: &str = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":1}]}"#;
const BAD: &str = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int"},{"name":"y","type":"int"}]}"#;

struct Api(Router);

impl Api {
    fn new() -> Self {
        Self(router(Registry::in_memory()))
    }

    async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, CONTENT_TYPE);
        let response = self.0.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE, "{method} {path}");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        if status >= 400 {
            assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{method} {path}: {body}");
        }
        (status, body)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, "").await
    }

    async fn post(&self, path: &str, schema: &str) -> (u16, Value) {
        self.send("POST", path, json!({"schema": schema}).to_string()).await
    }

    /// The status and Confluent's code of an answer that must be an error.
    async fn code(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, u64) {
        let (status, body) = self.send(method, path, body).await;
        (status, body["error_code"].as_u64().unwrap_or(0))
    }
}

#[tokio::test]
async fn schemas_are_registered_and_found() {
    let api = Api::new();
    assert_eq!(api.get("/").await, (200, json!({})));
    assert_eq!(api.get("/subjects").await, (200, json!([])));
    assert_eq!(api.post("/subjects/a/versions", FIRST).await, (200, json!({"id": 1})));
    assert_eq!(api.post("/subjects/a/versions", FIRST).await, (200, json!({"id": 1})));
    assert_eq!(api.post("/subjects/a/versions", GOOD).await, (200, json!({"id": 2})));
    assert_eq!(api.post("/subjects/b%2Fc/versions", GOOD).await, (200, json!({"id": 2})));
    assert_eq!(api.get("/subjects").await, (200, json!(["a", "b/c"])));
    assert_eq!(api.get("/subjects?subjectPrefix=b").await, (200, json!(["b/c"])));
    assert_eq!(api.get("/subjects/a/versions").await, (200, json!([1, 2])));
    let first = json!({"subject": "a", "id": 1, "version": 1, "schema": FIRST});
    assert_eq!(api.get("/subjects/a/versions/1").await, (200, first.clone()));
    assert_eq!(api.post("/subjects/a", FIRST).await, (200, first));
    assert_eq!(api.get("/subjects/a/versions/latest").await.1["version"], 2);
    assert_eq!(api.get("/subjects/a/versions/-1").await.1["version"], 2);
    assert_eq!(api.get("/subjects/a/versions/2/schema").await.1["name"], "R");
    assert_eq!(api.get("/schemas/ids/1").await, (200, json!({"schema": FIRST})));
    assert_eq!(api.get("/schemas/ids/1/schema").await.1["name"], "R");
    assert_eq!(api.get("/schemas/ids/2/versions").await, (200, json!([{"subject": "a", "version": 2}, {"subject": "b/c", "version": 1}])));
    assert_eq!(api.get("/schemas/ids/2/subjects").await, (200, json!(["a", "b/c"])));
    assert_eq!(api.get("/schemas/types").await, (200, json!(["AVRO"])));
}

#[tokio::test]
async fn what_is_missing_has_confluents_codes() {
    let api = Api::new();
    api.post("/subjects/a/versions", FIRST).await;
    assert_eq!(api.code("GET", "/subjects/x/versions", "").await, (404, 40401));
    assert_eq!(api.code("GET", "/subjects/x/versions/latest", "").await, (404, 40401));
    assert_eq!(api.code("GET", "/subjects/a/versions/9", "").await, (404, 40402));
    assert_eq!(api.code("GET", "/schemas/ids/9", "").await, (404, 40403));
    assert_eq!(api.code("GET", "/schemas/ids/9/versions", "").await, (404, 40403));
    assert_eq!(api.code("GET", "/schemas/ids/x", "").await, (404, 404));
    assert_eq!(api.code("POST", "/subjects/x", json!({"schema": FIRST}).to_string()).await, (404, 40401));
    assert_eq!(api.code("POST", "/subjects/a", json!({"schema": GOOD}).to_string()).await, (404, 40403));
    assert_eq!(api.code("DELETE", "/subjects/x", "").await, (404, 40401));
    for version in ["0", "-2", "x", "4294967296"] {
        assert_eq!(api.code("GET", &format!("/subjects/a/versions/{version}"), "").await, (422, 42202), "{version}");
    }
    assert_eq!(api.code("GET", "/nothing", "").await, (404, 404));
    assert_eq!(api.code("PATCH", "/subjects", "").await, (405, 405));
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let api = Api::new();
    let path = "/subjects/a/versions";
    assert_eq!(api.code("POST", path, json!({"schema": "{}"}).to_string()).await, (422, 42201));
    assert_eq!(api.code("POST", path, json!({"schema": FIRST, "schemaType": "PROTOBUF"}).to_string()).await, (422, 42201));
    assert_eq!(api.code("POST", path, json!({"schema": FIRST, "references": [{"name": "x"}]}).to_string()).await, (422, 42201));
    assert_eq!(api.code("POST", path, "nonsense").await, (400, 400));
    assert_eq!(api.code("POST", path, "{}").await, (400, 400));
    assert_eq!(api.code("PUT", "/config", json!({"compatibility": "SOMETIMES"}).to_string()).await, (422, 42203));
    assert_eq!(api.code("PUT", "/mode", json!({"mode": "IMPORT"}).to_string()).await, (422, 42204));
    assert_eq!(api.code("POST", "/subjects/a%0Ab/versions", json!({"schema": FIRST}).to_string()).await, (422, 42208));
    let body = json!({"schema": FIRST, "schemaType": "AVRO", "references": []}).to_string();
    for (kind, status) in [("application/json", 200), ("application/vnd.schemaregistry+json; charset=utf-8", 200), ("text/plain", 415)] {
        let request = Request::post(path).header(header::CONTENT_TYPE, kind).body(Body::from(body.clone())).unwrap();
        assert_eq!(api.0.clone().oneshot(request).await.unwrap().status(), status, "{kind}");
    }
    let request = Request::post(path).body(Body::from(body)).unwrap();
    assert_eq!(api.0.clone().oneshot(request).await.unwrap().status(), 200, "no content type at all");
}

#[tokio::test]
async fn an_incompatible_schema_is_a_conflict_and_the_check_says_so_before() {
    let api = Api::new();
    api.post("/subjects/a/versions", FIRST).await;
    for version in ["latest", "1"] {
        let path = format!("/compatibility/subjects/a/versions/{version}");
        assert_eq!(api.post(&path, GOOD).await, (200, json!({"is_compatible": true})));
        assert_eq!(api.post(&path, BAD).await, (200, json!({"is_compatible": false})));
    }
    let (_, verdict) = api.post("/compatibility/subjects/a/versions?verbose=true", BAD).await;
    assert!(verdict["messages"][0].as_str().is_some_and(|message| message.contains("/y")), "{verdict}");
    assert_eq!(api.post("/compatibility/subjects/new/versions", BAD).await.1["is_compatible"], true);
    assert_eq!(api.code("POST", "/compatibility/subjects/a/versions/7", json!({"schema": GOOD}).to_string()).await, (404, 40402));
    let (status, body) = api.post("/subjects/a/versions", BAD).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(409)));
    assert!(body["message"].as_str().is_some_and(|message| message.contains("`/y`")), "{body}");
}

#[tokio::test]
async fn levels_are_set_read_and_taken_away() {
    let api = Api::new();
    assert_eq!(api.get("/config").await, (200, json!({"compatibilityLevel": "BACKWARD"})));
    assert_eq!(api.code("GET", "/config/a", "").await, (404, 40408));
    assert_eq!(api.get("/config/a?defaultToGlobal=true").await, (200, json!({"compatibilityLevel": "BACKWARD"})));
    let body = json!({"compatibility": "FORWARD_TRANSITIVE"});
    assert_eq!(api.send("PUT", "/config/a", body.to_string()).await, (200, body));
    assert_eq!(api.get("/config/a").await, (200, json!({"compatibilityLevel": "FORWARD_TRANSITIVE"})));
    assert_eq!(api.send("DELETE", "/config/a", "").await, (200, json!({"compatibilityLevel": "FORWARD_TRANSITIVE"})));
    assert_eq!(api.code("DELETE", "/config/a", "").await, (404, 40408));
    assert_eq!(api.send("PUT", "/config", json!({"compatibility": "none"}).to_string()).await, (200, json!({"compatibility": "NONE"})));
    api.post("/subjects/a/versions", FIRST).await;
    assert_eq!(api.post("/subjects/a/versions", BAD).await.0, 200, "NONE allows everything");
    assert_eq!(api.send("DELETE", "/config", "").await, (200, json!({"compatibilityLevel": "NONE"})));
    assert_eq!(api.get("/config").await, (200, json!({"compatibilityLevel": "BACKWARD"})));
    assert_eq!(api.get("/mode").await, (200, json!({"mode": "READWRITE"})));
    assert_eq!(api.get("/mode/a").await, (200, json!({"mode": "READWRITE"})));
    assert_eq!(api.send("PUT", "/mode", json!({"mode": "READWRITE"}).to_string()).await.0, 200);
}

#[tokio::test]
async fn deleting_is_soft_first_and_hard_then() {
    let api = Api::new();
    api.post("/subjects/a/versions", FIRST).await;
    api.post("/subjects/a/versions", GOOD).await;
    assert_eq!(api.code("DELETE", "/subjects/a/versions/2?permanent=true", "").await, (404, 40407));
    assert_eq!(api.send("DELETE", "/subjects/a/versions/2", "").await, (200, json!(2)));
    assert_eq!(api.code("DELETE", "/subjects/a/versions/2", "").await, (404, 40406));
    assert_eq!(api.get("/subjects/a/versions").await, (200, json!([1])));
    assert_eq!(api.get("/subjects/a/versions?deleted=true").await, (200, json!([1, 2])));
    assert_eq!(api.get("/subjects/a/versions/2?deleted=true").await.0, 200);
    assert_eq!(api.get("/schemas/ids/2").await.0, 200);
    assert_eq!(api.send("DELETE", "/subjects/a/versions/2?permanent=true", "").await, (200, json!(2)));
    assert_eq!(api.code("GET", "/schemas/ids/2", "").await, (404, 40403));
    assert_eq!(api.code("DELETE", "/subjects/a?permanent=true", "").await, (404, 40405));
    assert_eq!(api.send("DELETE", "/subjects/a", "").await, (200, json!([1])));
    assert_eq!(api.code("DELETE", "/subjects/a", "").await, (404, 40404));
    assert_eq!(api.get("/subjects").await, (200, json!([])));
    assert_eq!(api.get("/subjects?deleted=true").await, (200, json!(["a"])));
    assert_eq!(api.send("DELETE", "/subjects/a?permanent=true", "").await, (200, json!([1])));
    assert_eq!(api.code("DELETE", "/subjects/a?permanent=true", "").await, (404, 40401));
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_an_error_and_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::over_a_read_only_file(&folder.path().join("schemas.ndjson"));
    let api = Api(router(registry.clone()));
    for _ in 0..2 {
        assert_eq!(api.code("POST", "/subjects/a/versions", json!({"schema": FIRST}).to_string()).await, (500, 50001));
        assert!(registry.subjects_with(true).is_empty(), "what is not on the disk must not be seen");
    }
}
