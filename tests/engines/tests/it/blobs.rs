use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use engine_tests::{no_faults, s3_settings};
use object_store::{Attribute, Attributes, ObjectStore, PutOptions, aws::AmazonS3Builder};
use platform::{
    Chance, Clock,
    auth::Secret,
    blob::{BlobError, Blobs, Constraints, Method, OBJECT_MAX_BYTES, Presigned},
    fault::Faults,
    settings::S3Settings,
};
use rand::RngExt;
use reqwest::{Client, StatusCode, header};

const MINUTE: Duration = Duration::from_secs(60);

async fn fresh() -> (Blobs, Faults, ()) {
    let faults = Faults::new(Clock::real(), Chance::seeded(1));
    (Blobs::on_s3(&s3_settings(), Clock::real(), faults.clone()).unwrap(), faults, ())
}

platform::blob_suite!(
    #[tokio::test]
    fresh
);

fn over(settings: &S3Settings, clock: Clock) -> Blobs {
    Blobs::on_s3(settings, clock, no_faults()).unwrap()
}

fn png() -> Constraints {
    Constraints { content_type: Some("image/png".into()), max_size: Some(10) }
}

async fn send(presigned: &Presigned, body: &'static [u8]) -> StatusCode {
    let method = match presigned.method {
        Method::Put => reqwest::Method::PUT,
        Method::Get => reqwest::Method::GET,
    };
    let mut request = Client::new().request(method, &presigned.url).body(body);
    for (name, value) in &presigned.headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_plain_client_puts_and_gets_with_signed_urls() {
    let (blobs, _, ()) = fresh().await;
    blobs.prepare().await.unwrap();
    let key = "catalog/products/1/day=2026-01-05/lamp.png";
    let upload = blobs.presign("http://ignored", Method::Put, key, MINUTE, png()).unwrap();
    assert_eq!(upload.headers, BTreeMap::from([("content-type".to_owned(), "image/png".to_owned())]));
    assert_eq!(send(&upload, b"hello").await, StatusCode::OK);
    // It was put past this process, and is what any object is.
    let info = blobs.head(key).await.unwrap();
    assert_eq!((info.size, info.content_type.as_str()), (5, "image/png"));
    assert_eq!(info.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    let object = blobs.get(key).await.unwrap();
    assert_eq!((object.info, &object.bytes[..]), (info, &b"hello"[..]));
    let download = blobs.presign("", Method::Get, key, MINUTE, Constraints::default()).unwrap();
    let answer = Client::new().get(&download.url).send().await.unwrap();
    assert_eq!((answer.status(), &answer.headers()[header::CONTENT_TYPE]), (StatusCode::OK, &"image/png".parse().unwrap()));
    assert_eq!(answer.headers()[header::CONTENT_DISPOSITION], "attachment; filename=\"lamp.png\"");
    assert_eq!(&answer.bytes().await.unwrap()[..], b"hello");
    let later = Clock::real().now().plus(MINUTE);
    assert!(download.expires_at <= later && later.since(download.expires_at) <= Duration::from_secs(2), "{}", download.expires_at);
}

#[tokio::test]
async fn a_signed_url_allows_one_act_on_one_object_until_its_end() {
    let settings = s3_settings();
    let blobs = over(&settings, Clock::real());
    blobs.put("a", Bytes::from_static(b"hello"), "image/png").await.unwrap();
    let client = Client::new();
    // What lacks a signed header is 400 to some stores and 403 to others.
    let refused = async |request: reqwest::RequestBuilder| {
        let status = request.send().await.unwrap().status();
        assert!([StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST].contains(&status), "{status}");
    };
    let download = blobs.presign("", Method::Get, "a", MINUTE, Constraints::default()).unwrap().url;
    refused(client.put(&download).body("mine")).await;
    refused(client.delete(&download)).await;
    refused(client.get(download.replace("/a%21?", "/b%21?"))).await;
    refused(client.get(download.replace("attachment", "inline"))).await;
    refused(client.get(download.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))).await;
    refused(client.get(download.split('?').next().unwrap())).await;
    let upload = blobs.presign("", Method::Put, "b", MINUTE, png()).unwrap().url;
    refused(client.get(&upload)).await;
    refused(client.put(&upload).header("content-type", "text/html").body("<script>")).await;
    refused(client.put(&upload).body("without a type")).await;
    assert!(matches!(blobs.head("b").await, Err(BlobError::NotFound(_))), "nothing of that was stored");
    assert_eq!(&blobs.get("a").await.unwrap().bytes[..], b"hello");
    // Signed ten minutes ago for a minute.
    let past = over(&settings, Clock::by_hand(Clock::real().now().minus(10 * MINUTE)));
    for (method, constraints) in [(Method::Get, Constraints::default()), (Method::Put, png())] {
        let late = past.presign("", method, "a", MINUTE, constraints).unwrap();
        assert_eq!(send(&late, b"late").await, StatusCode::FORBIDDEN);
    }
    let week = platform::blob::PRESIGN_MAX;
    assert!(blobs.presign("", Method::Get, "a", week + Duration::from_secs(1), Constraints::default()).is_err());
    assert!(blobs.presign("", Method::Get, "a", week, Constraints::default()).is_ok());
}

#[tokio::test]
async fn bytes_that_are_not_what_was_put_are_told_and_never_served() {
    let settings = s3_settings();
    let blobs = over(&settings, Clock::real());
    blobs.put("a", Bytes::from_static(b"hello"), "text/plain").await.unwrap();
    let digest = blobs.head("a").await.unwrap().sha256;
    // Somebody who has the keys puts other bytes there under the old description.
    put_past_us(&settings, "a!", "jello", &digest).await;
    assert!(matches!(blobs.get("a").await, Err(BlobError::Damaged(_))));
    // What was not signed cannot be said of an object: a client does not say which digest its bytes have.
    let upload = blobs.presign("", Method::Put, "b", MINUTE, Constraints::default()).unwrap();
    let claim = Client::new().put(&upload.url).header("x-amz-meta-sha256", &digest).body("mine").send().await.unwrap().status();
    let told = blobs.get("b").await;
    assert!(claim.is_client_error() && matches!(told, Err(BlobError::NotFound(_))), "{claim} {told:?}");
    assert_eq!(send(&upload, b"mine").await, StatusCode::OK, "it was that header which was refused");
}

/// Puts bytes with a description of somebody's own.
async fn put_past_us(settings: &S3Settings, name: &str, bytes: &'static str, digest: &str) {
    let store = AmazonS3Builder::new()
        .with_endpoint(&settings.endpoint)
        .with_region(&settings.region)
        .with_bucket_name(&settings.bucket)
        .with_access_key_id(settings.access_key.as_ref().unwrap().expose())
        .with_secret_access_key(settings.secret_key.as_ref().unwrap().expose())
        .with_allow_http(true)
        .build()
        .unwrap();
    let attributes = Attributes::from_iter([(Attribute::Metadata("sha256".into()), digest.to_owned())]);
    let options = PutOptions { attributes, ..PutOptions::default() };
    store.put_opts(&name.into(), bytes.into(), options).await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_find_that_out() {
    let settings = s3_settings();
    let blobs = over(&settings, Clock::real());
    blobs.prepare().await.unwrap();
    let upload = blobs.presign("", Method::Put, "a", MINUTE, Constraints { content_type: None, max_size: Some(10) }).unwrap();
    let bytes = vec![0_u8; usize::try_from(OBJECT_MAX_BYTES).unwrap() + 1];
    // S3 cannot be told how large an upload may be, so it is for the one who takes it in to look.
    assert_eq!(Client::new().put(&upload.url).body(bytes).send().await.unwrap().status(), StatusCode::OK);
    for answer in [blobs.head("a").await.map(drop), blobs.get("a").await.map(drop)] {
        assert!(matches!(answer, Err(BlobError::TooLarge { size, .. }) if size == OBJECT_MAX_BYTES + 1), "{answer:?}");
    }
    blobs.delete("a").await.unwrap();
}

#[tokio::test]
async fn a_list_of_more_than_a_page_is_whole_and_in_order() {
    let (blobs, _, ()) = fresh().await;
    let keys: Vec<String> = (0..1_020).map(|nth| format!("many/{nth:04}")).collect();
    for some in keys.chunks(32) {
        futures::future::join_all(some.iter().map(|key| blobs.put(key, Bytes::new(), "text/plain"))).await;
    }
    let first = blobs.list("many", 5_000, None).await.unwrap();
    let second = blobs.list("many", 5_000, first.next_cursor.as_deref()).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next_cursor), (1_000, 20, None));
    assert!(first.items.iter().chain(&second.items).map(|listed| &listed.key).eq(&keys));
}

#[tokio::test]
async fn a_store_that_is_gone_refuses_or_hangs_is_an_error_in_bounded_time() {
    let gone = S3Settings { endpoint: "http://127.0.0.1:1".into(), try_timeout_ms: 200, timeout_ms: 1_000, ..s3_settings() };
    // Takes connections and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = S3Settings { endpoint: format!("http://{}", listener.local_addr().unwrap()), ..gone.clone() };
    for settings in [gone, mute] {
        let blobs = over(&settings, Clock::real());
        let began = Clock::real().now();
        assert!(matches!(blobs.put("a", Bytes::new(), "text/plain").await, Err(BlobError::Unavailable { source: Some(_), .. })));
        assert!(matches!(blobs.get("a").await, Err(BlobError::Unavailable { .. })));
        let took = Clock::real().now().since(began);
        assert!(took < Duration::from_secs(3), "two calls with a second for each took {took:?}");
    }
    let stranger = S3Settings { secret_key: Some(Secret::new("sesame").unwrap()), ..s3_settings() };
    let refused = over(&stranger, Clock::real()).prepare().await.unwrap_err();
    assert!(matches!(refused, BlobError::Bucket { .. }), "{refused:?}");
    assert!(!format!("{refused:?} {refused} {:?}", over(&stranger, Clock::real())).contains("sesame"));
}

/// What a call answered, as far as both floors must agree on it.
fn said<T: std::fmt::Debug>(answer: Result<T, BlobError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(BlobError::NotFound(key)) => format!("no {key}"),
        Err(BlobError::Digest { .. }) => "another digest".into(),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn ten_thousand_operations_have_the_same_answers_in_memory_and_in_s3() {
    let (seed, mut chance) = crate::seeded();
    let memory = Blobs::in_memory(Clock::real(), no_faults(), Secret::new("signs URLs").unwrap());
    let (engine, _, ()) = fresh().await;
    let keys = ["a", "a/b", "a/b/c", "a-b", "a/b.c", "ab", "z=1/x_y", "Z", "0/1/2/3"];
    let mut found = 0;
    for nth in 0..crate::OPERATIONS {
        let key = keys[chance.random_range(0..keys.len())];
        let bytes = Bytes::from(vec![u8::try_from(nth % 251).unwrap(); chance.random_range(0..300)]);
        let kind = ["text/plain", "image/png", " text/html; charset=utf-8 "][chance.random_range(0..3)];
        let prefix = ["", "a", "a/", "a/b", "z=1", "nothing"][chance.random_range(0..6)];
        let limit = chance.random_range(1..5);
        let cursor = Some(keys[chance.random_range(0..keys.len())]).filter(|_| nth % 2 == 0);
        let digest = "0".repeat(64);
        let what = chance.random_range(0..100);
        let ask = async |blobs: &Blobs| match what {
            0..25 => said(blobs.put(key, bytes.clone(), kind).await),
            25..50 => said(blobs.get(key).await),
            50..65 => said(blobs.head(key).await),
            65..78 => said(blobs.delete(key).await),
            78..97 => said(blobs.list(prefix, limit, cursor).await),
            _ => said(blobs.put_expecting(key, bytes.clone(), kind, Some(&digest)).await),
        };
        let (here, there) = (ask(&memory).await, ask(&engine).await);
        assert_eq!(here, there, "operation {nth} of SEED={seed}: {what} on {key}, or {prefix:?} behind {cursor:?}");
        found += usize::from(here.starts_with("Object "));
    }
    assert!(found > 500, "{found} objects read are too few to tell anything");
}
