//! One connection and its rows, whichever engine is at its other end.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::{
    Arguments, AssertSqlSafe, Column, Connection as _, Encode, Executor, MySqlConnection, PgConnection, Row, Type,
    mysql::{MySqlArguments, MySqlRow},
    postgres::{PgArguments, PgRow},
    query_with, raw_sql,
};

use crate::db::{Cell, Value, mariadb, postgresql};

#[derive(Debug)]
pub(in crate::db) enum Connection {
    Postgresql(PgConnection),
    Mariadb(MySqlConnection),
}

/// A row of an answer.
#[derive(Debug)]
pub(in crate::db) enum ServerRow {
    Postgresql(PgRow),
    Mariadb(MySqlRow),
}

/// The same for whatever connection it is.
macro_rules! on_each {
    ($on:expr, $connection:ident => $work:expr) => {
        match $on {
            Connection::Postgresql($connection) => $work,
            Connection::Mariadb($connection) => $work,
        }
    };
}

/// A statement with its values, as each engine has them on its wire.
macro_rules! query {
    ($on:expr, $text:expr, $values:expr, ($query:ident, $connection:ident, $row:ident) => $work:expr) => {
        match $on {
            Connection::Postgresql($connection) => {
                let $query = query_with(AssertSqlSafe($text), arguments::<PgArguments, _>($values, postgresql::Bound)?);
                let $row = ServerRow::Postgresql;
                $work
            }
            Connection::Mariadb($connection) => {
                let $query = query_with(AssertSqlSafe($text), arguments::<MySqlArguments, _>($values, mariadb::Bound)?);
                let $row = ServerRow::Mariadb;
                $work
            }
        }
    };
}

impl Connection {
    /// Runs statements as they stand, and drops what they answer.
    pub(in crate::db) async fn run(&mut self, script: &str) -> Result<(), sqlx::Error> {
        let script = raw_sql(AssertSqlSafe(script.to_owned()));
        on_each!(self, connection => connection.execute(script).await.map(drop))
    }

    pub(super) async fn execute(&mut self, text: Arc<str>, values: &[Value]) -> Result<u64, sqlx::Error> {
        query!(self, text, values, (query, connection, _row) => query.execute(connection).await.map(|done| done.rows_affected()))
    }

    pub(super) async fn fetch_all(&mut self, text: Arc<str>, values: &[Value]) -> Result<Vec<ServerRow>, sqlx::Error> {
        query!(self, text, values, (query, connection, row) => query.fetch(connection).map_ok(row).try_collect().await)
    }

    pub(super) async fn fetch_optional(&mut self, text: Arc<str>, values: &[Value]) -> Result<Option<ServerRow>, sqlx::Error> {
        query!(self, text, values, (query, connection, row) => Ok(query.fetch_optional(connection).await?.map(row)))
    }

    /// The first column of each row, which is text.
    pub(super) async fn lines(&mut self, question: &'static str) -> Result<Vec<String>, sqlx::Error> {
        let rows = self.fetch_all(question.into(), &[]).await?;
        let text = |row: &ServerRow| match row.cell(0) {
            Ok(Cell::Text(text)) => Ok(text.to_owned()),
            other => Err(sqlx::Error::Decode(format!("expected text, found {other:?}").into())),
        };
        rows.iter().map(text).collect()
    }

    /// Asks what is answered with yes or no, in words or as a number.
    pub(super) async fn is_so(&mut self, question: &str) -> Result<bool, sqlx::Error> {
        let question: Arc<str> = question.into();
        let row = self.fetch_optional(question, &[]).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(row.is_so())
    }

    /// The first column of the first row, where that is a number.
    pub(super) async fn number(&mut self, question: &str) -> Result<Option<i64>, sqlx::Error> {
        let row = self.fetch_optional(question.into(), &[]).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(match row.cell(0) {
            Ok(Cell::Integer(number)) => Some(number),
            _ => None,
        })
    }

    pub(super) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        on_each!(self, connection => connection.ping().await)
    }

    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        on_each!(self, connection => connection.close().await)
    }
}

impl ServerRow {
    /// Whether it answers with yes, in a word or as a number.
    pub(super) fn is_so(&self) -> bool {
        matches!(self.cell(0), Ok(Cell::Bool(true) | Cell::Integer(1)))
    }

    pub(in crate::db) fn cell(&self, index: usize) -> Result<Cell<'_>, String> {
        match self {
            Self::Postgresql(row) => postgresql::cell_of(row, index),
            Self::Mariadb(row) => mariadb::cell_of(row, index),
        }
    }

    /// Where a column stands; most often where it is looked for first.
    pub(in crate::db) fn index_of(&self, next: usize, column: &str) -> Result<usize, String> {
        match self {
            Self::Postgresql(row) => index_of(row, next, column),
            Self::Mariadb(row) => index_of(row, next, column),
        }
    }
}

fn index_of<R: Row>(row: &R, next: usize, column: &str) -> Result<usize, String> {
    let columns = row.columns();
    match columns.get(next) {
        Some(found) if found.name() == column => Ok(next),
        _ => columns.iter().position(|found| found.name() == column).ok_or_else(|| "the answer has no such column".to_owned()),
    }
}

fn arguments<'v, A, B>(values: &'v [Value], bound: impl Fn(&'v Value) -> B) -> Result<A, sqlx::Error>
where
    A: Arguments + Default,
    B: Encode<'v, A::Database> + Type<A::Database>,
{
    let mut arguments = A::default();
    arguments.reserve(values.len(), values.len() * 16);
    values.iter().try_for_each(|value| arguments.add(bound(value))).map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}
