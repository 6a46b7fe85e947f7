//! Migrations: numbered, up and down, each applied once, together with the note that it was. Of several processes over one database one leads:
//! it holds a lock of the engine that ends with its connection, and the others wait for it.
//!
//! On SQLite and PostgreSQL a migration and its note are one transaction. MariaDB keeps each change of a table as soon as it is made, so a process
//! that ends in the middle leaves some of them there and no note. So a script for MariaDB is one that can be run again from its beginning,
//! whatever of it is there already (`IF NOT EXISTS`, `IF EXISTS`), and that is what the next start does.

use sha2::{Digest, Sha256};

use super::{Db, DbError, Dialect, Engine, FromRow, Row, Tx};
use crate::values;

/// One step of a schema, in the words of each engine that its service can stand on.
#[derive(Clone, Debug)]
pub struct Migration {
    pub number: i64,
    pub name: &'static str,
    pub sqlite: Script,
    /// None: its service has no tables there.
    pub postgresql: Option<Script>,
    /// Can be run again from its beginning.
    pub mariadb: Option<Script>,
}

/// What one engine is told, there and back.
#[derive(Clone, Debug)]
pub struct Script {
    pub up: String,
    pub down: String,
}

impl Migration {
    /// For SQLite.
    pub fn new(number: i64, name: &'static str, up: impl Into<String>, down: impl Into<String>) -> Self {
        Self { number, name, sqlite: Script { up: up.into(), down: down.into() }, postgresql: None, mariadb: None }
    }

    /// And for PostgreSQL, where the number and the name are the same.
    #[must_use]
    pub fn with_postgresql(mut self, up: impl Into<String>, down: impl Into<String>) -> Self {
        self.postgresql = Some(Script { up: up.into(), down: down.into() });
        self
    }

    /// And for MariaDB; both texts can be run again from their beginning, whatever of them was done already.
    #[must_use]
    pub fn with_mariadb(mut self, up: impl Into<String>, down: impl Into<String>) -> Self {
        self.mariadb = Some(Script { up: up.into(), down: down.into() });
        self
    }

    /// What this engine is told, if the migration is written for it.
    #[must_use]
    pub const fn written_for(&self, dialect: Dialect) -> Option<&Script> {
        match dialect {
            Dialect::Sqlite => Some(&self.sqlite),
            Dialect::Postgresql => self.postgresql.as_ref(),
            Dialect::Mariadb => self.mariadb.as_ref(),
        }
    }

    fn script(&self, service: &'static str, dialect: Dialect) -> Result<&Script, DbError> {
        self.written_for(dialect).ok_or_else(|| DbError::Migration {
            service,
            number: self.number,
            name: self.name,
            source: format!("it is not written for {dialect}").into(),
        })
    }
}

/// The migrations of a service, from its folder `migrations/sqlite`: `migrations![(1, "0001_orders"), (2, "0002_sagas")]` reads
/// `0001_orders.up.sql` and so on. With `; postgresql` or `; mariadb` behind them, also those of the same names in that folder.
#[macro_export]
macro_rules! migrations {
    ($(($number:literal, $file:literal)),* $(,)?) => {
        vec![$($crate::migrations!(@one $number, $file)),*]
    };
    ($(($number:literal, $file:literal)),*; postgresql) => {
        vec![$($crate::migrations!(@one $number, $file)
            .with_postgresql($crate::migrations!(@text "postgresql", $file, "up"), $crate::migrations!(@text "postgresql", $file, "down"))),*]
    };
    ($(($number:literal, $file:literal)),*; mariadb) => {
        vec![$($crate::migrations!(@one $number, $file)
            .with_mariadb($crate::migrations!(@text "mariadb", $file, "up"), $crate::migrations!(@text "mariadb", $file, "down"))),*]
    };
    (@one $number:literal, $file:literal) => {
        $crate::db::Migration::new(
            $number,
            $file,
            $crate::migrations!(@text "sqlite", $file, "up"),
            $crate::migrations!(@text "sqlite", $file, "down"),
        )
    };
    (@text $engine:literal, $file:literal, $way:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $engine, "/", $file, ".", $way, ".sql"))
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
    let _lead = lead(db).await?;
    let applied = applied(db).await?;
    let known = latest_number(&migrations);
    if let Some(found) = applied.iter().map(|row| row.number).max().filter(|found| *found > known) {
        return Err(DbError::Newer { service: db.service, found, known });
    }
    for migration in migrations {
        match applied.iter().find(|row| row.number == migration.number) {
            Some(row) if row.digest == digest(migration.script(db.service, db.dialect())?) => {}
            Some(_) => return Err(DbError::MigrationChanged { service: db.service, number: migration.number }),
            None => step(db, migration, Direction::Up).await?,
        }
    }
    Ok(())
}

pub(super) async fn down(db: &Db, migrations: Vec<Migration>, number: i64) -> Result<(), DbError> {
    let _lead = lead(db).await?;
    let applied = applied(db).await?;
    for migration in migrations.into_iter().rev() {
        if migration.number > number && applied.iter().any(|row| row.number == migration.number) {
            step(db, migration, Direction::Down).await?;
        }
    }
    Ok(())
}

/// The lead over all processes that would migrate this schema, for as long as it lives. A file of SQLite has one process.
#[cfg(feature = "engines")]
async fn lead(db: &Db) -> Result<Option<super::server::Lead<'_>>, DbError> {
    match &db.engine {
        Engine::Sqlite(_) => Ok(None),
        Engine::Server(engine) => engine.lead_migrations().await.map(Some),
    }
}

#[cfg(not(feature = "engines"))]
async fn lead(db: &Db) -> Result<Option<()>, DbError> {
    let Engine::Sqlite(_) = &db.engine;
    Ok(None)
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

async fn step(db: &Db, migration: Migration, direction: Direction) -> Result<(), DbError> {
    let (service, dialect) = (db.service, db.dialect());
    db.write(async move |tx: &mut Tx<'_>| {
        let script = migration.script(service, dialect)?;
        let text = match direction {
            Direction::Up => &script.up,
            Direction::Down => &script.down,
        };
        tx.run_script(text).await.map_err(|error| match error {
            // What is wrong with the script, not with the engine.
            DbError::Statement { source, .. } => DbError::Migration { service, number: migration.number, name: migration.name, source },
            other => other,
        })?;
        match direction {
            Direction::Up => {
                let insert = "INSERT INTO schema_migrations (number, name, digest) VALUES (?, ?, ?)";
                tx.execute(insert, values![migration.number, migration.name, digest(script)]).await
            }
            Direction::Down => tx.execute("DELETE FROM schema_migrations WHERE number = ?", values![migration.number]).await,
        }
    })
    .await
    .map(|_| ())
}

async fn applied(db: &Db) -> Result<Vec<Applied>, DbError> {
    let table = match db.dialect() {
        Dialect::Sqlite => "number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL) STRICT",
        Dialect::Postgresql => "number bigint PRIMARY KEY, name text NOT NULL, digest text NOT NULL)",
        Dialect::Mariadb => "number bigint PRIMARY KEY, name varchar(255) NOT NULL, digest varchar(64) NOT NULL)",
    };
    db.run_script(&format!("CREATE TABLE IF NOT EXISTS schema_migrations ({table}")).await?;
    db.read(async |tx: &mut Tx<'_>| tx.fetch_all("SELECT number, digest FROM schema_migrations ORDER BY number", vec![]).await).await
}

fn digest(script: &Script) -> String {
    hex::encode(Sha256::digest(&script.up))
}
