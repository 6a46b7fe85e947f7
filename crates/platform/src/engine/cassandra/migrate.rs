//! The tables of a keyspace: numbered texts, up and down, each noted once it was done. Cassandra keeps each change at once, so a text that was
//! cut off is run again from its beginning and has to bear that.

use std::{collections::BTreeMap, time::Duration};

use scylla::statement::Consistency;
use sha2::{Digest, Sha256};

use super::{Answer, CassandraError, Keyspace, MIGRATION, SCHEMA_CHANGE, leases_insert};
use crate::{
    db::{DbError, FromRow, Row},
    values,
};

/// How long a process waits for the one that leads, and looks again after so long.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// One step of a keyspace's tables. A text has statements with `;` between them and `$.` in front of each table.
#[derive(Clone, Debug)]
pub struct Migration {
    pub number: i64,
    pub name: &'static str,
    pub up: String,
    pub down: String,
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

pub(super) async fn up(space: &Keyspace, migrations: Vec<Migration>) -> Result<(), CassandraError> {
    found(space).await?;
    if is_done(space, &migrations, &applied(space).await?)? {
        return Ok(());
    }
    lead(space, async {
        let applied = applied(space).await?;
        is_done(space, &migrations, &applied)?;
        for migration in migrations.iter().filter(|migration| !applied.contains_key(&migration.number)) {
            run(space, &migration.up).await?;
            let note = "INSERT INTO $.migrations (number, name, digest) VALUES (?, ?, ?)";
            tell(space, note, values![migration.number, migration.name, digest(&migration.up)]).await?;
            tracing::info!(keyspace = space.name(), number = migration.number, name = migration.name, "a migration was applied");
        }
        Ok(())
    })
    .await
}

pub(super) async fn down(space: &Keyspace, migrations: Vec<Migration>, number: i64) -> Result<(), CassandraError> {
    found(space).await?;
    lead(space, async {
        let applied = applied(space).await?;
        let above = migrations.iter().rev().filter(|migration| migration.number > number && applied.contains_key(&migration.number));
        for migration in above {
            run(space, &migration.down).await?;
            tell(space, "DELETE FROM $.migrations WHERE number = ?", values![migration.number]).await?;
        }
        Ok(())
    })
    .await
}

/// Whether nothing is left to do; an error for tables that are not ours to use.
fn is_done(space: &Keyspace, migrations: &[Migration], applied: &BTreeMap<i64, String>) -> Result<bool, CassandraError> {
    let closed = |reason: String| Err(CassandraError::Closed { at: space.0.server.at(), reason });
    let known = migrations.iter().map(|migration| migration.number).max().unwrap_or(0);
    if let Some(found) = applied.keys().max().filter(|found| **found > known) {
        return closed(format!(
            "the keyspace {} was written by a newer version (it has migration {found}, this program knows {known}); use that version or another \
             `engines.cassandra.prefix`",
            space.name()
        ));
    }
    for migration in migrations {
        if applied.get(&migration.number).is_some_and(|applied| *applied != digest(&migration.up)) {
            return closed(format!(
                "migration {} of {} was changed after it had been applied; write a new one instead",
                migration.number,
                space.name()
            ));
        }
    }
    Ok(migrations.iter().all(|migration| applied.contains_key(&migration.number)))
}

/// The keyspace, with what says how far it is.
async fn found(space: &Keyspace) -> Result<(), CassandraError> {
    let inner = &space.0.server.0;
    let replication = match inner.datacenter.as_str() {
        "" => format!("{{'class': 'SimpleStrategy', 'replication_factor': {}}}", inner.replication),
        datacenter => format!("{{'class': 'NetworkTopologyStrategy', '{datacenter}': {}}}", inner.replication),
    };
    run(
        space,
        &format!(
            "CREATE KEYSPACE IF NOT EXISTS \"{}\" WITH replication = {replication};
             CREATE TABLE IF NOT EXISTS $.migrations (number bigint PRIMARY KEY, name text, digest text);
             CREATE TABLE IF NOT EXISTS $.leases (name text PRIMARY KEY, holder uuid)",
            space.name()
        ),
    )
    .await
}

async fn run(space: &Keyspace, text: &str) -> Result<(), CassandraError> {
    let without_comments: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    for statement in without_comments.join("\n").split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        tell(space, statement, vec![]).await?;
    }
    Ok(())
}

async fn applied(space: &Keyspace) -> Result<BTreeMap<i64, String>, CassandraError> {
    let rows: Vec<Applied> = tell(space, "SELECT number, digest FROM $.migrations", vec![]).await?.into(&space.0.server)?;
    Ok(rows.into_iter().map(|row| (row.number, row.digest)).collect())
}

/// Does this work while no other process does. Not to be asked for within a statement, for those wait until the tables are there.
async fn lead(space: &Keyspace, work: impl Future<Output = Result<(), CassandraError>>) -> Result<(), CassandraError> {
    if !space.rows_fade() {
        return work.await;
    }
    let (clock, holder) = (space.0.server.0.clock, space.0.ids.make::<types::id::Uuid>());
    let began = clock.now();
    while !space.applied(tell(space, &leases_insert(MIGRATION), values!["migrations", holder]).await?)? {
        if clock.now().since(began) > PATIENCE {
            return Err(space.0.server.away("another process has been changing the tables for long".into()));
        }
        clock.sleep(LOOK_AGAIN).await;
    }
    let done = work.await;
    let ended = tell(space, "DELETE FROM $.leases WHERE name = ? IF holder = ?", values!["migrations", holder]).await;
    done.and(ended.map(drop))
}

async fn tell(space: &Keyspace, cql: &str, values: Vec<crate::db::Value>) -> Result<Answer, CassandraError> {
    space.tell(cql, &values, Consistency::Quorum, SCHEMA_CHANGE.max(space.0.server.0.timeout)).await
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
