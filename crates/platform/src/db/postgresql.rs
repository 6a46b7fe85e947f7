//! What PostgreSQL does in its own way behind [`Db`](super::Db): a schema for each service in one database.

mod wire;

use std::{fmt::Write, str::FromStr, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sha2::{Digest, Sha256};
use sqlx::{ConnectOptions, error::DatabaseError, postgres::PgConnectOptions};

pub(super) use self::wire::{Bound, cell_of};
use super::{
    DbError, Dialect,
    server::{Connection, Options, STATEMENTS_KEPT, Server, Verdict, translated},
};

pub(super) struct Postgresql(PgConnectOptions);

impl Postgresql {
    pub(super) fn new(service: &'static str, options: &Options, schema: &str) -> Result<Self, DbError> {
        // What the parser says may repeat the address.
        let connect = PgConnectOptions::from_str(options.url.expose()).map_err(|_| DbError::Open {
            service,
            path: format!("PostgreSQL, schema `{schema}`"),
            reason: "its address is none; expected postgresql://user:password@host:port/database".to_owned(),
        })?;
        let millis = options.patience.as_millis();
        let connect = connect
            .application_name(&format!("crashcart/{service}"))
            .statement_cache_capacity(STATEMENTS_KEPT)
            // Of whom we have given up, the engine gives up too; a transaction that was left open does not hold others up.
            .options([
                ("search_path", schema.to_owned()),
                ("statement_timeout", millis.to_string()),
                ("idle_in_transaction_session_timeout", millis.to_string()),
            ])
            .disable_statement_logging();
        Ok(Self(connect))
    }
}

impl Server for Postgresql {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgresql
    }

    fn write(&self) -> &'static str {
        "BEGIN ISOLATION LEVEL SERIALIZABLE"
    }

    fn read(&self) -> &'static str {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    }

    fn connect(&self) -> BoxFuture<'static, Result<Connection, sqlx::Error>> {
        let options = self.0.clone();
        async move { options.connect().await.map(Connection::Postgresql) }.boxed()
    }

    /// A path to a schema that is not there leads nowhere, and is none the worse for it.
    fn connect_outside(&self) -> BoxFuture<'static, Result<Connection, sqlx::Error>> {
        self.connect()
    }

    fn create(&self, schema: &str) -> String {
        format!("CREATE SCHEMA IF NOT EXISTS {schema}")
    }

    fn allow(&self, limit: Duration) -> String {
        format!("SET statement_timeout = {}", limit.as_millis())
    }

    /// The statement that waits has the engine's own limit.
    fn lock(&self, name: &str, wait: Duration) -> String {
        if wait.is_zero() {
            format!("SELECT pg_try_advisory_lock({})", key_of(name))
        } else {
            format!("SELECT pg_advisory_lock({}) IS NOT NULL", key_of(name))
        }
    }

    fn unlock(&self, name: &str) -> String {
        format!("SELECT pg_advisory_unlock({})", key_of(name))
    }

    fn tidying(&self) -> &'static str {
        "SELECT format('VACUUM %I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = current_schema()"
    }

    /// `$1` for the first `?` and so on.
    fn turn(&self, statement: &str) -> String {
        let mut number = 0;
        translated(statement, &['?'], |_, turned| {
            number += 1;
            let _ = write!(turned, "${number}");
        })
    }

    fn insert_unless_taken(&self, insert: &str) -> Option<String> {
        Some(format!("{insert} ON CONFLICT DO NOTHING"))
    }

    fn verdict(&self, error: &dyn DatabaseError) -> Verdict {
        let code = error.code().unwrap_or_default();
        match &*code {
            "40001" | "40P01" => Verdict::Refused,
            "0A000" if error.message().contains("cached plan") => Verdict::Outdated,
            "23505" => Verdict::Taken,
            "53100" => Verdict::Full,
            "55P03" | "25006" | "25P03" => Verdict::Away,
            code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Verdict::Away,
            _ => Verdict::Wrong,
        }
    }

    /// Its message names tables and keys; the values stand in its detail, which stays behind.
    fn said(&self, error: &dyn DatabaseError) -> String {
        error.message().to_owned()
    }
}

/// The number of a lock, from its name.
fn key_of(name: &str) -> i64 {
    let digest = Sha256::digest(name);
    digest.iter().take(8).fold(0, |key, byte| (key << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::Secret,
        db::{Kind, Value, server::Texts},
        values,
    };

    fn server() -> Postgresql {
        let options = Options::new(Secret::new("postgresql://a:b@c/d").unwrap());
        Postgresql::new("test", &options, "test").unwrap()
    }

    #[test]
    fn places_are_numbered_and_quotes_and_comments_are_left_alone() {
        let turn = |statement| server().turn(statement);
        assert_eq!(turn("SELECT a FROM b WHERE c = ? AND d IN (?, ?)"), "SELECT a FROM b WHERE c = $1 AND d IN ($2, $3)");
        assert_eq!(turn("SELECT 'who? it''s ?', \"a?\" - ? / ?"), "SELECT 'who? it''s ?', \"a?\" - $1 / $2");
        assert_eq!(turn("SELECT ? -- why?\n, ? /* ? */ + ?"), "SELECT $1 -- why?\n, $2 /* ? */ + $3");
        assert_eq!(turn("SELECT 'ø?', ?, 'open ?"), "SELECT 'ø?', $1, 'open ?");
    }

    #[test]
    fn the_same_text_with_other_kinds_is_another_text() {
        let texts = Texts::default();
        let text = |values: Vec<Value>| texts.of(&server(), "SELECT ?", &values);
        let first = text(values![1_i64]);
        assert_eq!(first, text(vec![Value::Null(Kind::Integer)]));
        assert_ne!(first, text(values!["one"]));
    }
}
