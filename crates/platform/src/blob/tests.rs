use std::time::Duration;

use futures::{FutureExt, future::join};
use tempfile::TempDir;

use super::*;
use crate::{
    chance::Chance,
    fault::{Fault, Rule, Scope},
};

struct World {
    blobs: Blobs,
    faults: Faults,
    clock: Clock,
    folder: Option<TempDir>,
}

fn secret() -> Secret {
    Secret::new("signs URLs").unwrap()
}

fn in_memory() -> World {
    let clock = Clock::simulated();
    let faults = Faults::new(clock, Chance::seeded(1));
    World { blobs: Blobs::in_memory(clock, faults.clone(), secret()), faults, clock, folder: None }
}

fn on_disk(survives_power_cut: bool) -> World {
    let clock = Clock::simulated();
    let faults = Faults::new(clock, Chance::seeded(1));
    let folder = TempDir::new().unwrap();
    let blobs = Blobs::on_disk(&folder.path().join("data/blobs"), survives_power_cut, clock, faults.clone(), secret()).unwrap();
    World { blobs, faults, clock, folder: Some(folder) }
}

/// The suite that every floor passes.
fn floors() -> [World; 3] {
    [in_memory(), on_disk(false), on_disk(true)]
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

#[tokio::test(start_paused = true)]
async fn what_is_put_is_got_with_its_size_digest_and_type() {
    for World { blobs, .. } in floors() {
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
}

#[tokio::test(start_paused = true)]
async fn a_put_replaces_and_a_delete_can_be_repeated() {
    for World { blobs, .. } in floors() {
        put(&blobs, "a", "one").await;
        let info = blobs.put("a", Bytes::from_static(b"second"), "image/png").await.unwrap();
        assert_eq!(blobs.get("a").await.unwrap().info, info);
        blobs.delete("a").await.unwrap();
        assert!(is_unknown(&blobs.get("a").await) && is_unknown(&blobs.head("a").await));
        blobs.delete("a").await.unwrap();
        blobs.delete("no/such/folder").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_may_begin_as_another_one_does() {
    for World { blobs, .. } in floors() {
        put(&blobs, "a/b", "below").await;
        put(&blobs, "a", "above").await;
        put(&blobs, "a/b/c", "deeper").await;
        assert_eq!(&blobs.get("a").await.unwrap().bytes[..], b"above");
        assert_eq!(&blobs.get("a/b").await.unwrap().bytes[..], b"below");
        assert_eq!(keys(&blobs, "").await, ["a", "a/b", "a/b/c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_by_key_page_by_page_below_whole_segments() {
    for World { blobs, .. } in floors() {
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
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_about_an_object_is_refused_before_anything_is_stored() {
    for World { blobs, .. } in floors() {
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
}

#[tokio::test(start_paused = true)]
async fn in_memory_every_answer_comes_inline() {
    let World { blobs, .. } = in_memory();
    // Polled once: what had to wait for a thread would have no answer yet.
    assert!(put(&blobs, "a", "hello").now_or_never().is_some());
    assert!(blobs.get("a").now_or_never().unwrap().is_ok());
    assert!(blobs.head("a").now_or_never().unwrap().is_ok());
    assert_eq!(blobs.list("", 9, None).now_or_never().unwrap().unwrap().items.len(), 1);
    assert!(blobs.delete("a").now_or_never().unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn objects_on_disk_are_there_when_the_folder_is_opened_again() {
    for world in [on_disk(false), on_disk(true)] {
        put(&world.blobs, "deep/er/a", "hello").await;
        let root = world.folder.as_ref().unwrap().path().join("data/blobs");
        drop(world.blobs);
        // What a crash in the middle of a put leaves behind, and what somebody else has put there.
        std::fs::write(root.join("deep/er/b.blob#1"), "hal").unwrap();
        std::fs::write(root.join("README"), "what is this").unwrap();
        let again = Blobs::on_disk(&root, true, world.clock, world.faults, secret()).unwrap();
        assert_eq!(keys(&again, "").await, ["deep/er/a"]);
        assert_eq!(&again.get("deep/er/a").await.unwrap().bytes[..], b"hello");
        assert_eq!(&put(&again, "deep/er/b", "whole").await.size, &5);
    }
}

#[tokio::test(start_paused = true)]
async fn damage_on_disk_is_told_and_never_served() {
    let world = on_disk(false);
    let file = world.folder.as_ref().unwrap().path().join("data/blobs/a.blob");
    put(&world.blobs, "a", "hello").await;
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, [b"jello", &whole[5..]].concat()).unwrap();
    assert!(matches!(world.blobs.get("a").await, Err(BlobError::Damaged(_))));
    for length in [0, 3, 260] {
        std::fs::write(&file, &whole[..length]).unwrap();
        assert!(matches!(world.blobs.get("a").await, Err(BlobError::Damaged(_))), "cut to {length}");
        assert!(world.blobs.head("a").await.is_err(), "cut to {length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_used_is_an_error_at_the_start_and_later() {
    let world = on_disk(true);
    let root = world.folder.as_ref().unwrap().path().join("data/blobs");
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::write(&root, "a file in its place").unwrap();
    let refused = Blobs::on_disk(&root, true, world.clock, world.faults.clone(), secret());
    assert!(refused.unwrap_err().to_string().contains("may write to"));
    let unavailable = world.blobs.put("a", Bytes::new(), "text/plain").await;
    assert!(matches!(unavailable, Err(BlobError::Unavailable { source: Some(_), .. })));
}

fn fault(rule: Rule, millis: u64) -> Fault {
    Fault { rule, share: 1.0, millis, scope: Scope::default(), for_seconds: None }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_fails_is_told_and_one_that_is_dropped_is_not() {
    for World { blobs, faults, .. } in floors() {
        faults.set("blob.put", fault(Rule::Fail, 0)).unwrap();
        let failed = blobs.put("a", Bytes::new(), "text/plain").await;
        assert!(matches!(failed, Err(BlobError::Unavailable { source: None, .. })));
        faults.clear(None);
        faults.set("blob.put", fault(Rule::Drop, 0)).unwrap();
        assert_eq!(put(&blobs, "a", "hello").await.size, 5, "it answers as if it had");
        faults.clear(None);
        assert!(is_unknown(&blobs.get("a").await));
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_that_fails_is_told_and_one_that_is_dropped_sees_nothing() {
    for World { blobs, faults, .. } in floors() {
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
}

#[tokio::test(start_paused = true)]
async fn puts_and_gets_wait_out_delays_and_holds() {
    let World { blobs, faults, clock, .. } = in_memory();
    let took = async |work: &dyn Fn() -> futures::future::BoxFuture<'static, ()>| {
        let start = clock.now();
        work().await;
        clock.now().since(start)
    };
    let (putting, getting) = (blobs.clone(), blobs.clone());
    let put: &dyn Fn() -> _ = &move || {
        let blobs = putting.clone();
        async move { drop(blobs.put("a", Bytes::new(), "text/plain").await.unwrap()) }.boxed()
    };
    let get: &dyn Fn() -> _ = &move || {
        let blobs = getting.clone();
        async move { drop(blobs.get("a").await.unwrap()) }.boxed()
    };
    for (point, work) in [("blob.put", put), ("blob.get", get)] {
        faults.set(point, fault(Rule::Delay, 250)).unwrap();
        assert_eq!(took(work).await, Duration::from_millis(250), "{point}");
        faults.clear(None);
        faults.set(point, fault(Rule::Hold, 0)).unwrap();
        let lift = async {
            clock.sleep(Duration::from_secs(5)).await;
            faults.clear(None)
        };
        assert_eq!(join(took(work), lift).await, (Duration::from_secs(5), 1), "{point}");
        assert_eq!(took(work).await, Duration::ZERO, "{point}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_meant_for_one_service_or_key_spares_the_others() {
    let World { blobs, faults, .. } = in_memory();
    let (support, catalog) = (blobs.of_service("support"), blobs.of_service("catalog"));
    let scope = Scope { service: Some("support".into()), key: Some("a".into()), ..Scope::default() };
    faults.set("blob.put", Fault { scope, ..fault(Rule::Fail, 0) }).unwrap();
    let answers = |blobs: &Blobs, key| blobs.put(key, Bytes::new(), "text/plain").now_or_never().unwrap().is_ok();
    assert!(!answers(&support, "a"));
    assert!(answers(&support, "b") && answers(&catalog, "a"));
    assert!(support.get("a").await.is_ok(), "they are the same objects");
}
