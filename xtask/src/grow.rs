//! Makes a shop that has sold much of one that has sold a little: every row that an order has left in the stores is written again and again, each
//! time under older ids, as if the same people had bought the same things before. What it makes is not proved by the invariants (the log does
//! not hold the events of orders that never were); it is there to find out what an order costs among a million others, and what a start does.

use std::path::Path;

use rusqlite::{Connection, params_from_iter, types::Value};

/// The services in whose stores an order leaves rows.
const SERVICES: [&str; 5] = ["cart", "inventory", "order", "payment", "psp"];
/// What does not grow with the orders: the numbers of goods are made right instead, and answers are kept for a day only.
const APART: [&str; 2] = ["stock", "schema_migrations"];
/// Ids of those who were there before and buy again.
const SAME: [&str; 1] = ["customer_id"];
/// Names that may be there once, and are no ids.
const NAMES: [&str; 6] = ["session_token", "open_session", "request_token", "request_key", "psp_key", "checkout_token"];
/// How much older the ids of each copy are than those of the one before: an hour, in milliseconds.
const OLDER: u64 = 3_600_000;

/// Writes everything that the orders of a shop at rest have left `copies` times more. Says how many rows that were.
pub fn grow(folder: &Path, copies: u64, newest_millis: u64) -> Result<u64, String> {
    let mut rows = 0;
    for service in SERVICES {
        let path = folder.join(format!("{service}.db"));
        let told = |error: rusqlite::Error| format!("{}: {error}", path.display());
        let connection = Connection::open(&path).map_err(told)?;
        rows += grow_store(&connection, copies, newest_millis).map_err(told)?;
    }
    Ok(rows)
}

fn grow_store(connection: &Connection, copies: u64, newest_millis: u64) -> Result<u64, rusqlite::Error> {
    // If this dies half-way the folder is thrown away, so nothing is kept safe.
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA temp_store = MEMORY; BEGIN")?;
    let mut tables =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut rows = 0;
    for table in tables.iter().filter(|table| !APART.contains(&table.as_str()) && !table.ends_with("_idempotency")) {
        rows += grow_table(connection, table, copies, newest_millis)?;
    }
    if tables.iter().any(|table| table == "stock") {
        let times = copies + 1;
        let update = format!("UPDATE stock SET on_hand = on_hand * {times}, claimed = claimed * {times}, shipped = shipped * {times}");
        connection.execute(&update, [])?;
    }
    connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(rows)
}

/// Inserts the rows of a table again, the oldest copy first.
fn grow_table(connection: &Connection, table: &str, copies: u64, newest_millis: u64) -> Result<u64, rusqlite::Error> {
    let mut info = connection.prepare("SELECT name, type FROM pragma_table_info(?)")?;
    let columns: Vec<(String, String)> = info.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    // The store itself gives the next number.
    let columns: Vec<(String, String)> = columns.into_iter().filter(|(name, _)| name != "seq").collect();
    let names = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let older = columns.iter().map(|(name, kind)| of_copy(name, kind)).collect::<Vec<_>>().join(", ");
    connection.execute_batch(&format!("CREATE TEMP TABLE base AS SELECT {names} FROM {table}"))?;
    let highest: i64 = if columns.iter().any(|(name, _)| name == "fencing_token") {
        connection.query_row("SELECT coalesce(max(fencing_token), 0) FROM base", [], |row| row.get(0))?
    } else {
        0
    };
    let mut insert = connection.prepare(&format!("INSERT INTO {table} ({names}) SELECT {older} FROM base"))?;
    let mut rows = 0;
    for copy in (1..=copies).rev() {
        let millis = newest_millis.saturating_sub(copy * OLDER);
        let stamp = millis.to_be_bytes()[2..].to_vec();
        let hex: String = stamp.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{}-{}", &hex[..8], &hex[8..]);
        let next = highest.saturating_mul(i64::try_from(copy).unwrap_or(i64::MAX));
        let values = [Value::Blob(stamp), Value::Text(text), Value::Text(format!("~{copy}")), Value::Integer(next)];
        let used = insert.parameter_count();
        rows += insert.execute(params_from_iter(values.into_iter().take(used)))? as u64;
    }
    drop(insert);
    connection.execute_batch("DROP TABLE base")?;
    Ok(rows)
}

/// A column of a copy. `?1` is the copy's time as an id begins with it, `?2` the same as text, `?3` what is put behind a name, `?4` what is added to a
/// fencing token.
fn of_copy(name: &str, kind: &str) -> String {
    match kind {
        _ if SAME.contains(&name) => name.to_owned(),
        _ if name == "fencing_token" => format!("{name} + ?4"),
        "BLOB" => format!("CASE WHEN length({name}) = 16 THEN CAST(?1 || substr({name}, 7) AS BLOB) ELSE {name} END"),
        _ if NAMES.contains(&name) => format!("{name} || ?3"),
        "TEXT" => format!("CASE WHEN length({name}) = 36 AND substr({name}, 9, 1) = '-' THEN ?2 || substr({name}, 14) ELSE {name} END"),
        _ => name.to_owned(),
    }
}
