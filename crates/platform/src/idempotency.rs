//! The same request twice has one effect and one answer. The answer is committed with the effect, in the service's own transaction, so
//! there is no moment at which one is there without the other. An operation that cannot be one transaction (it calls somebody in
//! between) takes the key first, with a lease, and stores the answer in its last transaction.
//!
//! Nearly every key is new, so the answer is inserted without a look whether one is there ([`Idempotency::do_once`]): the first request
//! pays one statement, and only a repeat finds its key taken, takes back what it has done and is told what the first was told.
//!
//! Errors that were found before any effect are not stored: a corrected request may use the key again. Keys are kept for 24 hours; after
//! that the natural key (the cart of an order, the order of a payment) still refuses a second effect.

use std::time::Duration;

use types::{Timestamp, id::Uuid};

use crate::{
    clock::Clock,
    db::{Db, DbError, FromRow, Migration, Row, Tx, Value},
    http::Answer,
    problem::{Problem, kinds},
    values,
};

/// How long an answer can be asked for again.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long an operation of several steps may take before somebody else may try.
const LEASE: Duration = Duration::from_secs(60);

/// An `Idempotency-Key`, bound to the endpoint it was sent to and to the body it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    endpoint: String,
    token: String,
    fingerprint: [u8; 32],
    subject: Option<Uuid>,
}

impl Key {
    #[must_use]
    pub fn new(endpoint: &str, token: &str, fingerprint: [u8; 32]) -> Self {
        Self { endpoint: endpoint.to_owned(), token: token.to_owned(), fingerprint, subject: None }
    }

    /// The same key, whose answer tells of this person and goes when the person does ([`Idempotency::forget_about`]).
    #[must_use]
    pub fn about(mut self, subject: impl Into<Uuid>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// What the caller sent.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What becomes of a repeat, by what was kept of the first request: its answer, or a refusal. `answer` is none while it is on its way.
    pub fn judge(&self, fingerprint: &[u8], answer: Option<Answer>) -> Result<Answer, Problem> {
        if fingerprint != self.fingerprint {
            return Err(Problem::new(&kinds::KEY_REUSED).detail("Use a new `Idempotency-Key` for a new request."));
        }
        answer.ok_or_else(|| Problem::new(&kinds::KEY_IN_USE).detail("Wait for the first request to end, then send this one again."))
    }

    /// The digest of the body it came with: for a service that keeps the key with its row, to know the same request again.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

/// The table of a service, `SERVICE_idempotency`.
#[derive(Clone, Debug)]
pub struct Idempotency {
    clock: Clock,
    select: String,
    insert: String,
    finish: String,
    forget: String,
    forget_about: String,
    purge: String,
}

/// What became of taking a key.
#[derive(Debug)]
pub enum Taken {
    /// Nobody has used it: do the work, then [`Idempotency::finish`] or [`Idempotency::forget`].
    Fresh,
    /// The first answer, to be given again.
    Answered(Answer),
}

/// Why work was taken back.
#[derive(Debug)]
pub enum Undone<E> {
    Refused(E),
    /// Its key has this answer.
    Answered(Answer),
}

impl<E: From<DbError>> From<DbError> for Undone<E> {
    fn from(error: DbError) -> Self {
        Self::Refused(error.into())
    }
}

struct Stored {
    fingerprint: Vec<u8>,
    answer: Option<Answer>,
    until: Timestamp,
}

impl FromRow for Stored {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        let answer = match row.get::<Option<u16>>("status")? {
            None => None,
            Some(status) => Some(Answer {
                status,
                body: row.get::<Vec<u8>>("body")?.into(),
                location: row.get("location")?,
                etag: row.get("etag")?,
                replayed: true,
            }),
        };
        Ok(Self { fingerprint: row.get("fingerprint")?, answer, until: row.get("until")? })
    }
}

/// The number of the platform's migration for this table; the services' own start at 1.
pub const MIGRATION: i64 = -3;

#[must_use]
pub fn migration(service: &str) -> Migration {
    let down = format!("DROP TABLE {service}_idempotency");
    Migration::new(
        MIGRATION,
        "idempotency",
        format!(
            "CREATE TABLE {service}_idempotency (
                endpoint TEXT NOT NULL, token TEXT NOT NULL, fingerprint BLOB NOT NULL, status INTEGER, body BLOB, location TEXT, etag TEXT,
                at INTEGER NOT NULL, until INTEGER NOT NULL, subject BLOB, PRIMARY KEY (endpoint, token)) STRICT, WITHOUT ROWID;
             CREATE INDEX {service}_idempotency_until ON {service}_idempotency (until);
             CREATE INDEX {service}_idempotency_subject ON {service}_idempotency (subject) WHERE subject IS NOT NULL;"
        ),
        &down,
    )
    .with_postgresql(
        format!(
            "CREATE TABLE {service}_idempotency (
                endpoint text COLLATE \"C\" NOT NULL, token text COLLATE \"C\" NOT NULL, fingerprint bytea NOT NULL, status bigint, body bytea,
                location text, etag text, at timestamptz NOT NULL, until timestamptz NOT NULL, subject uuid, PRIMARY KEY (endpoint, token));
             CREATE INDEX {service}_idempotency_until ON {service}_idempotency (until);
             CREATE INDEX {service}_idempotency_subject ON {service}_idempotency (subject) WHERE subject IS NOT NULL;"
        ),
        &down,
    )
    .with_mariadb(
        format!(
            "CREATE TABLE IF NOT EXISTS {service}_idempotency (
                endpoint varchar(255) NOT NULL, token varchar(255) NOT NULL, fingerprint varbinary(64) NOT NULL, status bigint, body longblob,
                location text, etag text, at datetime(6) NOT NULL, until datetime(6) NOT NULL, subject binary(16), PRIMARY KEY (endpoint, token),
                INDEX {service}_idempotency_until (until), INDEX {service}_idempotency_subject (subject))"
        ),
        format!("DROP TABLE IF EXISTS {service}_idempotency"),
    )
}

impl Idempotency {
    #[must_use]
    pub fn new(service: &str, clock: Clock) -> Self {
        let table = format!("{service}_idempotency");
        Self {
            clock,
            select: format!("SELECT fingerprint, status, body, location, etag, until FROM {table} WHERE endpoint = ? AND token = ?"),
            insert: format!(
                "INSERT INTO {table} (endpoint, token, fingerprint, status, body, location, etag, at, until, subject)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            ),
            finish: format!("UPDATE {table} SET status = ?, body = ?, location = ?, etag = ?, until = ? WHERE endpoint = ? AND token = ?"),
            forget: format!("DELETE FROM {table} WHERE endpoint = ? AND token = ?"),
            forget_about: format!("DELETE FROM {table} WHERE subject = ?"),
            purge: format!("DELETE FROM {table} WHERE until < ?"),
        }
    }

    /// Does `work` once for this key, in a transaction: a repeat gets the first answer, and whatever it did or was refused by then does not
    /// count. Without a key it is just the work.
    pub async fn do_once<E>(
        &self,
        db: &Db,
        key: Option<Key>,
        work: impl AsyncFn(&mut Tx<'_>) -> Result<Answer, E> + Send + 'static,
    ) -> Result<Answer, E>
    where
        E: From<Problem> + From<DbError> + Send + 'static,
    {
        let Some(key) = key else { return db.write(work).await };
        let (this, own) = (self.clone(), key.clone());
        let done = db
            .write(async move |tx: &mut Tx<'_>| {
                let answer = work(tx).await.map_err(Undone::Refused)?;
                this.keep_first(tx, Some(&own), answer).await
            })
            .await;
        match done {
            Ok(answer) | Err(Undone::Answered(answer)) => Ok(answer),
            // A repeat may be refused for what the first request has changed.
            Err(Undone::Refused(refusal)) => self.answered(db, &key).await?.ok_or(refusal),
        }
    }

    /// Keeps the answer to work that is not to be done twice, after it and in its transaction. Where the key has an answer, that is the error
    /// with which all of it is taken back.
    pub async fn keep_first<E>(&self, tx: &mut Tx<'_>, key: Option<&Key>, answer: Answer) -> Result<Answer, Undone<E>>
    where
        E: From<Problem> + From<DbError>,
    {
        let kept = self.keep(tx, key, answer).await.map_err(Undone::Refused)?;
        if kept.replayed { Err(Undone::Answered(kept)) } else { Ok(kept) }
    }

    /// Keeps the answer to what may have been done before: work that has its one effect however often it is done. Says what was answered first.
    pub async fn keep<E: From<Problem> + From<DbError>>(&self, tx: &mut Tx<'_>, key: Option<&Key>, answer: Answer) -> Result<Answer, E> {
        let Some(key) = key else { return Ok(answer) };
        let row = self.row(key, &answer);
        if tx.insert_new(&self.insert, row.clone()).await? {
            return Ok(answer);
        }
        if let Some(first) = self.stored::<E>(tx, key).await? {
            return Ok(first);
        }
        tx.execute(&self.insert, row).await?;
        Ok(answer)
    }

    /// Does `work` once for this key, within the caller's transaction: a repeat gets the first answer and does nothing. Without a key
    /// it is just the work.
    pub async fn once<E: From<Problem> + From<DbError>>(
        &self,
        tx: &mut Tx<'_>,
        key: Option<&Key>,
        work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<Answer, E>,
    ) -> Result<Answer, E> {
        let Some(key) = key else { return work(tx).await };
        if let Some(answer) = self.stored::<E>(tx, key).await? {
            return Ok(answer);
        }
        let answer = work(tx).await?;
        tx.execute(&self.insert, self.row(key, &answer)).await?;
        Ok(answer)
    }

    /// The first answer to this key, if it was given: asked before an operation that calls somebody before its transaction, so that a
    /// key that was used for another request is refused before anything has happened.
    pub async fn answered(&self, db: &Db, key: &Key) -> Result<Option<Answer>, Problem> {
        let stored: Option<Stored> = db.fetch_optional(&self.select, values![&key.endpoint, &key.token]).await.map_err(Problem::from)?;
        match stored {
            Some(stored) if stored.until > self.clock.now() => key.judge(&stored.fingerprint, stored.answer).map(Some),
            _ => Ok(None),
        }
    }

    /// Takes the key for an operation of several steps. While somebody else holds it: 409.
    pub async fn take(&self, db: &Db, key: Option<&Key>) -> Result<Taken, Problem> {
        let Some(key) = key.cloned() else { return Ok(Taken::Fresh) };
        let this = self.clone();
        db.write(async move |tx: &mut Tx<'_>| {
            if let Some(answer) = this.stored::<Problem>(tx, &key).await? {
                return Ok(Taken::Answered(answer));
            }
            let now = this.clock.now();
            let nothing: Option<i64> = None;
            let (none, blank): (Option<String>, Option<Vec<u8>>) = (None, None);
            let (until, print) = (now.plus(LEASE), key.fingerprint.to_vec());
            let row = values![&key.endpoint, &key.token, print, nothing, blank, none.clone(), none, now, until, key.subject];
            tx.execute(&this.insert, row).await?;
            Ok(Taken::Fresh)
        })
        .await
    }

    /// Stores the answer of an operation whose key was taken, in its last transaction.
    pub async fn finish(&self, tx: &mut Tx<'_>, key: Option<&Key>, answer: &Answer) -> Result<(), DbError> {
        let Some(key) = key else { return Ok(()) };
        let until = self.clock.now().plus(KEPT);
        let body = answer.body.to_vec();
        let row = values![answer.status, body, answer.location.clone(), answer.etag.clone(), until, &key.endpoint, &key.token];
        tx.execute(&self.finish, row).await.map(|_| ())
    }

    /// Gives a taken key back: the operation was refused before it had any effect.
    pub async fn forget(&self, db: &Db, key: Option<&Key>) -> Result<(), DbError> {
        let Some(key) = key.cloned() else { return Ok(()) };
        let this = self.clone();
        db.write(async move |tx: &mut Tx<'_>| tx.execute(&this.forget, values![&key.endpoint, &key.token]).await.map(|_| ())).await
    }

    /// Removes every answer about a person, in the transaction that erases the person: what was answered is personal too.
    pub async fn forget_about(&self, tx: &mut Tx<'_>, subject: impl Into<Uuid>) -> Result<u64, DbError> {
        let subject: Uuid = subject.into();
        tx.execute(&self.forget_about, values![subject]).await
    }

    /// Removes what is older than a day; says how many.
    pub async fn purge(&self, db: &Db) -> Result<u64, DbError> {
        let (statement, now) = (self.purge.clone(), self.clock.now());
        db.write(async move |tx: &mut Tx<'_>| tx.execute(&statement, values![now]).await).await
    }

    async fn stored<E: From<Problem> + From<DbError>>(&self, tx: &mut Tx<'_>, key: &Key) -> Result<Option<Answer>, E> {
        let Some(stored) = tx.fetch_optional::<Stored>(&self.select, values![&key.endpoint, &key.token]).await? else { return Ok(None) };
        if stored.until <= self.clock.now() {
            tx.execute(&self.forget, values![&key.endpoint, &key.token]).await?;
            return Ok(None);
        }
        Ok(Some(key.judge(&stored.fingerprint, stored.answer)?))
    }

    /// As an answer is inserted.
    fn row(&self, key: &Key, answer: &Answer) -> Vec<Value> {
        let now = self.clock.now();
        values![
            &key.endpoint,
            &key.token,
            key.fingerprint.to_vec(),
            answer.status,
            answer.body.to_vec(),
            answer.location.clone(),
            answer.etag.clone(),
            now,
            now.plus(KEPT),
            key.subject
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chance::Chance, fault::Faults};

    #[test]
    fn a_key_tells_what_it_is_and_its_table_comes_before_the_services_own() {
        let key = Key::new("POST /people", "a", [7; 32]);
        assert_eq!((key.endpoint(), key.token(), key.fingerprint()), ("POST /people", "a", &[7; 32]));
        assert!(migration("shop").number < 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_answers_about_a_person_go_with_the_person() {
        let (clock, chance) = (Clock::simulated(), Chance::seeded(1));
        let db = Db::in_memory("shop", chance, Faults::new(clock, chance)).unwrap();
        db.migrate(&[migration("shop")]).await.unwrap();
        let idempotency = Idempotency::new("shop", clock);
        let (mai, ann) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let key = |token| Key::new("POST /people", token, [0; 32]);
        let (made, noted) = (key("a").about(mai), key("b").about(ann));
        for key in [made.clone(), noted.clone(), key("c")] {
            let answers = idempotency.clone();
            db.write(async move |tx: &mut Tx<'_>| answers.once(tx, Some(&key), async |_: &mut Tx<'_>| Answer::ok(&"x")).await)
                .await
                .unwrap();
        }
        let taken = key("d").about(mai);
        assert!(matches!(idempotency.take(&db, Some(&taken)).await, Ok(Taken::Fresh)));
        let answers = idempotency.clone();
        let forgotten = db.write(async move |tx: &mut Tx<'_>| answers.forget_about(tx, mai).await).await;
        assert_eq!(forgotten.ok(), Some(2));
        assert_eq!(idempotency.answered(&db, &made).await, Ok(None));
        for kept in [noted, key("c")] {
            assert!(idempotency.answered(&db, &kept).await.unwrap().is_some_and(|answer| answer.replayed));
        }
    }

    /// Counts up, and tells how far; refuses from three on.
    async fn counted(tx: &mut Tx<'_>) -> Result<Answer, Problem> {
        tx.execute("UPDATE counter SET count = count + 1", vec![]).await?;
        let count: i64 = tx.fetch_one("SELECT count FROM counter", vec![]).await?;
        if count < 3 { Answer::ok(&count) } else { Err(Problem::new(&kinds::CONFLICT)) }
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_taken_back_whose_key_has_an_answer() {
        let (clock, chance) = (Clock::simulated(), Chance::seeded(1));
        let db = Db::in_memory("shop", chance, Faults::new(clock, chance)).unwrap();
        db.migrate(&[migration("shop")]).await.unwrap();
        db.run_script("CREATE TABLE counter (count INTEGER NOT NULL) STRICT; INSERT INTO counter VALUES (0)").await.unwrap();
        let idempotency = Idempotency::new("shop", clock);
        let count = async |token: &str, print: u8| {
            let key = Key::new("POST /counts", token, [print; 32]);
            idempotency.do_once(&db, Some(key), async |tx: &mut Tx<'_>| counted(tx).await).await
        };
        let counts = async || db.fetch_optional::<i64>("SELECT count FROM counter", vec![]).await.unwrap();
        let first = count("a", 0).await.unwrap();
        let second = count("a", 0).await.unwrap();
        assert_eq!((first.replayed, second.replayed, &first.body), (false, true, &second.body));
        assert_eq!(counts().await, Some(1), "the second has counted nothing");
        let other = count("a", 1).await.unwrap_err();
        assert_eq!((other.status, counts().await), (422, Some(1)), "a key is for one request");
        assert!(count("b", 0).await.is_ok());
        assert_eq!(count("c", 0).await.unwrap_err().status, 409);
        assert_eq!(count("b", 0).await.map(|answer| answer.replayed), Ok(true), "refused by now, and answered all the same");
        clock.sleep(Duration::from_secs(86_399)).await;
        assert_eq!(count("a", 0).await.map(|answer| answer.replayed), Ok(true), "for a day");
        clock.sleep(Duration::from_secs(1)).await;
        db.run_script("UPDATE counter SET count = 0").await.unwrap();
        assert_eq!(count("a", 1).await.map(|answer| answer.replayed), Ok(false), "free again, also where nobody has removed it yet");
        assert_eq!(counts().await, Some(1));
    }
}
