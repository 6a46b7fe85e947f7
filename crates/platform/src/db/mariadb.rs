//! What MariaDB does in its own way behind [`Db`](super::Db): a database for each service on one server, 10.6 or newer.
//!
//! - **Alone.** InnoDB's SERIALIZABLE locks what is read, and the gaps between, until the end. Two who read the same and then write it meet in a
//!   deadlock, which ends at once for one of them; his work is run again. Its snapshots would let both write.
//! - **In the same words.** A session speaks the SQL of the shared statements: `||` joins, `"…"` is a name, `\` is a letter, an `UPDATE` sees the
//!   row as it was. Whole numbers divide into whole numbers, which is the one thing that no setting says, so the text does.
//! - **Tables are not changed in a transaction.** See [`migrate`](super::migrate).

mod wire;

use std::{str::FromStr, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sha2::{Digest, Sha256};
use sqlx::{
    ConnectOptions,
    error::DatabaseError,
    mysql::{MySqlConnectOptions, MySqlDatabaseError},
};

pub(super) use self::wire::{Bound, cell_of};
use super::{
    DbError, Dialect,
    server::{Connection, Options, STATEMENTS_KEPT, Server, Verdict, translated},
};

/// How texts are compared: byte for byte, and a space at the end counts.
const TEXT: &str = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

pub(super) struct Mariadb {
    outside: MySqlConnectOptions,
    inside: MySqlConnectOptions,
    /// What each session begins with.
    manners: String,
}

impl Mariadb {
    pub(super) fn new(service: &'static str, options: &Options, schema: &str) -> Result<Self, DbError> {
        // What the parser says may repeat the address.
        let outside = MySqlConnectOptions::from_str(options.url.expose()).map_err(|_| DbError::Open {
            service,
            path: format!("MariaDB, database `{schema}`"),
            reason: "its address is none; expected mysql://user:password@host:port/database".to_owned(),
        })?;
        let outside = outside
            .statement_cache_capacity(STATEMENTS_KEPT)
            // Said below, all at once.
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .set_names(false)
            .disable_statement_logging();
        let seconds = options.patience.as_secs_f64();
        // Of whom we have given up, the engine gives up too; these it counts in whole seconds.
        let whole = options.patience.as_secs() + u64::from(options.patience.subsec_nanos() > 0);
        let manners = format!(
            "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,\
             ERROR_FOR_DIVISION_BY_ZERO,PIPES_AS_CONCAT,ANSI_QUOTES,NO_BACKSLASH_ESCAPES,SIMULTANEOUS_ASSIGNMENT', \
             max_statement_time = {seconds}, innodb_lock_wait_timeout = {whole}, idle_transaction_timeout = {whole}; \
             SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        );
        Ok(Self { inside: outside.clone().database(schema), outside, manners })
    }

    fn reach(&self, options: &MySqlConnectOptions) -> BoxFuture<'static, Result<Connection, sqlx::Error>> {
        let (options, manners) = (options.clone(), self.manners.clone());
        async move {
            let mut connection = Connection::Mariadb(options.connect().await?);
            connection.run(&manners).await?;
            Ok(connection)
        }
        .boxed()
    }
}

impl Server for Mariadb {
    fn name(&self) -> &'static str {
        "MariaDB"
    }

    fn dialect(&self) -> Dialect {
        Dialect::Mariadb
    }

    fn write(&self) -> &'static str {
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION"
    }

    fn read(&self) -> &'static str {
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
    }

    fn connect(&self) -> BoxFuture<'static, Result<Connection, sqlx::Error>> {
        self.reach(&self.inside)
    }

    fn connect_outside(&self) -> BoxFuture<'static, Result<Connection, sqlx::Error>> {
        self.reach(&self.outside)
    }

    fn create(&self, schema: &str) -> String {
        format!("CREATE DATABASE IF NOT EXISTS \"{schema}\" {TEXT}")
    }

    fn allow(&self, limit: Duration) -> String {
        format!("SET max_statement_time = {}", limit.as_secs_f64())
    }

    fn lock(&self, name: &str, wait: Duration) -> String {
        format!("SELECT GET_LOCK('{}', {})", key_of(name), wait.as_secs())
    }

    fn unlock(&self, name: &str) -> String {
        format!("DO RELEASE_LOCK('{}')", key_of(name))
    }

    /// Each table is written anew: InnoDB takes rows out of a page and leaves their bytes there.
    fn tidying(&self) -> &'static str {
        "SELECT concat('OPTIMIZE NO_WRITE_TO_BINLOG TABLE \"', table_name, '\"') FROM information_schema.tables
         WHERE table_schema = database() AND table_type = 'BASE TABLE'"
    }

    fn turn(&self, statement: &str) -> String {
        translated(statement, &['/'], |_, turned| turned.push_str("DIV"))
    }

    /// `INSERT IGNORE` would let more pass than a taken key. Here a statement that fails takes back itself and nothing else.
    fn insert_unless_taken(&self, _: &str) -> Option<String> {
        None
    }

    /// What the log has reached, which is as far as this commit or further: what a repeat found done was done before.
    fn place(&self) -> Option<&'static str> {
        Some("SELECT replace(@@gtid_binlog_pos, ',', '+')")
    }

    fn has_come_to(&self, place: &str, wait: Duration) -> Option<String> {
        Some(format!("SELECT MASTER_GTID_WAIT('{}', {})", place.replace('+', ","), wait.as_secs_f64()))
    }

    fn verdict(&self, error: &dyn DatabaseError) -> Verdict {
        match number_of(error) {
            // Changed since the snapshot, waited too long for a lock, chosen from a deadlock.
            1020 | 1205 | 1213 => Verdict::Refused,
            // A table that is another than when the statement was prepared, or was prepared too often anew.
            1412 | 1615 => Verdict::Outdated,
            1022 | 1062 | 1169 | 1586 => Verdict::Taken,
            1021 | 1114 => Verdict::Full,
            // No such database yet, too many connections, shut down, gone, cancelled for its time, read-only, no room for more.
            1040 | 1049 | 1053 | 1077 | 1152 | 1158..=1161 | 1203 | 1290 | 1317 | 1461 | 1836 | 1927 | 1969 | 1970 => Verdict::Away,
            _ => Verdict::Wrong,
        }
    }

    fn said(&self, error: &dyn DatabaseError) -> String {
        let said = error.message();
        // Some quote the value that they mean, and it may be anybody's.
        let about = |from: &str| said.rfind(from).and_then(|at| said.get(at + 1..)).unwrap_or("a value of the statement").to_owned();
        match number_of(error) {
            1062 | 1586 => format!("a row is there already {}", about(" for key")),
            1292 | 1366 | 1367 | 1411 | 1525 => format!("a value does not fit {}", about(" for column")),
            _ => said.to_owned(),
        }
    }
}

fn number_of(error: &dyn DatabaseError) -> u16 {
    error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number)
}

/// The name of a lock, of which there are 64 letters at most and which all databases of a server share.
fn key_of(name: &str) -> String {
    let digest = Sha256::digest(name);
    format!("crashcart/{}", hex::encode(digest.get(..20).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;

    #[test]
    fn whole_numbers_divide_into_whole_numbers() {
        let options = Options::new(Secret::new("mysql://a:b@c/d").unwrap());
        let turn = |statement| Mariadb::new("test", &options, "test").unwrap().turn(statement);
        assert_eq!(
            turn("SELECT a / 2 - ?, 'a/b', \"a/b\" /* a / b */ -- a / b"),
            "SELECT a DIV 2 - ?, 'a/b', \"a/b\" /* a / b */ -- a / b"
        );
    }
}
