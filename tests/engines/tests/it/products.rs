//! Catalog's documents in its own tables on PostgreSQL: the suite of the port, and a feed that is read while many write.

#![expect(clippy::disallowed_methods, reason = "no world stands here whose tasks these could be")]

use std::{collections::BTreeSet, time::Duration};

use catalog::{
    MANIFEST,
    store::{Documents, Embedded},
};
use engine_tests::{no_faults, postgresql_url, unique};
use platform::{
    Chance, Clock,
    auth::Secret,
    db::{Db, Options},
    world::all_migrations,
};
use serde_json::json;
use types::{ProductId, id::Uuid};

async fn fresh() -> Documents {
    let mut options = Options::new(Secret::new(postgresql_url()).unwrap());
    options.schema = Some(unique("test").replace('-', "_"));
    options.patience = Duration::from_secs(20);
    let db = Db::postgresql("catalog", &options, Chance::seeded(1), no_faults()).unwrap();
    db.migrate(&all_migrations(&MANIFEST)).await.unwrap();
    Documents::Embedded(Embedded::new(db, Clock::real(), Chance::seeded(1)))
}

catalog::document_suite!(
    #[tokio::test]
    fresh
);

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn who_follows_the_feed_while_many_write_passes_over_nothing() {
    const WRITERS: u128 = 6;
    const WRITES: u128 = 100;
    let store = fresh().await;
    let write = |writer: u128| {
        let store = store.clone();
        async move {
            for n in 0..WRITES {
                store.put(ProductId(Uuid::from_u128(writer * WRITES + n)), None, &json!({})).await.unwrap();
            }
        }
    };
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(writer))).collect();
    let (mut since, mut seen) = (None, BTreeSet::new());
    loop {
        let are_done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let changes = store.changes(since.as_ref(), 7).await.unwrap();
        let is_end = changes.entries.is_empty();
        seen.extend(changes.entries.into_iter().map(|change| change.id));
        since = Some(changes.last);
        if are_done && is_end {
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen.len() as u128, WRITERS * WRITES);
}
