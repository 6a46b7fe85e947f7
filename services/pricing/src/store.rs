//! Every query of pricing. What a price needs is read by index in a few statements, whatever the number of lines: one for the book's
//! prices, one for the rules, one or two for campaigns. A save is a compare-and-set on the version. Here: books and rules; beside it
//! [`promotions`] and [`rates`].

pub mod promotions;
pub mod rates;

use std::collections::BTreeMap;

use platform::{
    db::{DbError, FromRow, Row, Tx, Value},
    values,
};
use pricing_api::BookEntry;
use serde::de::DeserializeOwned;
use types::{Currency, Money, Sku, Timestamp, id::Uuid};

use crate::domain::{book_of, rule::Rule};

/// Under which word a rule for all SKUs stands; no SKU looks like this.
const EVERY_SKU: &str = "*";
/// How many rules that have not ended may name one SKU, or all.
pub const MAX_RULES: u32 = 200;
/// How many rules a simulation looks at: those that end last.
const MAX_SIMULATED: u32 = 2_000;

const RULE: &str = "r.id, r.name, r.skus, r.priority, r.exclusive, r.condition, r.effect, r.starts_at, r.ends_at, r.version";
impl FromRow for Rule {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            skus: row.json("skus")?,
            priority: i32::try_from(row.get::<i64>("priority")?).unwrap_or(0),
            exclusive: row.get("exclusive")?,
            when: optional_json(row, "condition")?,
            effect: row.json("effect")?,
            starts_at: row.get("starts_at")?,
            ends_at: row.get("ends_at")?,
            version: row.get("version")?,
        })
    }
}

fn optional_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<Option<T>, DbError> {
    row.get::<Option<String>>(column)?.map(|_| row.json(column)).transpose()
}

/// A place for each of these values, rounded up to a power of two by repeating the last, so that statements stay few and prepared.
fn places<'a>(skus: impl ExactSizeIterator<Item = &'a str>, values: &mut Vec<Value>) -> String {
    let wanted = skus.len().next_power_of_two();
    let first = values.len();
    values.extend(skus.map(Value::from));
    let last = values.get(first..).and_then(<[Value]>::last).cloned().unwrap_or_else(|| Value::from(EVERY_SKU));
    values.resize(first + wanted, last);
    vec!["?"; wanted].join(", ")
}

/// The book's prices of these SKUs, in the currency's minor unit.
pub async fn book_prices(tx: &mut Tx<'_>, currency: Currency, skus: &[&Sku]) -> Result<BTreeMap<Sku, i64>, DbError> {
    struct Priced(Sku, i64);
    impl FromRow for Priced {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.parse("sku")?, row.get("unit_price")?))
        }
    }
    let mut values = values![book_of(currency)];
    let places = places(skus.iter().map(|sku| sku.as_str()), &mut values);
    values.push(Value::Integer(skus.len() as i64));
    let query = format!("SELECT sku, unit_price FROM price_book_entries WHERE book = ? AND sku IN ({places}) LIMIT ?");
    Ok(tx.fetch_all::<Priced>(&query, values).await?.into_iter().map(|Priced(sku, price)| (sku, price)).collect())
}

/// One SKU's prices in every book.
pub async fn prices_of(tx: &mut Tx<'_>, sku: &Sku) -> Result<BTreeMap<Currency, i64>, DbError> {
    struct Priced(String, i64);
    impl FromRow for Priced {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.get("book")?, row.get("unit_price")?))
        }
    }
    let mut values = Vec::new();
    let places = places(Currency::ALL.map(book_of).into_iter(), &mut values);
    values.push(sku.into());
    let query = format!("SELECT book, unit_price FROM price_book_entries WHERE book IN ({places}) AND sku = ? LIMIT 16");
    let rows = tx.fetch_all::<Priced>(&query, values).await?;
    let currency_of = |book: &str| Currency::ALL.into_iter().find(|currency| book_of(*currency) == book);
    Ok(rows.into_iter().filter_map(|Priced(book, price)| Some((currency_of(&book)?, price))).collect())
}

/// The rules that concern one of these SKUs, have not ended at `now` and start no later than `latest`; in no order.
pub async fn rules_about(tx: &mut Tx<'_>, skus: &[&Sku], now: Timestamp, latest: Timestamp) -> Result<Vec<Rule>, DbError> {
    let mut values = Vec::new();
    let places = places(skus.iter().map(|sku| sku.as_str()).chain([EVERY_SKU]).collect::<Vec<_>>().into_iter(), &mut values);
    let limit = (skus.len() as i64 + 1) * i64::from(MAX_RULES);
    values.extend(values![now, latest, limit]);
    let query = format!(
        "SELECT {RULE} FROM price_rules r WHERE r.id IN (SELECT s.rule_id FROM price_rule_skus s WHERE s.sku IN ({places}))
         AND (r.ends_at IS NULL OR r.ends_at > ?) AND (r.starts_at IS NULL OR r.starts_at <= ?) LIMIT ?"
    );
    tx.fetch_all(&query, values).await
}

/// The rules that concern this SKU at whatever time.
pub async fn rules_ever_about(tx: &mut Tx<'_>, sku: &Sku) -> Result<Vec<Rule>, DbError> {
    let query = format!(
        "SELECT {RULE} FROM price_rules r WHERE r.id IN (SELECT s.rule_id FROM price_rule_skus s WHERE s.sku IN (?, ?))
         ORDER BY CASE WHEN r.ends_at IS NULL THEN 0 ELSE 1 END, r.ends_at DESC LIMIT ?"
    );
    tx.fetch_all(&query, values![sku, EVERY_SKU, MAX_SIMULATED]).await
}

pub async fn rule(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Rule>, DbError> {
    tx.fetch_optional(&format!("SELECT {RULE} FROM price_rules r WHERE r.id = ?"), values![id]).await
}

/// Rules in the order in which they were made, from behind `after` on, each with its place.
pub async fn rules(tx: &mut Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Rule)>, DbError> {
    struct Placed(i64, Rule);
    impl FromRow for Placed {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.get("seq")?, Rule::from_row(row)?))
        }
    }
    let query = format!("SELECT r.seq, {RULE} FROM price_rules r WHERE r.seq > ? ORDER BY r.seq LIMIT ?");
    Ok(tx.fetch_all::<Placed>(&query, values![after, limit]).await?.into_iter().map(|Placed(seq, rule)| (seq, rule)).collect())
}

/// Of what this rule is about, what has as many rules as there may be without it: a SKU, or all of them.
pub async fn crowded(tx: &mut Tx<'_>, rule: &Rule, now: Timestamp) -> Result<Option<String>, DbError> {
    let mut values = Vec::new();
    let places = places(searched(rule).into_iter(), &mut values);
    values.extend(values![rule.id, now, MAX_RULES]);
    let query = format!(
        "SELECT s.sku FROM price_rule_skus s JOIN price_rules r ON r.id = s.rule_id
         WHERE s.sku IN ({places}) AND r.id <> ? AND (r.ends_at IS NULL OR r.ends_at > ?)
         GROUP BY s.sku HAVING count(*) >= ? ORDER BY s.sku LIMIT 1"
    );
    tx.fetch_optional(&query, values).await
}

pub async fn insert_rule(tx: &mut Tx<'_>, rule: &Rule, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO price_rules (id, name, skus, priority, exclusive, condition, effect, starts_at, ends_at, version, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values![
            rule.id,
            &rule.name,
            json(&rule.skus)?,
            rule.priority,
            rule.exclusive,
            rule.when.as_ref().map(json).transpose()?,
            json(&rule.effect)?,
            rule.starts_at,
            rule.ends_at,
            rule.version,
            now,
            now
        ],
    )
    .await?;
    index_rule(tx, rule).await
}

/// Replaces the version before; says whether it was still that.
pub async fn replace_rule(tx: &mut Tx<'_>, rule: &Rule, now: Timestamp) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE price_rules SET name = ?, skus = ?, priority = ?, exclusive = ?, condition = ?, effect = ?, starts_at = ?, ends_at = ?,
             version = ?, updated_at = ? WHERE id = ? AND version = ?",
            values![
                &rule.name,
                json(&rule.skus)?,
                rule.priority,
                rule.exclusive,
                rule.when.as_ref().map(json).transpose()?,
                json(&rule.effect)?,
                rule.starts_at,
                rule.ends_at,
                rule.version,
                now,
                rule.id,
                rule.version - 1
            ],
        )
        .await?;
    if changed == 1 {
        tx.execute("DELETE FROM price_rule_skus WHERE rule_id = ?", values![rule.id]).await?;
        index_rule(tx, rule).await?;
    }
    Ok(changed == 1)
}

/// The words under which a rule is found.
fn searched(rule: &Rule) -> Vec<&str> {
    if rule.skus.is_empty() { vec![EVERY_SKU] } else { rule.skus.iter().map(Sku::as_str).collect() }
}

async fn index_rule(tx: &mut Tx<'_>, rule: &Rule) -> Result<(), DbError> {
    for sku in searched(rule) {
        tx.execute("INSERT INTO price_rule_skus (sku, rule_id) VALUES (?, ?)", values![sku, rule.id]).await?;
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(value).map_err(|error| DbError::Column { column: "JSON".into(), reason: error.to_string() })
}

/// The currency of a book.
pub async fn book(tx: &mut Tx<'_>, name: &str) -> Result<Option<Currency>, DbError> {
    struct Book(Currency);
    impl FromRow for Book {
        fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
            Ok(Self(row.parse("currency")?))
        }
    }
    let book = tx.fetch_optional::<Book>("SELECT currency FROM price_books WHERE name = ?", values![name]).await?;
    Ok(book.map(|Book(currency)| currency))
}

/// An entry without its currency, which is its book's.
struct EntryRow(Sku, i64, i64);

impl FromRow for EntryRow {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(row.parse("sku")?, row.get("unit_price")?, row.get("version")?))
    }
}

impl EntryRow {
    fn of(self, book: &str, currency: Currency) -> BookEntry {
        let Self(sku, unit_price, version) = self;
        BookEntry { book: book.to_owned(), sku, unit_price: Money::new(unit_price, currency), version }
    }
}

pub async fn entry(tx: &mut Tx<'_>, book: &str, currency: Currency, sku: &Sku) -> Result<Option<BookEntry>, DbError> {
    let query = "SELECT sku, unit_price, version FROM price_book_entries WHERE book = ? AND sku = ?";
    Ok(tx.fetch_optional::<EntryRow>(query, values![book, sku]).await?.map(|row| row.of(book, currency)))
}

/// A book's entries by SKU, from behind `after` on.
pub async fn entries(tx: &mut Tx<'_>, book: &str, currency: Currency, after: &str, limit: u32) -> Result<Vec<BookEntry>, DbError> {
    let query = "SELECT sku, unit_price, version FROM price_book_entries WHERE book = ? AND sku > ? ORDER BY sku LIMIT ?";
    let rows = tx.fetch_all::<EntryRow>(query, values![book, after, limit]).await?;
    Ok(rows.into_iter().map(|row| row.of(book, currency)).collect())
}

/// Makes the entry; says whether there was none.
pub async fn insert_entry(tx: &mut Tx<'_>, entry: &BookEntry, now: Timestamp) -> Result<bool, DbError> {
    let insert = "INSERT INTO price_book_entries (book, sku, unit_price, version, updated_at) VALUES (?, ?, ?, ?, ?)";
    tx.insert_new(insert, values![&entry.book, &entry.sku, entry.unit_price.amount, entry.version, now]).await
}

/// Saves a new price over the version before; says whether it was still that.
pub async fn save_entry(tx: &mut Tx<'_>, entry: &BookEntry, now: Timestamp) -> Result<bool, DbError> {
    let update = "UPDATE price_book_entries SET unit_price = ?, version = ?, updated_at = ? WHERE book = ? AND sku = ? AND version = ?";
    let values = values![entry.unit_price.amount, entry.version, now, &entry.book, &entry.sku, entry.version - 1];
    Ok(tx.execute(update, values).await? == 1)
}
