//! Migrations: numbered, up and down, each applied once and in one transaction with the note that it was.

use sha2::{Digest, Sha256};

use super::{Db, DbError, FromRow, Row, Tx};
use crate::values;

/// One step of a schema.
#[derive(Clone, Debug)]
pub struct Migration {
    pub number: i64,
    pub name: &'static str,
    pub up: String,
    pub down: String,
}

/// The migrations of a service, from its folder `migrations/sqlite`: `migrations![(1, "orders"), (2, "sagas")]` reads
/// `0001_orders.up.sql` and so on. The number is written with four digits in the file's name.
#[macro_export]
macro_rules! migrations {
    ($(($number:literal, $file:literal)),* $(,)?) => {
        vec![$($crate::db::Migration {
            number: $number,
            name: $file,
            up: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/", $file, ".up.sql")).to_owned(),
            down: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/", $file, ".down.sql")).to_owned(),
        }),*]
    };
}

/// The number that a store with all of these has.
#[must_use]
pub fn latest_number(migrations: &[Migration]) -> i64 {
    migrations.iter().map(|migration| migration.number).max().unwrap_or(0)
}

struct Applied {
    number: i64,
    digest: String,
}

impl FromRow for Applied {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        Ok(Self { number: row.get("number")?, digest: row.get("digest")? })
    }
}

pub(super) async fn up(db: &Db, migrations: Vec<Migration>) -> Result<(), DbError> {
    let applied = applied(db).await?;
    let known = latest_number(&migrations);
    if let Some(found) = applied.iter().map(|row| row.number).max().filter(|found| *found > known) {
        return Err(DbError::Newer { service: db.service, found, known });
    }
    for migration in migrations {
        match applied.iter().find(|row| row.number == migration.number) {
            Some(row) if row.digest == digest(&migration) => {}
            Some(_) => return Err(DbError::MigrationChanged { service: db.service, number: migration.number }),
            None => step(db, migration, Direction::Up).await?,
        }
    }
    Ok(())
}

pub(super) async fn down(db: &Db, migrations: Vec<Migration>, number: i64) -> Result<(), DbError> {
    let applied = applied(db).await?;
    for migration in migrations.into_iter().rev() {
        if migration.number > number && applied.iter().any(|row| row.number == migration.number) {
            step(db, migration, Direction::Down).await?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

async fn step(db: &Db, migration: Migration, direction: Direction) -> Result<(), DbError> {
    let service = db.service;
    db.write(async move |tx: &mut Tx<'_>| {
        let script = match direction {
            Direction::Up => &migration.up,
            Direction::Down => &migration.down,
        };
        tx.connection.execute_batch(script).map_err(|source| DbError::Migration {
            service,
            number: migration.number,
            name: migration.name,
            source,
        })?;
        match direction {
            Direction::Up => {
                let insert = "INSERT INTO schema_migrations (number, name, digest) VALUES (?, ?, ?)";
                tx.execute(insert, values![migration.number, migration.name, digest(&migration)]).await
            }
            Direction::Down => tx.execute("DELETE FROM schema_migrations WHERE number = ?", values![migration.number]).await,
        }
    })
    .await
    .map(|_| ())
}

async fn applied(db: &Db) -> Result<Vec<Applied>, DbError> {
    db.run_script(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL) STRICT",
    )
    .await?;
    db.read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT number, digest FROM schema_migrations ORDER BY number", vec![]).await).await
}

fn digest(migration: &Migration) -> String {
    hex::encode(Sha256::digest(&migration.up))
}
