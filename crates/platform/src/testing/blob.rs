//! What every store of objects keeps to, wherever they are: run over each floor by `blob_suite!`. `fresh` makes an empty one, with the faults
//! that can be set for it and with what has to be kept meanwhile (a folder).

#![expect(clippy::unwrap_used, reason = "a suite ends at what it does not expect")]

use bytes::Bytes;

use crate::{
    blob::{BlobError, Blobs, KeyError, OBJECT_MAX_BYTES, Object, ObjectInfo},
    fault::{Fault, Faults, Rule, Scope},
};

/// A test for each of the suite's promises: `blob_suite!(#[tokio::test] fresh)`.
#[macro_export]
macro_rules! blob_suite {
    (#[$test:meta] $fresh:path) => {
        $crate::port_suite!(
            #[$test] blob $fresh:
            what_is_put_is_got_with_its_size_digest_and_type,
            a_put_replaces_and_a_delete_can_be_repeated,
            a_key_may_begin_as_another_one_does,
            a_list_goes_by_key_page_by_page_below_whole_segments,
            what_is_wrong_about_an_object_is_refused_before_anything_is_stored,
            a_put_that_fails_is_told_and_one_that_is_dropped_is_not,
            a_get_that_fails_is_told_and_one_that_is_dropped_sees_nothing

        );
    };
}

async fn put(blobs: &Blobs, key: &str, bytes: &'static str) -> ObjectInfo {
    blobs.put(key, Bytes::from_static(bytes.as_bytes()), "text/plain").await.unwrap()
}

async fn keys(blobs: &Blobs, prefix: &str) -> Vec<String> {
    blobs.list(prefix, 100, None).await.unwrap().items.into_iter().map(|listed| listed.key).collect()
}

fn is_unknown<T>(answer: &Result<T, BlobError>) -> bool {
    matches!(answer, Err(BlobError::NotFound(_)))
}

fn fault(rule: Rule, millis: u64) -> Fault {
    Fault { rule, share: 1.0, millis, scope: Scope::default(), for_seconds: None }
}

pub async fn what_is_put_is_got_with_its_size_digest_and_type<T>(fresh: impl AsyncFn() -> (Blobs, Faults, T)) {
    let (blobs, _, _kept) = fresh().await;
    let info = put(&blobs, "labels/1.txt", "hello").await;
    assert_eq!((info.size, info.content_type.as_str()), (5, "text/plain"));
    assert_eq!(info.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!(info.etag, "\"2cf24dba5fb0a30e26e83b2ac5b9e29e\"");
    assert_eq!(blobs.head("labels/1.txt").await.unwrap(), info);
    let object = blobs.get("labels/1.txt").await.unwrap();
    assert_eq!((object.info, &object.bytes[..]), (info, &b"hello"[..]));
    let empty = blobs.put("empty", Bytes::new(), "image/png").await.unwrap();
    assert_eq!(blobs.get("empty").await.unwrap(), Object { info: empty, bytes: Bytes::new() });
}

pub async fn a_put_replaces_and_a_delete_can_be_repeated<T>(fresh: impl AsyncFn() -> (Blobs, Faults, T)) {
    let (blobs, _, _kept) = fresh().await;
    put(&blobs, "a", "one").await;
    let info = blobs.put("a", Bytes::from_static(b"second"), "image/png").await.unwrap();
    assert_eq!(blobs.get("a").await.unwrap().info, info);
    blobs.delete("a").await.unwrap();
    assert!(is_unknown(&blobs.get("a").await) && is_unknown(&blobs.head("a").await));
    blobs.delete("a").await.unwrap();
    blobs.delete("no/such/folder").await.unwrap();
}

pub async fn a_key_may_begin_as_another_one_does<T>(fresh: impl AsyncFn() -> (Blobs, Faults, T)) {
    let (blobs, _, _kept) = fresh().await;
    put(&blobs, "a/b", "below").await;
    put(&blobs, "a", "above").await;
    put(&blobs, "a/b/c", "deeper").await;
    assert_eq!(&blobs.get("a").await.unwrap().bytes[..], b"above");
    assert_eq!(&blobs.get("a/b").await.unwrap().bytes[..], b"below");
    assert_eq!(keys(&blobs, "").await, ["a", "a/b", "a/b/c"]);
}

pub async fn a_list_goes_by_key_page_by_page_below_whole_segments<T>(fresh: impl AsyncFn() -> (Blobs, Faults, T)) {
    let (blobs, _, _kept) = fresh().await;
    for key in ["case/2", "case/1/b", "case/1-x", "case/1/a", "cases/1", "other"] {
        put(&blobs, key, "hello").await;
    }
    assert_eq!(keys(&blobs, "").await, ["case/1-x", "case/1/a", "case/1/b", "case/2", "cases/1", "other"]);
    assert_eq!(keys(&blobs, "case/1").await, ["case/1/a", "case/1/b"]);
    assert_eq!(keys(&blobs, "nothing/").await, Vec::<String>::new());
    let (mut cursor, mut pages) = (None, Vec::new());
    loop {
        let page = blobs.list("case/", 2, cursor.as_deref()).await.unwrap();
        assert!(page.items.iter().all(|listed| listed.size == 5));
        pages.push(page.items.into_iter().map(|listed| listed.key).collect::<Vec<_>>());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [["case/1-x", "case/1/a"], ["case/1/b", "case/2"]]);
    assert!(matches!(blobs.list("../..", 2, None).await, Err(BlobError::Key { .. })));
}

pub async fn what_is_wrong_about_an_object_is_refused_before_anything_is_stored<T>(fresh: impl AsyncFn() -> (Blobs, Faults, T)) {
    let (blobs, _, _kept) = fresh().await;
    let (bytes, zero) = (Bytes::from_static(b"hello"), "0".repeat(64));
    assert!(matches!(blobs.put("../a", bytes.clone(), "text/plain").await, Err(BlobError::Key { source: KeyError::Dots, .. })));
    assert!(matches!(blobs.put("a", bytes.clone(), "text").await, Err(BlobError::ContentType)));
    let expecting = |digest| blobs.put_expecting("a", bytes.clone(), "text/plain", Some(digest));
    assert!(matches!(expecting(&zero).await, Err(BlobError::Digest { .. })));
    let large = Bytes::from(vec![0; OBJECT_MAX_BYTES as usize + 1]);
    assert!(matches!(blobs.put("a", large, "text/plain").await, Err(BlobError::TooLarge { .. })));
    assert_eq!(keys(&blobs, "").await, Vec::<String>::new());
    assert!(expecting("2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824").await.is_ok());
}

pub async fn a_put_that_fails_is_told_and_one_that_is_dropped_is_not<T>(fresh: impl AsyncFn() -> (Blobs, Faults, T)) {
    let (blobs, faults, _kept) = fresh().await;
    faults.set("blob.put", fault(Rule::Fail, 0)).unwrap();
    let failed = blobs.put("a", Bytes::new(), "text/plain").await;
    assert!(matches!(failed, Err(BlobError::Unavailable { source: None, .. })));
    faults.clear(None);
    faults.set("blob.put", fault(Rule::Drop, 0)).unwrap();
    assert_eq!(put(&blobs, "a", "hello").await.size, 5, "it answers as if it had");
    faults.clear(None);
    assert!(is_unknown(&blobs.get("a").await));
}

pub async fn a_get_that_fails_is_told_and_one_that_is_dropped_sees_nothing<T>(fresh: impl AsyncFn() -> (Blobs, Faults, T)) {
    let (blobs, faults, _kept) = fresh().await;
    put(&blobs, "a", "hello").await;
    faults.set("blob.get", fault(Rule::Fail, 0)).unwrap();
    assert!(matches!(blobs.get("a").await, Err(BlobError::Unavailable { .. })));
    assert!(matches!(blobs.head("a").await, Err(BlobError::Unavailable { .. })));
    faults.clear(None);
    faults.set("blob.get", fault(Rule::Drop, 0)).unwrap();
    assert!(is_unknown(&blobs.get("a").await) && is_unknown(&blobs.head("a").await));
    faults.clear(None);
    assert!(blobs.get("a").await.is_ok());
}
