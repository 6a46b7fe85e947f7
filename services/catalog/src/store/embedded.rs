//! The embedded document store: two tables of the service's own database, with CouchDB's manners kept, also the inconvenient ones. A
//! write needs the revision that stands there; a deleted document leaves a tombstone that counts as a revision; a document is in the
//! change feed once, at its last change, so what lay between two looks is never seen; positions are opaque; and now and then the feed
//! tells entries again, or those of different documents in another order. A publisher that could not bear that would fail on the engine.

use std::sync::Arc;

use platform::{
    Chance, Clock,
    db::{Db, DbError, Dialect, FromRow, Row, Tx},
    values,
};
use rand::{RngExt, seq::SliceRandom};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use types::ProductId;

use super::{Change, Changes, Rev, Seq, StoreError, Stored, places};

/// How often a look at the feed tells some entries again, and how many at most.
const REPEATS: f64 = 0.15;
const REPEATED_MAX: i64 = 3;
/// How often it tells them in another order.
const REORDERS: f64 = 0.15;

#[derive(Clone, Debug)]
pub struct Embedded {
    db: Db,
    clock: Clock,
    chance: Chance,
    bell: Arc<Notify>,
}

/// What stands at an id: a document or its tombstone.
struct Head {
    rev: Rev,
    deleted: bool,
}

impl FromRow for Head {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self { rev: row.parse("rev")?, deleted: row.get("deleted")? })
    }
}

impl FromRow for Stored {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self { id: row.id("id")?, rev: row.parse("rev")?, body: row.json("body")? })
    }
}

/// A change with its place.
struct Entry(i64, Change);

impl FromRow for Entry {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let body = if row.get("deleted")? { None } else { Some(row.json("body")?) };
        Ok(Self(row.get("seq")?, Change { id: row.id("id")?, rev: row.parse("rev")?, body }))
    }
}

impl Embedded {
    #[must_use]
    pub fn new(db: Db, clock: Clock, chance: Chance) -> Self {
        Self { db, clock, chance, bell: Arc::new(Notify::new()) }
    }

    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Whether the tables are on a server, where a write whose answer was lost may still be on its way.
    #[must_use]
    pub fn is_on_server(&self) -> bool {
        self.db.dialect() != Dialect::Sqlite
    }

    pub async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Stored>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (places, wanted) = places(ids);
        let query = format!("SELECT id, rev, body FROM documents WHERE id IN ({places}) AND NOT deleted");
        let mut found: Vec<Stored> =
            self.db.read(async |tx: &mut Tx<'_>| tx.fetch_all(&query, wanted).await).await.map_err(StoreError::Store)?;
        found.sort_by_key(|stored| ids.iter().position(|id| *id == stored.id));
        Ok(found)
    }

    pub async fn put(&self, id: ProductId, over: Option<&Rev>, body: &Json) -> Result<Rev, StoreError> {
        self.write(id, over.cloned(), Some(body.clone())).await
    }

    pub async fn delete(&self, id: ProductId, over: &Rev) -> Result<Rev, StoreError> {
        self.write(id, Some(over.clone()), None).await
    }

    async fn write(&self, id: ProductId, over: Option<Rev>, body: Option<Json>) -> Result<Rev, StoreError> {
        let (clock, bell) = (self.clock, self.bell.clone());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let head: Option<Head> = tx.fetch_optional("SELECT rev, deleted FROM documents WHERE id = ?", values![id]).await?;
                let standing = match (&head, &over) {
                    // A new document, or one over a tombstone, which need not be named.
                    (None, None) => None,
                    (Some(head), None) if head.deleted && body.is_some() => Some(&head.rev),
                    (Some(head), Some(over)) if head.rev == *over && !(head.deleted && body.is_none()) => Some(&head.rev),
                    _ => {
                        let current = head.filter(|head| !head.deleted).map(|head| head.rev);
                        return Err(StoreError::Conflict { current });
                    }
                };
                let rev = next(standing, body.as_ref());
                let deleted = body.is_none();
                let text = body.as_ref().map_or_else(|| "{}".to_owned(), Json::to_string);
                if standing.is_some() {
                    let update = "UPDATE documents SET generation = ?, rev = ?, deleted = ?, body = ?, updated_at = ? WHERE id = ?";
                    tx.execute(update, values![rev.generation(), rev.as_str(), deleted, text, clock.now(), id]).await?;
                    tx.execute("DELETE FROM document_changes WHERE id = ?", values![id]).await?;
                } else {
                    let insert = "INSERT INTO documents (id, generation, rev, deleted, body, updated_at) VALUES (?, ?, ?, ?, ?, ?)";
                    tx.execute(insert, values![id, rev.generation(), rev.as_str(), deleted, text, clock.now()]).await?;
                }
                tx.execute("INSERT INTO document_changes (id, rev, deleted) VALUES (?, ?, ?)", values![id, rev.as_str(), deleted]).await?;
                tx.wake_after_commit(&bell);
                Ok(rev)
            })
            .await
    }

    pub async fn changes(&self, since: Option<&Seq>, limit: u32) -> Result<Changes, StoreError> {
        let place = since.and_then(read_place).unwrap_or(0);
        let mut draw = self.chance.stream("catalog", &place.to_string(), "change feed");
        let again = if draw.random_bool(REPEATS) { draw.random_range(1..=REPEATED_MAX) } else { 0 };
        let mut entries: Vec<Entry> = self
            .db
            .read(async |tx: &mut Tx<'_>| {
                let columns = "SELECT c.seq, c.id, c.rev, c.deleted, d.body FROM document_changes c JOIN documents d ON d.id = c.id";
                let behind = format!("{columns} WHERE c.seq > ? ORDER BY c.seq LIMIT ?");
                let mut entries: Vec<Entry> = tx.fetch_all(&behind, values![place, limit]).await?;
                if again > 0 && !entries.is_empty() {
                    let before = format!("{columns} WHERE c.seq <= ? ORDER BY c.seq DESC LIMIT ?");
                    entries.extend(tx.fetch_all::<Entry>(&before, values![place, again]).await?);
                }
                Ok::<_, DbError>(entries)
            })
            .await?;
        let last = entries.iter().map(|Entry(seq, _)| *seq).max().unwrap_or(place).max(place);
        entries.sort_by_key(|Entry(seq, _)| *seq);
        if draw.random_bool(REORDERS) {
            entries.shuffle(&mut draw);
        }
        Ok(Changes { entries: entries.into_iter().map(|Entry(_, change)| change).collect(), last: write_place(last) })
    }
}

/// The revision that follows, as CouchDB makes them: equal writes over equal revisions have equal revisions.
fn next(standing: Option<&Rev>, body: Option<&Json>) -> Rev {
    let mut digest = Sha256::new();
    let text = body.map_or_else(String::new, Json::to_string);
    for part in [standing.map_or("", Rev::as_str), if body.is_some() { "document" } else { "tombstone" }, &text] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let generation = standing.map_or(0, Rev::generation).saturating_add(1);
    let hash = hex::encode(digest.finalize());
    Rev { generation, text: format!("{generation}-{}", &hash[..32]) }
}

/// A place as others see it: its digits are ours to read, and what was not made here is not read.
fn write_place(place: i64) -> Seq {
    Seq(format!("{place}-{}", check_digits(place)))
}

fn read_place(seq: &Seq) -> Option<i64> {
    let (number, digits) = seq.0.split_once('-')?;
    let place: i64 = number.parse().ok()?;
    (digits == check_digits(place)).then_some(place)
}

fn check_digits(place: i64) -> String {
    hex::encode(&Sha256::digest(format!("crashcart change feed {place}"))[..12])
}

#[cfg(test)]
mod tests {
    use platform::fault::Faults;
    use serde_json::json;
    use types::id::Uuid;

    use super::*;
    use crate::store::Documents;

    async fn store(seed: u64) -> Embedded {
        let (clock, chance) = (Clock::simulated(), Chance::seeded(seed));
        let db = Db::in_memory("catalog", chance, Faults::new(clock, chance)).expect("a store");
        db.migrate(&platform::world::all_migrations(&crate::MANIFEST)).await.expect("migrated");
        Embedded::new(db, clock, chance)
    }

    fn id(n: u128) -> ProductId {
        ProductId(Uuid::from_u128(n))
    }

    async fn fresh() -> Documents {
        Documents::Embedded(store(1).await)
    }

    crate::document_suite!(
        #[tokio::test(start_paused = true)]
        fresh
    );

    #[tokio::test(start_paused = true)]
    async fn equal_writes_have_equal_revisions() {
        let (a, b) = (store(1).await, store(2).await);
        let body = json!({"n": 1});
        assert_eq!(a.put(id(1), None, &body).await.expect("a"), b.put(id(9), None, &body).await.expect("b"));
        assert_ne!(a.put(id(2), None, &body).await.expect("a"), a.put(id(3), None, &json!({"n": 2})).await.expect("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_feed_repeats_and_reorders_but_loses_nothing_and_ends() {
        let (mut repeated, mut reordered) = (false, false);
        for seed in 0..20 {
            let store = store(seed).await;
            for n in 0..40 {
                let rev = store.put(id(n), None, &json!({"n": 1})).await.expect("written");
                if n % 4 == 0 {
                    store.put(id(n), Some(&rev), &json!({"n": 2})).await.expect("written");
                }
            }
            let (mut since, mut seen, mut looks) = (None, Vec::new(), 0);
            loop {
                let changes = store.changes(since.as_ref(), 7).await.expect("read");
                if since.as_ref() == Some(&changes.last) {
                    assert!(changes.entries.is_empty(), "at the end there is nothing more");
                    break;
                }
                seen.extend(changes.entries);
                since = Some(changes.last);
                looks += 1;
                assert!(looks < 20, "it goes on for ever");
            }
            for n in 0..40 {
                let wanted = i64::from(n % 4 == 0) + 1;
                assert!(seen.iter().any(|change| change.id == id(n) && change.rev.generation() == wanted), "{n} was lost");
            }
            repeated |= seen.len() > 40;
            reordered |=
                seen.windows(2).any(|pair| pair[0].id > pair[1].id && pair[0].rev.generation() == 1 && pair[1].rev.generation() == 1);
        }
        assert!(repeated && reordered, "the inconvenient manners never showed");
    }
}
