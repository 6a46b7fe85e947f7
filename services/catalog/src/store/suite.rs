//! What every store of documents keeps to, wherever it is: run over each floor by `document_suite!`. `fresh` makes an empty one. Positions and hashes are each
//! store's own, and so is how often its feed repeats itself.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite: what is not as it should be ends the test")]

use std::collections::BTreeMap;

use futures::FutureExt;
use serde_json::{Value as Json, json};
use types::{ProductId, id::Uuid};

use super::{Change, Documents, Rev, Seq, StoreError};

/// A test for each of the suite's promises: `document_suite!(#[tokio::test] fresh)`.
#[macro_export]
macro_rules! document_suite {
    (#[$test:meta] $fresh:path) => {
        $crate::document_suite!(
            #[$test] $fresh:
            a_write_needs_the_revision_that_stands_there,
            of_those_who_saw_one_revision_one_writes,
            a_deleted_document_leaves_a_tombstone_that_counts,
            documents_come_in_the_order_in_which_they_were_asked_for,
            a_body_comes_back_as_it_was,
            the_feed_has_each_document_at_its_last_change_and_ends,
            a_place_that_is_not_ours_leads_back_to_the_beginning,
            a_write_rings
        );
    };
    (#[$test:meta] $fresh:path: $($name:ident),+) => {
        $(
            #[$test]
            async fn $name() {
                $crate::store::suite::$name($fresh().await).await;
            }
        )+
    };
}

fn id(n: u128) -> ProductId {
    ProductId(Uuid::from_u128(n))
}

fn conflict(result: Result<Rev, StoreError>) -> Option<Rev> {
    match result {
        Err(StoreError::Conflict { current }) => current,
        other => panic!("no conflict: {other:?}"),
    }
}

/// Everything behind a place, in parts of `limit`: each document as it was told last, and where the feed ends.
pub async fn read_all(store: &Documents, since: Option<Seq>, limit: u32) -> (BTreeMap<ProductId, Change>, Seq) {
    let (mut since, mut seen) = (since, BTreeMap::new());
    for _ in 0..10_000 {
        let changes = store.changes(since.as_ref(), limit).await.unwrap();
        if since.as_ref() == Some(&changes.last) {
            assert!(changes.entries.is_empty(), "at the end there is nothing more");
            return (seen, changes.last);
        }
        seen.extend(changes.entries.into_iter().map(|change| (change.id, change)));
        since = Some(changes.last);
    }
    panic!("the feed goes on for ever");
}

pub async fn a_write_needs_the_revision_that_stands_there(store: Documents) {
    let first = store.put(id(1), None, &json!({"n": 1})).await.unwrap();
    assert_eq!(first.generation(), 1);
    assert_eq!(conflict(store.put(id(1), None, &json!({"n": 2})).await), Some(first.clone()), "it is there already");
    let second = store.put(id(1), Some(&first), &json!({"n": 2})).await.unwrap();
    assert_eq!(second.generation(), 2);
    assert_eq!(conflict(store.put(id(1), Some(&first), &json!({"n": 3})).await), Some(second.clone()), "a stale revision");
    assert_eq!(conflict(store.put(id(1), Some(&first), &json!({"n": 2})).await), Some(second.clone()), "even with what stands there");
    assert_eq!(conflict(store.delete(id(1), &first).await), Some(second.clone()));
    assert_eq!(conflict(store.put(id(2), Some(&first), &json!({})).await), None, "nothing is there");
    assert_eq!(conflict(store.delete(id(2), &first).await), None);
    let stored = store.get(id(1)).await.unwrap().unwrap();
    assert_eq!((stored.rev, stored.body), (second, json!({"n": 2})), "what was refused changed nothing");
    assert_eq!(store.get(id(2)).await.unwrap(), None);
}

pub async fn of_those_who_saw_one_revision_one_writes(store: Documents) {
    let mut seen = store.put(id(1), None, &json!({"n": 0})).await.unwrap();
    for round in 1..=5 {
        let writes = (0..6).map(|writer| {
            let (store, seen) = (&store, &seen);
            async move { store.put(id(1), Some(seen), &json!({"n": round, "writer": writer})).await }
        });
        let answers = futures::future::join_all(writes).await;
        let written: Vec<&Rev> = answers.iter().flatten().collect();
        assert_eq!(written.len(), 1, "round {round}: {answers:?}");
        seen = written[0].clone();
        assert_eq!(seen.generation(), round + 1);
        assert_eq!(store.get(id(1)).await.unwrap().unwrap().rev, seen);
    }
}

pub async fn a_deleted_document_leaves_a_tombstone_that_counts(store: Documents) {
    let first = store.put(id(1), None, &json!({"n": 1})).await.unwrap();
    let tombstone = store.delete(id(1), &first).await.unwrap();
    assert_eq!(tombstone.generation(), 2);
    assert!(store.get(id(1)).await.unwrap().is_none() && store.get_many(&[id(1)]).await.unwrap().is_empty());
    assert_eq!(conflict(store.delete(id(1), &tombstone).await), None, "it is gone already");
    assert_eq!(conflict(store.delete(id(1), &first).await), None);
    assert_eq!(conflict(store.put(id(1), Some(&first), &json!({})).await), None);
    let (seen, _) = read_all(&store, None, 10).await;
    assert_eq!(seen[&id(1)], Change { id: id(1), rev: tombstone.clone(), body: None });
    let again = store.put(id(1), None, &json!({"n": 1})).await.unwrap();
    assert_eq!(again.generation(), 3);
    let (seen, _) = read_all(&store, None, 10).await;
    assert_eq!(seen[&id(1)], Change { id: id(1), rev: again.clone(), body: Some(json!({"n": 1})) });
    // Over a tombstone that is named.
    let tombstone = store.delete(id(1), &again).await.unwrap();
    assert_eq!(store.put(id(1), Some(&tombstone), &json!({"n": 2})).await.unwrap().generation(), 5);
}

pub async fn documents_come_in_the_order_in_which_they_were_asked_for(store: Documents) {
    for n in 0..5 {
        store.put(id(n), None, &json!({"n": n as u64})).await.unwrap();
    }
    let found = store.get_many(&[id(4), id(9), id(0), id(2)]).await.unwrap();
    assert_eq!(found.iter().map(|stored| stored.id).collect::<Vec<_>>(), [id(4), id(0), id(2)]);
    assert!(store.get_many(&[]).await.unwrap().is_empty());
}

pub async fn a_body_comes_back_as_it_was(store: Documents) {
    let bodies = [
        json!({}),
        json!({"_id": "x", "_rev": "1-a", "_deleted": true, "_own": {"_id": 1}, "~write": "w", "~": 1, "~~_": 2}),
        json!({"text": "Ünïcode 🛒 \"quoted\" \\ \u{0}\n", "empty": "", "": [null, true, {"b": 1, "a": []}]}),
        json!({"small": -1, "large": 9_007_199_254_740_991_i64, "part": 0.1, "tiny": 1.5e-7}),
    ];
    for (n, body) in (0..).zip(&bodies) {
        store.put(id(n), None, body).await.unwrap();
        assert_eq!(store.get(id(n)).await.unwrap().unwrap().body, *body);
    }
    let (seen, _) = read_all(&store, None, 2).await;
    let told: Vec<&Json> = seen.values().map(|change| change.body.as_ref().unwrap()).collect();
    assert_eq!(told, bodies.iter().collect::<Vec<_>>());
}

pub async fn the_feed_has_each_document_at_its_last_change_and_ends(store: Documents) {
    let (nothing, beginning) = read_all(&store, None, 7).await;
    assert!(nothing.is_empty());
    let mut last = BTreeMap::new();
    for n in 0..40 {
        let mut rev = store.put(id(n), None, &json!({"n": 1})).await.unwrap();
        if n % 4 == 0 {
            rev = store.put(id(n), Some(&rev), &json!({"n": 2})).await.unwrap();
        }
        if n % 10 == 0 {
            rev = store.delete(id(n), &rev).await.unwrap();
        }
        last.insert(id(n), rev);
    }
    let (seen, end) = read_all(&store, Some(beginning), 7).await;
    assert_eq!(seen.values().map(|change| (change.id, change.rev.clone())).collect::<BTreeMap<_, _>>(), last);
    let gone = seen.values().filter(|change| change.body.is_none()).count();
    assert_eq!(gone, 4);
    // A place that was stored is good for whoever comes later.
    let end = Seq::from_stored(end.as_str().to_owned());
    let rev = store.put(id(99), None, &json!({"n": 3})).await.unwrap();
    let (seen, _) = read_all(&store, Some(end), 1_000).await;
    assert_eq!(seen.get(&id(99)), Some(&Change { id: id(99), rev, body: Some(json!({"n": 3})) }));
}

pub async fn a_place_that_is_not_ours_leads_back_to_the_beginning(store: Documents) {
    store.put(id(1), None, &json!({})).await.unwrap();
    for strange in ["", "1", "1-0", "99-ffffffffffffffffffffffff", "1-g1AAAA", "00000000:1", "00000000:99-g1AAAA"] {
        let changes = store.changes(Some(&Seq::from_stored(strange.to_owned())), 10).await.unwrap();
        assert_eq!(changes.entries.len(), 1, "{strange}");
    }
}

pub async fn a_write_rings(store: Documents) {
    let bell = store.bell();
    let first = store.put(id(1), None, &json!({})).await.unwrap();
    assert!(bell.notified().now_or_never().is_some());
    conflict(store.put(id(1), None, &json!({})).await);
    assert!(bell.notified().now_or_never().is_none(), "nothing is new");
    store.delete(id(1), &first).await.unwrap();
    assert!(bell.notified().now_or_never().is_some());
}
