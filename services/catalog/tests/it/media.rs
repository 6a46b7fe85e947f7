//! K-04: images, by a signed URL or sent along.

use std::time::Duration;

use http::Method;
use platform::testing::{Got, Stage};
use serde_json::{Value as Json, json};

use crate::{UPDATED, create, lamp, path, refusal, settle, stage, text, told};

fn png(width: u32, height: u32) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2, 0, 0, 0, 1, 2, 3, 4]].concat()
}

async fn announce(stage: &Stage, product: &Json, name: &str, content_type: &str) -> Json {
    let got = stage.post(&format!("{}/media", path(product)), &json!({"fileName": name, "contentType": content_type})).await;
    assert_eq!(got.status, 201, "{}", got.json());
    got.json()
}

/// Makes the signed call of a medium.
async fn upload(stage: &Stage, medium: &Json, bytes: Vec<u8>) -> Got {
    let headers = medium["headers"].as_object().expect("headers");
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    stage.send_bytes(Method::PUT, text(&medium["uploadUrl"]), bytes, &headers).await
}

fn medium_path(medium: &Json) -> String {
    format!("/products/{}/media/{}", text(&medium["productId"]), text(&medium["mediaId"]))
}

async fn look(stage: &Stage, medium: &Json) -> Json {
    stage.get(&medium_path(medium)).await.json()
}

fn form(parts: &[(&str, Option<&str>, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content_type, bytes) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\nContent-Type: {content_type}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    body
}

async fn send_form(stage: &Stage, product: &Json, body: Vec<u8>, more: &[(&str, &str)]) -> Got {
    let mut headers = vec![("content-type", "multipart/form-data; boundary=XX")];
    headers.extend_from_slice(more);
    stage.send_bytes(Method::POST, &format!("{}/media", path(product)), body, &headers).await
}

#[tokio::test(start_paused = true)]
async fn an_image_is_sent_to_a_signed_url_looked_at_and_shown() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let medium = announce(&stage, &product, "my lamp.png", "image/png").await;
    assert_eq!((&medium["status"], &medium["method"]), (&json!("PENDING"), &json!("PUT")));
    let url = text(&medium["uploadUrl"]);
    let key = format!("catalog/products/{}/{}/my_lamp.png", text(&product["id"]), text(&medium["mediaId"]));
    assert!(url.contains(&key), "{url}");
    assert!(medium["expiresAt"].is_string());
    stage.pass(Duration::from_secs(20)).await;
    assert_eq!(look(&stage, &medium).await["status"], "PENDING");
    assert_eq!(stage.get(&path(&product)).await.json()["media"], json!([]), "nothing is shown before it is there");

    assert_eq!(upload(&stage, &medium, png(640, 480)).await.status, 200);
    let taken = stage.post(&format!("{}/complete", medium_path(&medium)), &json!({})).await;
    assert_eq!(taken.status, 202);
    settle(&stage).await;
    let shown = look(&stage, &medium).await;
    assert_eq!(
        (&shown["status"], &shown["width"], &shown["height"], &shown["size"]),
        (&json!("AVAILABLE"), &json!(640), &json!(480), &json!(33))
    );
    assert_eq!(shown["method"], "GET");
    assert!(shown.get("uploadUrl").is_none());
    let fetched = stage.get(text(&shown["url"])).await;
    assert_eq!((fetched.status.as_u16(), fetched.header("content-type"), fetched.body.to_vec()), (200, Some("image/png"), png(640, 480)));

    let product = stage.get(&path(&product)).await.json();
    let media = &product["media"][0];
    assert_eq!((&media["mediaId"], &media["fileName"], &media["sha256"]), (&medium["mediaId"], &json!("my lamp.png"), &shown["sha256"]));
    assert!(text(&product["rev"]).starts_with("2-"), "one write");
    let events = stage.events(UPDATED).await;
    assert!(
        events.last().expect("an event")["changes"].as_array().expect("changes").iter().any(|change| change["path"] == "/media/0/sha256")
    );
    let facts = stage.facts("media").await;
    assert_eq!((&facts[0]["status"], &facts[0]["sha256"]), (&json!("AVAILABLE"), &shown["sha256"]));
}

#[tokio::test(start_paused = true)]
async fn without_a_word_from_the_client_an_upload_is_found_all_the_same() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let medium = announce(&stage, &product, "a.png", "image/png").await;
    stage.pass(Duration::from_secs(300)).await;
    upload(&stage, &medium, png(1, 1)).await;
    stage.pass(Duration::from_secs(61)).await;
    assert_eq!(look(&stage, &medium).await["status"], "AVAILABLE");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_what_was_announced_is_rejected_with_the_reason() {
    let stage = Stage::of(&[&catalog::MANIFEST], 1, |settings| settings.with("catalog.media_max_bytes", 1_000).expect("a setting")).await;
    let product = create(&stage, &lamp("A")).await;
    for (content_type, bytes, reason) in [
        ("image/png", b"<html>".to_vec(), "the bytes are no image; image/png was announced"),
        ("image/jpeg", png(1, 1), "the bytes are image/png; image/jpeg was announced"),
        ("image/png", png(0, 1), "the bytes are no image; image/png was announced"),
    ] {
        let medium = announce(&stage, &product, "a", content_type).await;
        assert_eq!(upload(&stage, &medium, bytes).await.status, 200);
        stage.pass(Duration::from_secs(5)).await;
        let seen = look(&stage, &medium).await;
        assert_eq!((&seen["status"], &seen["reason"]), (&json!("REJECTED"), &json!(reason)));
        assert!(seen.get("url").is_none());
    }
    let late = announce(&stage, &product, "a.png", "image/png").await;
    assert_eq!(upload(&stage, &late, vec![0; 1_001]).await.status, 413, "the signed URL itself bounds the size");
    stage.pass(Duration::from_secs(1_100)).await;
    assert_eq!(look(&stage, &late).await["reason"], "nothing was uploaded in time");
    assert_eq!(upload(&stage, &late, png(1, 1)).await.status, 403, "and is of no use any more");
    assert_eq!(stage.get(&path(&product)).await.json(), product, "the product never changed");
    assert_eq!(stage.get(&format!("{}/media?limit=2", path(&product))).await.json()["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_checked_cannot_be_changed_by_the_url_that_brought_it() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let medium = announce(&stage, &product, "a.png", "image/png").await;
    upload(&stage, &medium, png(1, 1)).await;
    stage.pass(Duration::from_secs(5)).await;
    let shown = look(&stage, &medium).await;
    upload(&stage, &medium, b"something else".to_vec()).await;
    stage.pass(Duration::from_secs(5)).await;
    assert_eq!(stage.get(text(&shown["url"])).await.body.to_vec(), png(1, 1));
    stage.pass(Duration::from_secs(1_000)).await;
    assert_eq!(look(&stage, &medium).await["sha256"], shown["sha256"]);
    assert_eq!(stage.get(text(&look(&stage, &medium).await["url"])).await.body.to_vec(), png(1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_image_can_be_sent_along_once_for_its_key() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let image = png(2, 3);
    let body = form(&[("file", Some("đèn.png"), "image/png", &image)]);
    let got = send_form(&stage, &product, body.clone(), &[("idempotency-key", "k")]).await;
    assert_eq!(got.status, 201, "{}", got.json());
    let medium = got.json();
    assert_eq!((got.header("location"), &medium["fileName"]), (Some(medium_path(&medium).as_str()), &json!("đèn.png")));
    settle(&stage).await;
    assert_eq!(look(&stage, &medium).await["status"], "AVAILABLE");
    let again = send_form(&stage, &product, body, &[("idempotency-key", "k")]).await;
    assert_eq!((again.body.clone(), again.header("idempotency-replayed")), (got.body, Some("true")));
    let other = form(&[("file", Some("b.png"), "image/png", &image)]);
    assert_eq!(send_form(&stage, &product, other, &[("idempotency-key", "k")]).await.slug(), "idempotency-key-reused");
    assert_eq!(stage.facts("media").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn broken_and_wrong_forms_are_refused() {
    let stage =
        Stage::of(&[&catalog::MANIFEST], 1, |settings| settings.with("catalog.media_max_bytes", 2_000_000).expect("a setting")).await;
    let product = create(&stage, &lamp("A")).await;
    let image = png(1, 1);
    let send = async |body: Vec<u8>| refusal(&send_form(&stage, &product, body, &[]).await);
    assert_eq!(send(form(&[])).await, told(422, "invalid", "#/file"));
    assert_eq!(send(form(&[("other", Some("a.png"), "image/png", &image)])).await, told(422, "invalid", "#/other"));
    assert_eq!(send(form(&[("file", None, "image/png", &image)])).await, told(422, "invalid", "#/file"));
    assert_eq!(send(form(&[("file", Some("a.png"), "image/png", b"")])).await, told(422, "invalid", "#/file"));
    let twice = [("file", Some("a.png"), "image/png", image.as_slice()), ("file", Some("b.png"), "image/png", image.as_slice())];
    assert_eq!(send(form(&twice)).await, told(422, "invalid", "#/file"));
    assert_eq!(send(form(&[("file", Some("a.svg"), "image/svg+xml", b"<svg/>")])).await, told(415, "unsupported-media-type", ""));
    assert_eq!(send(form(&[("file", Some("a.png"), "image/png", &vec![0; 2_000_001])])).await, told(413, "too-large", ""));
    assert_eq!(send(form(&[("file", Some("a.png"), "image/png", &vec![0; 3_000_000])])).await, told(413, "too-large", ""));
    let whole = form(&[("file", Some("a.png"), "image/png", &image)]);
    assert_eq!(send(whole[..whole.len() - 10].to_vec()).await, told(400, "unreadable", ""));
    assert_eq!(send(b"no form at all".to_vec()).await, told(400, "unreadable", ""));
    let no_boundary = [("content-type", "multipart/form-data")];
    let media = format!("{}/media", path(&product));
    assert_eq!(refusal(&stage.send_bytes(Method::POST, &media, whole.clone(), &no_boundary).await), told(400, "unreadable", ""));
    assert_eq!(stage.send_bytes(Method::POST, &media, whole.clone(), &[("content-type", "text/plain")]).await.status, 415);
    let large = form(&[("file", Some("a.png"), "image/png", &[image.clone(), vec![0; 1_500_000]].concat())]);
    assert_eq!(send_form(&stage, &product, large, &[]).await.status, 201, "larger than the limit on JSON");
    assert_eq!(
        refusal(&stage.post(&media, &json!({"fileName": "a", "contentType": "text/html"})).await),
        told(422, "invalid", "#/contentType")
    );
    let nowhere = "/products/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
    assert_eq!(stage.post(&format!("{nowhere}/media"), &json!({"fileName": "a", "contentType": "image/png"})).await.status, 404);
    assert_eq!(stage.get(&format!("{nowhere}/media/0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22")).await.status, 404);
    assert_eq!(stage.facts("media").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn media_are_kept_put_in_order_and_removed_with_their_objects() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let (first, second) = (announce(&stage, &product, "1.png", "image/png").await, announce(&stage, &product, "2.png", "image/png").await);
    upload(&stage, &first, png(1, 1)).await;
    upload(&stage, &second, png(2, 2)).await;
    stage.pass(Duration::from_secs(10)).await;
    let both = stage.get(&path(&product)).await.json();
    assert_eq!(both["media"].as_array().map(Vec::len), Some(2));
    let kept = stage.put(&path(&product), &json!({"sku": "A", "title": "B", "rev": both["rev"]})).await.json();
    assert_eq!(kept["media"], both["media"]);
    let urls = [look(&stage, &first).await, look(&stage, &second).await].map(|medium| text(&medium["url"]).to_owned());
    let turned = json!({"sku": "A", "title": "B", "rev": kept["rev"], "media": [{"mediaId": second["mediaId"]}]});
    assert_eq!(stage.put(&path(&product), &turned).await.json()["media"][0]["mediaId"], second["mediaId"]);
    settle(&stage).await;
    assert_eq!(look(&stage, &first).await["status"], "REMOVED");
    assert_eq!(stage.get(&urls[0]).await.status, 404, "its object is gone");
    assert_eq!(stage.get(&urls[1]).await.status, 200);
    let now = stage.get(&path(&product)).await.json();
    stage.delete(&format!("{}?rev={}", path(&product), text(&now["rev"]))).await;
    settle(&stage).await;
    assert_eq!(stage.get(&urls[1]).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_announced_that_the_object_store_only_says_it_has() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let medium = announce(&stage, &product, "a.png", "image/png").await;
    upload(&stage, &medium, png(1, 1)).await;
    let fault = json!({"rule": "drop", "scope": {"service": "catalog"}, "for": 30});
    assert_eq!(stage.admin(Method::PUT, "/lab/faults/blob.put", Some(&fault)).await.status, 200);
    stage.pass(Duration::from_secs(20)).await;
    assert_eq!(look(&stage, &medium).await["status"], "PENDING");
    assert_eq!(stage.get(&path(&product)).await.json()["media"], json!([]));
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(look(&stage, &medium).await["status"], "AVAILABLE");
    assert_eq!(stage.get(text(&look(&stage, &medium).await["url"])).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn many_images_at_once_are_all_taken_in_beside_other_changes() {
    let stage = stage().await;
    stage.world.start(&catalog::MANIFEST, 1).await.expect("a second instance");
    let product = create(&stage, &lamp("A")).await;
    let mut media = Vec::new();
    for n in 0..10 {
        let medium = announce(&stage, &product, &format!("{n}.png"), "image/png").await;
        upload(&stage, &medium, png(n + 1, 1)).await;
        media.push(medium);
    }
    for n in 0..40 {
        stage.pass(Duration::from_millis(100)).await;
        let now = stage.get(&path(&product)).await.json();
        stage.put(&path(&product), &json!({"sku": "A", "title": format!("T{n}"), "rev": now["rev"]})).await;
    }
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(stage.get(&path(&product)).await.json()["media"].as_array().map(Vec::len), Some(10));
    for medium in media {
        assert_eq!(look(&stage, &medium).await["status"], "AVAILABLE");
    }
}

#[tokio::test(start_paused = true)]
async fn a_product_has_at_most_fifty_media() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    for n in 0..50 {
        announce(&stage, &product, &format!("{n}.png"), "image/png").await;
    }
    let more = stage.post(&format!("{}/media", path(&product)), &json!({"fileName": "x", "contentType": "image/png"})).await;
    assert_eq!(refusal(&more), told(409, "media-limit", ""));
}

#[tokio::test(start_paused = true)]
async fn signed_urls_lead_to_where_the_request_came_in() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let ask = async |stage: &Stage, host: &str, proto: &str| {
        let body = json!({"fileName": "a", "contentType": "image/png"});
        let got = stage
            .send(Method::POST, &format!("{}/media", path(&product)), Some(&body), &[("host", host), ("x-forwarded-proto", proto)])
            .await;
        text(&got.json()["uploadUrl"]).split("/blobs/").next().expect("a beginning").to_owned()
    };
    assert_eq!(ask(&stage, "localhost:8080", "").await, "http://localhost:8080");
    assert_eq!(ask(&stage, "shop.example.com", "https").await, "https://shop.example.com");
    assert_eq!(ask(&stage, "a/b@c", "").await, "", "what is no host is not taken");
}
