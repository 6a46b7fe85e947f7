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

mod memory {
    use super::*;

    async fn fresh() -> (Blobs, Faults, ()) {
        let world = in_memory();
        (world.blobs, world.faults, ())
    }

    crate::blob_suite!(
        #[tokio::test(start_paused = true)]
        fresh
    );
}

mod disk {
    use super::*;

    async fn fresh() -> (Blobs, Faults, Option<TempDir>) {
        let world = on_disk(false);
        (world.blobs, world.faults, world.folder)
    }

    crate::blob_suite!(
        #[tokio::test(start_paused = true)]
        fresh
    );
}

mod synced_disk {
    use super::*;

    async fn fresh() -> (Blobs, Faults, Option<TempDir>) {
        let world = on_disk(true);
        (world.blobs, world.faults, world.folder)
    }

    crate::blob_suite!(
        #[tokio::test(start_paused = true)]
        fresh
    );
}

async fn put(blobs: &Blobs, key: &str, bytes: &'static str) -> ObjectInfo {
    blobs.put(key, Bytes::from_static(bytes.as_bytes()), "text/plain").await.unwrap()
}

async fn keys(blobs: &Blobs, prefix: &str) -> Vec<String> {
    blobs.list(prefix, 100, None).await.unwrap().items.into_iter().map(|listed| listed.key).collect()
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
