//! That a system stays as fast as it was when it has grown: of every statement that the services run in [`everything`], the store is asked how it would
//! find its rows. None may walk through a table that grows with the orders.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

use std::{collections::BTreeSet, time::Duration};

use crashcart::registry::SIMULATION;
use lab::target::{Request, Simulation, Target, simulation::Simulated};
use platform::{
    db::{Db, DbError, FromRow, Row, Tx, Value},
    values,
};
use system_tests::{
    samples::operations,
    trade::{SETTLED, trade},
};

/// Long enough for what is done once an hour.
const HOURS: Duration = Duration::from_secs(3 * 3_600);

/// What stays small, or is asked for whole.
const MAY_BE_WALKED: [&str; 3] = [
    " FROM currency_rates ",
    // What came in and could not be read.
    " FROM product_quarantine",
    // An export, once and not by the page.
    "_idempotency ORDER BY at, endpoint, token LIMIT ? OFFSET ?",
];

/// What a plan walks through that is no table: a parameter under a name, a page that was cut before.
const NO_TABLES: [&str; 3] = ["CONSTANT", "told", "entries"];

/// A line of a plan.
struct Step(String);

impl FromRow for Step {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self(row.get("detail")?))
    }
}

async fn plan_of(db: &Db, statement: &str) -> Vec<String> {
    let unbound: Vec<Value> = (0..statement.matches('?').count()).flat_map(|_| values![None::<i64>]).collect();
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let steps: Vec<Step> = db.read(async |tx: &mut Tx<'_>| tx.fetch_all(&explain, unbound).await).await.unwrap();
    steps.into_iter().map(|step| step.0).collect()
}

/// Whether a step walks through a table from end to end. An index of some rows only has those in it that wait for something.
async fn walks(db: &Db, step: &str) -> bool {
    let Some((table, rest)) = step.strip_prefix("SCAN ").map(|walked| walked.split_once(' ').unwrap_or((walked, ""))) else { return false };
    // Rows that are inserted together.
    if rest == "VALUES CLAUSE" {
        return false;
    }
    let index = rest.split_once("INDEX ").map(|(_, index)| index.to_owned());
    let definition =
        async |tx: &mut Tx<'_>| tx.fetch_optional("SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = ?", values![index]).await;
    let is_partial = db.read(definition).await.unwrap().is_some_and(|sql: String| sql.contains(" WHERE "));
    !is_partial && !NO_TABLES.contains(&table)
}

/// Whether a step goes from some row on, to the end of a table if it finds little there. A page that goes on where the last one ended does so too, and
/// is told how long it is.
fn passes_over(step: &str, statement: &str) -> bool {
    step.contains("USING INTEGER PRIMARY KEY (rowid>?)") && !statement.contains("LIMIT ?")
}

/// The statements that walk, of all that were run since they are counted by their text, and how many those are.
async fn walking(stores: &[Db]) -> (usize, BTreeSet<String>) {
    let (mut statements, mut walking) = (0, BTreeSet::new());
    for db in stores {
        for statement in db.counters().by_text().into_keys() {
            statements += 1;
            let plan = plan_of(db, &statement).await;
            for step in &plan {
                if (walks(db, step).await || passes_over(step, &statement)) && !MAY_BE_WALKED.iter().any(|known| statement.contains(known))
                {
                    walking.insert(format!("{}: {statement}\n    {}", db.service(), plan.join("\n    ")));
                }
            }
        }
    }
    (statements, walking)
}

/// Orders from the cart to the refund, every operation of every document, every export, and three hours in which nothing happens.
async fn everything(target: &Simulated) {
    trade(target, SETTLED).await;
    for service in target.world.names() {
        let document = serde_json::to_value(target.world.openapi(service).unwrap()).unwrap();
        for operation in operations(service, &document) {
            let body = operation.body.as_ref().map(|_| operation.sample_body());
            let method = operation.method.parse().unwrap();
            let request = Request { method, path: operation.path(), headers: vec![("idempotency-key", "some-key".into())], body };
            // Most samples are of what is not there; they are looked for all the same.
            drop(target.call(request).await);
        }
    }
    for collection in target.collections().await.unwrap() {
        target.export(&collection).await.unwrap();
    }
    target.sleep(HOURS).await;
}

/// What walks, with something planted behind a store.
fn found_with(planted: &'static [(&'static str, &'static str)]) -> (usize, BTreeSet<String>) {
    let simulation = Simulation { planted, ..SIMULATION };
    simulation
        .run(1, &[], async |target| {
            let stores: Vec<Db> = target.world.names().into_iter().filter_map(|service| target.world.db(service)).collect();
            stores.iter().for_each(|db| drop(db.counters().by_text()));
            everything(target).await;
            walking(&stores).await
        })
        .unwrap()
}

#[test]
fn no_statement_walks_through_a_table_that_grows() {
    let (statements, walking) = found_with(&[]);
    assert!(walking.is_empty(), "{}", walking.into_iter().collect::<Vec<_>>().join("\n"));
    assert!(statements > 200, "only {statements} statements were run");
}

#[test]
fn a_statement_that_has_lost_its_index_is_found() {
    let (_, walking) = found_with(&[("order", "DROP INDEX order_outbox_pending")]);
    let found: Vec<&str> = walking.iter().filter_map(|found| found.lines().last()).map(str::trim).collect();
    assert_eq!(found, ["SEARCH order_outbox USING INTEGER PRIMARY KEY (rowid>?)"]);
    let (_, walking) = found_with(&[("order", "DROP INDEX order_status_history_of")]);
    let found: Vec<&str> = walking.iter().filter_map(|found| found.lines().last()).map(str::trim).collect();
    assert_eq!(found, ["SCAN order_status_history"]);
}
