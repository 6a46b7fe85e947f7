use std::time::Duration;

use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    auth::Secret,
    blob::{Constraints, Presigned},
    chance::Chance,
    clock::Clock,
    fault::{Fault, Faults, Rule, Scope},
};

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const HELLO_DIGEST: &str = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";

fn world() -> (Blobs, Faults, Clock) {
    let clock = Clock::simulated();
    let faults = Faults::new(clock, Chance::seeded(1));
    (Blobs::in_memory(clock, faults.clone(), Secret::new("signs URLs").unwrap()), faults, clock)
}

fn sign(blobs: &Blobs, method: Method, key: &str, constraints: Constraints) -> Presigned {
    blobs.presign("", method, key, Duration::from_secs(60), constraints).unwrap()
}

fn uploads(blobs: &Blobs, content_type: Option<&str>, max_size: Option<u64>) -> String {
    sign(blobs, Method::Put, "a/b.txt", Constraints { content_type: content_type.map(Into::into), max_size }).url
}

async fn call(blobs: &Blobs, method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router(blobs.clone()).oneshot(request.body(body.into()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 100_000).await.unwrap().to_vec()).unwrap()
}

/// The status and the slug, of an answer that must be a whole problem.
async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["status"], status);
    assert!(body["title"].is_string() && !body["detail"].as_str().unwrap().is_empty());
    (status, body["type"].as_str().unwrap().strip_prefix("urn:crashcart:problem:").unwrap().to_owned())
}

async fn refused(blobs: &Blobs, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, String) {
    let answer = problem(call(blobs, "PUT", url, headers, body).await).await;
    assert!(matches!(blobs.get("a/b.txt").await, Err(BlobError::NotFound(_))), "a refused upload stores nothing");
    answer
}

fn because(status: u16, slug: &str) -> (u16, String) {
    (status, slug.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_client_sends_and_fetches_bytes_with_nothing_but_signed_urls() {
    let (blobs, ..) = world();
    let constraints = Constraints { content_type: Some("text/plain; charset=utf-8".into()), max_size: Some(5) };
    let signed = sign(&blobs, Method::Put, "a/b.txt", constraints);
    let headers: Vec<_> = signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let put = call(&blobs, "PUT", &signed.url, &headers, "hello").await;
    assert_eq!((put.status(), put.headers()[header::ETAG].to_str().unwrap().len()), (StatusCode::OK, 34));
    let signed = sign(&blobs, Method::Get, "a/b.txt", Constraints::default());
    let get = call(&blobs, "GET", &signed.url, &[], "").await;
    assert_eq!(get.status(), StatusCode::OK);
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("repr-digest", HELLO_DIGEST),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment"),
        ("etag", "\"2cf24dba5fb0a30e26e83b2ac5b9e29e\""),
    ] {
        assert_eq!(get.headers()[name], value);
    }
    assert_eq!(text(get).await, "hello");
    let head = call(&blobs, "HEAD", &signed.url, &[], "").await;
    assert_eq!((head.status(), &head.headers()[header::CONTENT_LENGTH]), (StatusCode::OK, &header::HeaderValue::from_static("5")));
    assert_eq!(text(head).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_signed_url_shows_as_the_contract_says() {
    let (blobs, ..) = world();
    let constraints = Constraints { content_type: Some("image/png".into()), max_size: Some(9) };
    let signed = blobs.presign("http://localhost:8080/", Method::Put, "a/b.png", Duration::from_secs(60), constraints).unwrap();
    let shown = serde_json::to_value(&signed).unwrap();
    assert_eq!(shown["method"], "PUT");
    assert_eq!(shown["headers"], json!({"content-type": "image/png"}));
    assert_eq!(shown["expiresAt"], "2026-01-05T00:01:00.000000Z");
    let url = shown["url"].as_str().unwrap();
    let (before, signature) = url.split_once("&signature=").unwrap();
    assert_eq!(before, "http://localhost:8080/blobs/a/b.png?expires=1767571260000000&type=image%2Fpng&max=9");
    assert_eq!(signature.len(), 64);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_changed_about_a_signed_url_it_is_refused() {
    let (blobs, faults, clock) = world();
    let url = uploads(&blobs, Some("text/plain"), Some(5));
    let other_key = Blobs::in_memory(clock, faults, Secret::new("another").unwrap());
    let mut urls = vec![
        "/blobs/a/b.txt".to_owned(),
        "/blobs/..%2f..%2fetc%2fpasswd".to_owned(),
        url.replace("a/b.txt", "a/c.txt"),
        url.replace("a/b.txt", "a/..%2fb.txt"),
        url.replace("expires=1", "expires=2"),
        url.replace("type=text%2Fplain", "type=text%2Fhtml"),
        url.replace("type=text%2Fplain&", ""),
        url.replace("max=5", "max=50"),
        url.replace("&max=5", ""),
        url.replace("signature=", "signature=0"),
        url.replace("&signature=", "&other="),
        format!("{url}&max=6"),
        format!("{url}&more=1"),
        url.split_once("&signature=").unwrap().0.to_owned(),
        format!("{}&signature={}", url.split_once("&signature=").unwrap().0, "0".repeat(64)),
        sign(&blobs, Method::Get, "a/b.txt", Constraints::default()).url,
    ];
    urls.push(uploads(&other_key, Some("text/plain"), Some(5)));
    for changed in urls {
        let headers = [("content-type", "text/plain")];
        assert_eq!(refused(&blobs, &changed, &headers, "hello").await, because(403, "signed-url-invalid"), "{changed}");
    }
    for method in ["GET", "HEAD"] {
        assert_eq!(call(&blobs, method, &url, &[], "").await.status(), 403, "a URL to write does not read");
    }
    for method in ["DELETE", "POST"] {
        assert_eq!(call(&blobs, method, &url, &[], "").await.status(), 405);
    }
    assert_eq!(call(&blobs, "PUT", &url, &[("content-type", "Text/Plain")], "hello").await.status(), 200, "unchanged it works");
}

#[tokio::test(start_paused = true)]
async fn a_signed_url_works_until_it_expires_and_not_a_microsecond_longer() {
    let (blobs, _, clock) = world();
    let url = uploads(&blobs, None, None);
    clock.sleep(Duration::from_micros(59_999_999)).await;
    assert_eq!(call(&blobs, "PUT", &url, &[], "hello").await.status(), 200);
    blobs.delete("a/b.txt").await.unwrap();
    clock.sleep(Duration::from_micros(1)).await;
    assert_eq!(refused(&blobs, &url, &[], "hello").await, because(403, "signed-url-expired"));
}

#[tokio::test(start_paused = true)]
async fn too_many_bytes_are_refused_whether_they_are_announced_or_not() {
    let (blobs, ..) = world();
    let url = uploads(&blobs, None, Some(4));
    let too_large = because(413, "too-large");
    let unread = Body::from_stream(futures::stream::iter([Err::<&str, _>(std::io::Error::other("somebody reads"))]));
    assert_eq!(refused(&blobs, &url, &[("content-length", "5")], unread).await, too_large);
    let stream = || Body::from_stream(futures::stream::iter(["he", "llo"].map(Ok::<_, std::io::Error>)));
    assert_eq!(refused(&blobs, &url, &[], stream()).await, too_large);
    let broken = futures::stream::iter([Ok("he"), Err(std::io::Error::other("gone"))]);
    assert_eq!(refused(&blobs, &url, &[], Body::from_stream(broken)).await, because(400, "unreadable"));
    assert_eq!(call(&blobs, "PUT", &uploads(&blobs, None, Some(5)), &[], stream()).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn only_the_media_type_that_was_signed_is_taken() {
    let (blobs, ..) = world();
    let wrong = because(415, "unsupported-media-type");
    let url = uploads(&blobs, Some("image/png"), None);
    assert_eq!(refused(&blobs, &url, &[("content-type", "text/html")], "hello").await, wrong);
    assert_eq!(refused(&blobs, &url, &[], "hello").await, wrong);
    let any = uploads(&blobs, None, None);
    assert_eq!(refused(&blobs, &any, &[("content-type", "nonsense")], "hello").await, wrong);
    assert_eq!(call(&blobs, "PUT", &any, &[], "hello").await.status(), 200);
    assert_eq!(blobs.head("a/b.txt").await.unwrap().content_type, "application/octet-stream");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_do_not_have_the_digest_that_was_sent_are_not_stored() {
    let (blobs, ..) = world();
    let url = uploads(&blobs, None, None);
    let wrong = because(422, "digest-mismatch");
    let zero = "0".repeat(64);
    for headers in [
        vec![("x-content-sha256", zero.as_str())],
        vec![("x-content-sha256", "short")],
        vec![("x-content-sha256", "00")],
        vec![("content-digest", "sha-256=:AAAA:")],
        vec![("content-digest", "sha-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")],
        vec![("content-digest", "sha-512=:AAAA:, sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")],
        vec![("content-digest", HELLO_DIGEST), ("x-content-sha256", zero.as_str())],
    ] {
        assert_eq!(refused(&blobs, &url, &headers, "hello").await, wrong, "{headers:?}");
    }
    assert_eq!(refused(&blobs, &url, &[("content-digest", HELLO_DIGEST)], "jello").await, wrong);
    for headers in [
        vec![("x-content-sha256", HELLO)],
        vec![("content-digest", HELLO_DIGEST), ("x-content-sha256", HELLO)],
        vec![("content-digest", "sha-512=:AAAA:")],
    ] {
        assert_eq!(call(&blobs, "PUT", &url, &headers, "hello").await.status(), 200, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_object_is_404_and_a_store_that_does_not_answer_503() {
    let (blobs, faults, _) = world();
    let url = sign(&blobs, Method::Get, "a/b.txt", Constraints::default()).url;
    assert_eq!(problem(call(&blobs, "GET", &url, &[], "").await).await, because(404, "not-found"));
    for point in ["blob.get", "blob.put"] {
        faults.set(point, Fault { rule: Rule::Fail, share: 1.0, millis: 0, scope: Scope::default(), for_seconds: None }).unwrap();
    }
    let get = call(&blobs, "GET", &url, &[], "").await;
    assert_eq!(get.headers()[header::RETRY_AFTER], "1");
    assert_eq!(problem(get).await, because(503, "unavailable"));
    let put = call(&blobs, "PUT", &uploads(&blobs, None, None), &[], "hello").await;
    assert_eq!(problem(put).await, because(503, "unavailable"));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_used_is_not_signed() {
    use crate::blob::PresignError;
    let (blobs, ..) = world();
    let minute = Duration::from_secs(60);
    let plain = Constraints::default();
    let sign = |method, key, valid_for, constraints| blobs.presign("", method, key, valid_for, constraints).unwrap_err();
    assert!(matches!(sign(Method::Get, "../a", minute, plain.clone()), BlobError::Key { .. }));
    for valid_for in [Duration::ZERO, Duration::from_secs(604_801)] {
        assert!(matches!(sign(Method::Get, "a", valid_for, plain.clone()), BlobError::Presign(PresignError::Life)));
    }
    let sized = |max_size| Constraints { max_size: Some(max_size), ..Constraints::default() };
    assert!(matches!(sign(Method::Get, "a", minute, sized(1)), BlobError::Presign(PresignError::Download)));
    assert!(matches!(sign(Method::Put, "a", minute, sized(OBJECT_MAX_BYTES + 1)), BlobError::Presign(PresignError::Size)));
    let typed = Constraints { content_type: Some("a/b\nc".into()), max_size: None };
    assert!(matches!(sign(Method::Put, "a", minute, typed), BlobError::ContentType));
}
