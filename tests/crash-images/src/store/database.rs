//! SQLite behind [`Db`]: rows that are inserted, changed and deleted, alone and many transactions in one commit, with checkpoints and
//! reopenings in between.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use platform::{
    chance::Stream,
    db::{Db, DbError, Durability, FromRow, Migration, Row, Tx},
    values,
};
use rand::{Rng, RngExt};

use super::{Store, faults, run, told};

/// The name of the file in its folder.
const FILE: &str = "store.db";

#[derive(Debug)]
pub struct Database {
    db: Db,
    path: PathBuf,
    durability: Durability,
}

/// Rows by id: the body of each.
pub type Rows = BTreeMap<i64, Vec<u8>>;

#[derive(Clone, Debug)]
pub enum Change {
    Put(i64, Vec<u8>),
    Delete(i64),
}

#[derive(Debug)]
pub enum Step {
    /// Transactions that share a commit. The last of many is refused by itself, and nothing of it may be there.
    Write(Vec<Vec<Change>>),
    /// The log goes into the file and is cut to nothing, as after an erasure.
    Checkpoint,
    Reopen,
}

struct Entry(i64, Vec<u8>);

impl FromRow for Entry {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(row.get("id")?, row.get("body")?))
    }
}

fn migrations() -> Vec<Migration> {
    let up = "CREATE TABLE entries (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT; CREATE INDEX entries_by_body ON entries (body);";
    vec![Migration::new(1, "entries", up, "DROP TABLE entries")]
}

async fn make(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), DbError> {
    for change in changes {
        match change {
            Change::Put(id, body) => {
                let put = "INSERT INTO entries (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
                tx.execute(put, values![*id, body.clone()]).await?;
            }
            Change::Delete(id) => drop(tx.execute("DELETE FROM entries WHERE id = ?", values![*id]).await?),
        }
    }
    Ok(())
}

impl Database {
    /// Transactions in one commit: the first one holds the writer until all are in its queue. (Work may run twice; then nobody waits any more.)
    async fn write(&self, transactions: &[Vec<Change>]) -> Result<(), String> {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let last = transactions.len() - 1;
        let mut writes = Vec::new();
        for (number, changes) in transactions.iter().enumerate() {
            let (changes, wait) = (changes.clone(), wait.clone());
            let is_refused = last > 0 && number == last;
            let write = self.db.write(async move |tx: &mut Tx<'_>| {
                if number == 0 {
                    let _ = wait.lock().unwrap_or_else(PoisonError::into_inner).recv();
                }
                make(tx, &changes).await?;
                if is_refused { Err(DbError::NoRow("refused by itself".into())) } else { Ok(()) }
            });
            writes.push(Box::pin(async move {
                match write.await {
                    Err(DbError::NoRow(_)) if is_refused => Ok(()),
                    other => other.map_err(told),
                }
            }));
        }
        let all = futures::future::try_join_all(writes);
        let release = async move {
            let _ = go.send(());
        };
        futures::future::join(all, release).await.0.map(drop)
    }
}

impl Store for Database {
    const NAME: &'static str = "sqlite";
    type State = Rows;
    type Step = Step;

    fn open(folder: &Path, durability: Durability) -> Result<Self, String> {
        let path = folder.join(FILE);
        let db = Db::open("crash-images", &path, durability, faults()).map_err(told)?;
        run(db.migrate(&migrations())).map_err(told)?;
        Ok(Self { db, path, durability })
    }

    fn draw(state: &Rows, stream: &mut Stream, is_large: bool) -> Step {
        match stream.random_range(0..20) {
            0 | 1 => return Step::Checkpoint,
            2 => return Step::Reopen,
            _ => {}
        }
        let sharing = if stream.random_bool(0.3) { stream.random_range(2..6) } else { 1 };
        let ids: Vec<i64> = state.keys().copied().collect();
        let next = ids.last().map_or(1, |id| id + 1);
        let mut fresh = next..;
        let mut change = |stream: &mut Stream| {
            let old = (!ids.is_empty() && stream.random_bool(0.5)).then(|| ids[stream.random_range(0..ids.len())]);
            if let Some(old) = old.filter(|_| stream.random_bool(0.3)) {
                return Change::Delete(old);
            }
            let longest = if is_large {
                100_000
            } else if stream.random_bool(0.1) {
                12_000
            } else {
                900
            };
            let mut body = vec![0; stream.random_range(1..longest)];
            stream.fill_bytes(&mut body);
            Change::Put(old.or_else(|| fresh.next()).unwrap_or(next), body)
        };
        Step::Write((0..sharing).map(|_| (0..stream.random_range(1..5)).map(|_| change(stream)).collect()).collect())
    }

    fn after(state: &Rows, step: &Step) -> Rows {
        let mut rows = state.clone();
        if let Step::Write(transactions) = step {
            let kept = if transactions.len() > 1 { transactions.len() - 1 } else { 1 };
            for change in transactions.iter().take(kept).flatten() {
                match change {
                    Change::Put(id, body) => drop(rows.insert(*id, body.clone())),
                    Change::Delete(id) => drop(rows.remove(id)),
                }
            }
        }
        rows
    }

    fn take(self, step: &Step) -> Result<Self, String> {
        match step {
            Step::Write(transactions) => run(self.write(transactions))?,
            Step::Checkpoint => run(self.db.checkpoint()).map_err(told)?,
            Step::Reopen => {
                let (folder, durability) = (self.path.with_file_name(""), self.durability);
                self.close();
                return Self::open(&folder, durability);
            }
        }
        Ok(self)
    }

    fn state(&self) -> Result<Rows, String> {
        run(self.db.read(async |tx: &mut Tx<'_>| {
            let entries: Vec<Entry> = tx.fetch_all("SELECT id, body FROM entries ORDER BY id", vec![]).await?;
            let checked: Vec<String> = tx.fetch_all("PRAGMA integrity_check", vec![]).await?;
            if checked == ["ok"] {
                Ok(entries.into_iter().map(|Entry(id, body)| (id, body)).collect())
            } else {
                Err(DbError::Unavailable(checked.join("; ")))
            }
        }))
        .map_err(told)
    }

    fn goes_on(&self) -> Result<(), String> {
        run(self.write(&[vec![Change::Put(i64::MAX, b"goes on".to_vec())]]))
    }

    fn close(self) {
        let log = self.path.with_extension("db-wal");
        drop(self);
        // The writer ends by itself, without a word; the last connection takes the log along. Should it stay, there is nothing to wait for.
        for _ in 0..1_000_000 {
            if !log.exists() {
                break;
            }
            std::thread::yield_now();
        }
    }
}
