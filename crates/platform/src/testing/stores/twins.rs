//! Two stores that are told the same must answer the same: random transactions of random statements go to both, and every answer is
//! compared, down to which error it is. What a store may do in its own way is left out, and so are the places where services must not
//! rely on it: the numbers that a table gives itself, where a NULL stands in an order, `LIKE`, a text with a zero in it.

use rand::{RngExt, seq::IndexedRandom};

use super::{Db, DbError, FromRow, Migration, Row, Timestamp, Tx, Uuid, Value};
use crate::{
    chance::{Chance, Stream},
    values,
};

/// The table that the operations are about.
#[must_use]
pub fn migrations() -> Vec<Migration> {
    vec![
        Migration::new(
            1,
            "things",
            "CREATE TABLE things (
                seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, name TEXT NOT NULL, size INTEGER NOT NULL, amount INTEGER,
                is_open INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB, data TEXT, version INTEGER NOT NULL CHECK (version > 0),
                UNIQUE (name, size)) STRICT;
             CREATE INDEX things_open ON things (at) WHERE is_open = TRUE;",
            "DROP TABLE things",
        )
        .with_postgresql(
            "CREATE TABLE things (
                seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL UNIQUE, name text COLLATE \"C\" NOT NULL, size bigint NOT NULL,
                amount bigint, is_open boolean NOT NULL, at timestamptz NOT NULL, body bytea, data jsonb, version bigint NOT NULL CHECK (version > 0),
                UNIQUE (name, size));
             CREATE INDEX things_open ON things (at) WHERE is_open = TRUE;",
            "DROP TABLE things",
        )
        .with_mariadb(
            "CREATE TABLE IF NOT EXISTS things (
                seq bigint AUTO_INCREMENT PRIMARY KEY, id binary(16) NOT NULL UNIQUE, name varchar(50) NOT NULL, size bigint NOT NULL,
                amount bigint, is_open boolean NOT NULL, at datetime(6) NOT NULL, body blob, data json, version bigint NOT NULL CHECK (version > 0),
                UNIQUE (name, size), INDEX things_open (is_open, at))",
            "DROP TABLE IF EXISTS things",
        ),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Thing {
    id: Uuid,
    name: String,
    size: i64,
    amount: Option<i64>,
    is_open: bool,
    at: Timestamp,
    body: Option<Vec<u8>>,
    data: Option<serde_json::Value>,
    version: i64,
}

impl FromRow for Thing {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            size: row.get("size")?,
            amount: row.get("amount")?,
            is_open: row.get("is_open")?,
            at: row.get("at")?,
            body: row.get("body")?,
            data: row.get("data")?,
            version: row.get("version")?,
        })
    }
}

const COLUMNS: &str = "id, name, size, amount, is_open, at, body, data, version";

/// One statement, with what it is given.
#[derive(Clone, Debug)]
enum Operation {
    Insert(Thing),
    InsertNew(Thing),
    Save(Thing),
    Shut { until: Timestamp },
    Rename { id: Uuid, name: String },
    Raise { id: Uuid, by: i64 },
    Delete { id: Uuid },
    DeleteSome { name: String },
    ById(Uuid),
    ByIds(Vec<Uuid>),
    Page { after: String, limit: u32 },
    Due { now: Timestamp, limit: u32 },
    Lacking,
    Totals { is_open: bool },
    Names,
    Pairs { limit: u32 },
}

/// What a statement answered. Of an error it counts which it is: each engine has its own words for it.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Changed(u64),
    New(bool),
    Things(Vec<Thing>),
    Numbers(Vec<Option<i64>>),
    Texts(Vec<String>),
    Moment(Option<Timestamp>),
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq)]
enum Ended {
    Kept(Vec<Answer>),
    GivenUp(Vec<Answer>),
    Refused(&'static str),
}

/// The same random work for both, of this many statements.
///
/// # Panics
/// When they do not agree.
pub async fn agree(one: &Db, other: &Db, chance: Chance, statements: usize) {
    for db in [one, other] {
        db.migrate(&migrations()).await.unwrap();
    }
    let mut stream = chance.stream("twins", "statements", "what");
    let (mut said, mut transactions, mut refused) = (0, 0, 0);
    while said < statements {
        let operations: Vec<Operation> = (0..stream.random_range(1..6)).map(|_| operation(&mut stream)).collect();
        let is_kept = stream.random_ratio(9, 10);
        said += operations.len();
        transactions += 1;
        let (first, second) = (run(one, &operations, is_kept).await, run(other, &operations, is_kept).await);
        assert_eq!(first, second, "after {said} statements, of {operations:?}");
        refused += usize::from(matches!(first, Ended::Refused(_)));
        if transactions % 100 == 0 {
            assert_eq!(all(one).await, all(other).await, "after {said} statements");
        }
    }
    let things = all(one).await;
    assert_eq!(things, all(other).await);
    // Work that is always refused, or a table that is always empty, would prove nothing.
    assert!(refused * 20 > transactions && refused * 2 < transactions, "{refused} of {transactions} were refused");
    assert!(things.len() > 10, "{} things at the end", things.len());
}

async fn all(db: &Db) -> Vec<Thing> {
    let query = format!("SELECT {COLUMNS} FROM things ORDER BY seq");
    db.read(async |tx: &mut Tx<'_>| tx.fetch_all(&query, vec![]).await).await.unwrap()
}

async fn run(db: &Db, operations: &[Operation], is_kept: bool) -> Ended {
    enum Not {
        Kept(Vec<Answer>),
        Done(DbError),
    }
    impl From<DbError> for Not {
        fn from(error: DbError) -> Self {
            Self::Done(error)
        }
    }
    let operations = operations.to_vec();
    let answer = db
        .write(async move |tx: &mut Tx<'_>| {
            let mut answers = Vec::new();
            for operation in &operations {
                answers.push(apply(tx, operation.clone()).await?);
            }
            if is_kept { Ok(answers) } else { Err(Not::Kept(answers)) }
        })
        .await;
    match answer {
        Ok(answers) => Ended::Kept(answers),
        Err(Not::Kept(answers)) => Ended::GivenUp(answers),
        Err(Not::Done(DbError::Unique(_))) => Ended::Refused("unique"),
        Err(Not::Done(DbError::Statement { .. })) => Ended::Refused("statement"),
        Err(Not::Done(error)) => panic!("{error}"),
    }
}

async fn apply(tx: &mut Tx<'_>, operation: Operation) -> Result<Answer, DbError> {
    let insert = format!("INSERT INTO things ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    let select = |rest: &str| format!("SELECT {COLUMNS} FROM things {rest}");
    Ok(match operation {
        Operation::Insert(thing) => Answer::Changed(tx.execute(&insert, thing.values()).await?),
        Operation::InsertNew(thing) => Answer::New(tx.insert_new(&insert, thing.values()).await?),
        Operation::Save(thing) => {
            let save = "UPDATE things SET amount = ?, is_open = ?, at = ?, body = ?, data = ?, version = ? WHERE id = ? AND version = ?";
            let before = thing.version - 1;
            let row = values![thing.amount, thing.is_open, thing.at, thing.body, thing.data, thing.version, thing.id, before];
            Answer::Changed(tx.execute(save, row).await?)
        }
        Operation::Shut { until } => {
            let shut = "UPDATE things SET is_open = FALSE, version = version + 1 WHERE is_open = TRUE AND at <= ?";
            Answer::Changed(tx.execute(shut, values![until]).await?)
        }
        Operation::Rename { id, name } => Answer::Changed(tx.execute("UPDATE things SET name = ? WHERE id = ?", values![name, id]).await?),
        Operation::Raise { id, by } => {
            let raise =
                "UPDATE things SET version = version + ?, amount = CASE WHEN amount IS NULL THEN ? ELSE amount + ? END WHERE id = ?";
            Answer::Changed(tx.execute(raise, values![by, by, by, id]).await?)
        }
        Operation::Delete { id } => Answer::Changed(tx.execute("DELETE FROM things WHERE id = ?", values![id]).await?),
        Operation::DeleteSome { name } => {
            Answer::Changed(tx.execute("DELETE FROM things WHERE name > ? AND is_open = ?", values![name, false]).await?)
        }
        Operation::ById(id) => {
            let found: Option<Thing> = tx.fetch_optional(&select("WHERE id = ?"), values![id]).await?;
            Answer::Things(found.into_iter().collect())
        }
        Operation::ByIds(ids) => {
            let places = vec!["?"; ids.len()].join(", ");
            let query = select(&format!("WHERE id IN ({places}) ORDER BY id LIMIT 100"));
            Answer::Things(tx.fetch_all(&query, ids.into_iter().map(Value::from).collect()).await?)
        }
        Operation::Page { after, limit } => {
            Answer::Things(tx.fetch_all(&select("WHERE name > ? ORDER BY name, size LIMIT ?"), values![after, limit]).await?)
        }
        Operation::Due { now, limit } => {
            let query = select("WHERE is_open = TRUE AND at <= ? ORDER BY at DESC, id LIMIT ?");
            Answer::Things(tx.fetch_all(&query, values![now, limit]).await?)
        }
        Operation::Lacking => {
            Answer::Things(tx.fetch_all(&select("WHERE amount IS NULL AND body IS NOT NULL ORDER BY seq LIMIT 20"), vec![]).await?)
        }
        Operation::Totals { is_open } => {
            let numbers = ["count(*)", "sum(size)", "min(amount)", "max(version)", "count(DISTINCT name)", "sum(amount / 2 - size % 3)"];
            let mut all = Vec::new();
            for number in numbers {
                let query = format!("SELECT {number} FROM things WHERE is_open = ?");
                all.push(tx.fetch_one::<Option<i64>>(&query, values![is_open]).await?);
            }
            let latest: Option<Timestamp> = tx.fetch_one("SELECT max(at) FROM things WHERE is_open = ?", values![is_open]).await?;
            return Ok(if all.first() == Some(&Some(0)) { Answer::Moment(latest) } else { Answer::Numbers(all) });
        }
        Operation::Names => {
            let query = "SELECT name || '/' || coalesce(name, '?') FROM things GROUP BY name HAVING count(*) >= 2 ORDER BY name LIMIT 50";
            Answer::Texts(tx.fetch_all(query, vec![]).await?)
        }
        Operation::Pairs { limit } => {
            let query = format!(
                "SELECT {} FROM things a JOIN things b ON b.name = a.name AND b.size > a.size
                 WHERE EXISTS (SELECT 1 FROM things c WHERE c.id = a.id AND c.is_open <> ?) ORDER BY a.name, a.size, b.size LIMIT ?",
                COLUMNS.split(", ").map(|column| format!("b.{column}")).collect::<Vec<_>>().join(", ")
            );
            Answer::Things(tx.fetch_all(&query, values![true, limit]).await?)
        }
    })
}

impl Thing {
    fn values(self) -> Vec<Value> {
        values![self.id, self.name, self.size, self.amount, self.is_open, self.at, self.body, self.data, self.version]
    }
}

fn operation(stream: &mut Stream) -> Operation {
    match stream.random_range(0..24) {
        0..5 => Operation::InsertNew(thing(stream)),
        5 => Operation::Insert(thing(stream)),
        6..9 => Operation::Save(Thing { version: stream.random_range(1..4), ..thing(stream) }),
        9 => Operation::Shut { until: Timestamp::from_micros(stream.random_range(0..40_000)) },
        10 => Operation::Rename { id: id(stream), name: name(stream) },
        // Below nothing the row refuses it.
        11 => Operation::Raise { id: id(stream), by: stream.random_range(-1..4) },
        12 => Operation::Delete { id: id(stream) },
        13 if stream.random_ratio(1, 10) => Operation::DeleteSome { name: name(stream) },
        13..16 => Operation::ById(id(stream)),
        16 => Operation::ByIds((0..stream.random_range(1..5)).map(|_| id(stream)).collect()),
        17 => Operation::Page { after: name(stream), limit: stream.random_range(0..20) },
        18 => Operation::Due { now: moment(stream), limit: stream.random_range(1..20) },
        19 => Operation::Lacking,
        20 | 21 => Operation::Totals { is_open: stream.random() },
        22 => Operation::Names,
        _ => Operation::Pairs { limit: stream.random_range(1..10) },
    }
}

/// One of few, so that statements meet the same rows.
fn id(stream: &mut Stream) -> Uuid {
    Uuid::from_u128(u128::from(stream.random_range(0..200_u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn name(stream: &mut Stream) -> String {
    let words = [
        "", "a", "A", "b", "Z", "ä", "é", "zebra", "Zebra", "a b", "a-b", "a_b", "10", "9", "'", "\"", "?", "\\", "%", "🛒", "\u{e000}",
        "ß",
    ];
    let word = words.choose(stream).copied().unwrap_or_default();
    if stream.random() { word.to_owned() } else { format!("{word}{}", stream.random_range(0..9)) }
}

fn moment(stream: &mut Stream) -> Timestamp {
    let moments = [-1, 0, 1, 1_767_571_200_000_001, -62_135_596_800_000_000, 253_402_300_799_999_999];
    match stream.random_range(0..4) {
        0 => Timestamp::from_micros(moments.choose(stream).copied().unwrap_or_default()),
        _ => Timestamp::from_micros(stream.random_range(-100_000..100_000)),
    }
}

fn thing(stream: &mut Stream) -> Thing {
    let (has_amount, has_body, has_data) = (stream.random::<bool>(), stream.random::<bool>(), stream.random::<bool>());
    let body: Vec<u8> = (0..stream.random_range(0..40)).map(|_| stream.random()).collect();
    Thing {
        id: id(stream),
        name: name(stream),
        size: stream.random_range(-2..6),
        amount: has_amount.then(|| stream.random_range(-1_000_000_000_000..1_000_000_000_000)),
        is_open: stream.random(),
        at: moment(stream),
        body: has_body.then_some(body),
        data: has_data.then(|| json(stream, 2)),
        version: 1,
    }
}

fn json(stream: &mut Stream, depth: u32) -> serde_json::Value {
    match stream.random_range(0..if depth == 0 { 5 } else { 7 }) {
        0 => serde_json::Value::Null,
        1 => stream.random::<bool>().into(),
        2 => stream.random::<i64>().into(),
        // A fraction that stays one: how a whole number is written is the engine's own.
        3 => (f64::from(stream.random_range(-1_000..1_000_i32)) + 0.125).into(),
        4 => name(stream).into(),
        5 => (0..stream.random_range(0..4)).map(|_| json(stream, depth - 1)).collect(),
        _ => (0..stream.random_range(0..4)).map(|_| (name(stream), json(stream, depth - 1))).collect(),
    }
}
