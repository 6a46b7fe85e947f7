//! Rows into structs, by the name of the column. A column of another type than asked for is an error that names it, never a guess.

use std::{cell, str::FromStr};

use rusqlite::types::ValueRef;
use serde::de::DeserializeOwned;
use types::{Timestamp, id::Uuid};

use super::DbError;

/// What stands in one column of one row, whatever the engine. SQLite has the first four: a yes or no and a time are integers there, an id is
/// bytes. JSON is text.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'r> {
    Null,
    Integer(i64),
    Text(&'r str),
    Bytes(&'r [u8]),
    Bool(bool),
    Uuid(Uuid),
    Time(Timestamp),
}

/// One row of an answer.
#[derive(Debug)]
pub struct Row<'r> {
    row: Stored<'r>,
    /// The column behind the one that was read last: structs are read in the order of their `SELECT`, so nearly always it is the next.
    next: cell::Cell<usize>,
}

/// A row as its engine gives it.
#[derive(Clone, Copy, Debug)]
enum Stored<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    #[cfg(feature = "engines")]
    Server(&'r super::server::ServerRow),
    #[cfg(feature = "engines")]
    Cassandra(crate::engine::cassandra::WideRow<'r>),
}

/// A struct that a row can be read into.
pub trait FromRow: Sized {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError>;
}

/// A type that a column can be read into.
pub trait Column: Sized {
    fn from_cell(cell: Cell<'_>) -> Result<Self, String>;
}

impl<'r> Row<'r> {
    pub(super) const fn of_sqlite(row: &'r rusqlite::Row<'r>) -> Self {
        Self { row: Stored::Sqlite(row), next: cell::Cell::new(0) }
    }

    #[cfg(feature = "engines")]
    pub(super) const fn of_server(row: &'r super::server::ServerRow) -> Self {
        Self { row: Stored::Server(row), next: cell::Cell::new(0) }
    }

    #[cfg(feature = "engines")]
    pub(crate) const fn of_cassandra(row: crate::engine::cassandra::WideRow<'r>) -> Self {
        Self { row: Stored::Cassandra(row), next: cell::Cell::new(0) }
    }

    pub fn get<T: Column>(&self, column: &str) -> Result<T, DbError> {
        let told = |reason: String| DbError::Column { column: column.to_owned(), reason };
        T::from_cell(self.cell(column)?).map_err(told)
    }

    /// An id of any kind.
    pub fn id<T: From<Uuid>>(&self, column: &str) -> Result<T, DbError> {
        self.get::<Uuid>(column).map(T::from)
    }

    pub fn optional_id<T: From<Uuid>>(&self, column: &str) -> Result<Option<T>, DbError> {
        Ok(self.get::<Option<Uuid>>(column)?.map(T::from))
    }

    /// Text that is read by its type: a state, a currency, a SKU.
    pub fn parse<T: FromStr<Err: std::fmt::Display>>(&self, column: &str) -> Result<T, DbError> {
        let told = |reason: String| DbError::Column { column: column.to_owned(), reason };
        match self.cell(column)? {
            Cell::Text(text) => text.parse().map_err(|error: T::Err| told(error.to_string())),
            other => Err(told(format!("expected text, found {other:?}"))),
        }
    }

    /// JSON into the type that it was written from.
    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, DbError> {
        let told = |reason: String| DbError::Column { column: column.to_owned(), reason };
        match self.cell(column)? {
            Cell::Text(text) => serde_json::from_str(text).map_err(|error| told(error.to_string())),
            other => Err(told(format!("expected JSON, found {other:?}"))),
        }
    }

    /// The first column, whatever its name: for `SELECT count(*)`.
    pub fn first<T: Column>(&self) -> Result<T, DbError> {
        let told = |reason: String| DbError::Column { column: "the first".to_owned(), reason };
        T::from_cell(self.at(0).map_err(told)?).map_err(told)
    }

    fn cell(&self, column: &str) -> Result<Cell<'_>, DbError> {
        let told = |reason: String| DbError::Column { column: column.to_owned(), reason };
        let index = self.index(column).map_err(told)?;
        self.at(index).map_err(told)
    }

    fn at(&self, index: usize) -> Result<Cell<'_>, String> {
        match self.row {
            Stored::Sqlite(row) => cell_of(row.get_ref(index).map_err(|error| error.to_string())?),
            #[cfg(feature = "engines")]
            Stored::Server(row) => row.cell(index),
            #[cfg(feature = "engines")]
            Stored::Cassandra(row) => row.cell(index),
        }
    }

    /// Where a column stands. Asking by name compares with every name before it.
    fn index(&self, column: &str) -> Result<usize, String> {
        let next = self.next.get();
        let index = match self.row {
            Stored::Sqlite(row) => {
                let statement = row.as_ref();
                match statement.column_name(next) {
                    Ok(name) if name == column => next,
                    _ => statement.column_index(column).map_err(|error| error.to_string())?,
                }
            }
            #[cfg(feature = "engines")]
            Stored::Server(row) => row.index_of(next, column)?,
            #[cfg(feature = "engines")]
            Stored::Cassandra(row) => row.index_of(next, column)?,
        };
        self.next.set(index + 1);
        Ok(index)
    }
}

fn cell_of(value: ValueRef<'_>) -> Result<Cell<'_>, String> {
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(number) => Ok(Cell::Integer(number)),
        ValueRef::Text(text) => std::str::from_utf8(text).map(Cell::Text).map_err(|error| error.to_string()),
        ValueRef::Blob(bytes) => Ok(Cell::Bytes(bytes)),
        ValueRef::Real(_) => Err("a floating point number, which no column of ours holds".into()),
    }
}

impl<T: Column> Column for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Null => Ok(None),
            other => T::from_cell(other).map(Some),
        }
    }
}

macro_rules! column {
    ($($type:ty, $what:literal, $($pattern:pat => $convert:expr),+;)*) => {$(
        impl Column for $type {
            fn from_cell(cell: Cell<'_>) -> Result<Self, String> {
                match cell {
                    $($pattern => $convert,)+
                    other => Err(format!("expected {}, found {other:?}", $what)),
                }
            }
        }
    )*};
}

column! {
    i64, "an integer", Cell::Integer(number) => Ok(number);
    u64, "a count", Cell::Integer(number) => u64::try_from(number).map_err(|_| format!("{number} is negative"));
    u32, "a count", Cell::Integer(number) => u32::try_from(number).map_err(|_| format!("{number} does not fit"));
    u16, "a small count", Cell::Integer(number) => u16::try_from(number).map_err(|_| format!("{number} does not fit"));
    bool, "a yes or no", Cell::Integer(number) => Ok(number != 0), Cell::Bool(yes) => Ok(yes);
    String, "text", Cell::Text(text) => Ok(text.to_owned());
    Vec<u8>, "bytes", Cell::Bytes(bytes) => Ok(bytes.to_vec());
    Uuid, "an id", Cell::Bytes(bytes) => Uuid::from_slice(bytes).map_err(|error| error.to_string()), Cell::Uuid(id) => Ok(id);
    Timestamp, "a time", Cell::Integer(micros) => Ok(Timestamp::from_micros(micros)), Cell::Time(moment) => Ok(moment);
    serde_json::Value, "JSON", Cell::Text(text) => serde_json::from_str(text).map_err(|error| error.to_string());
    types::Quantity, "a quantity", Cell::Integer(number) => types::Quantity::try_from(number).map_err(|error| error.to_string());
}

/// A single column of its own: `SELECT count(*)`, `SELECT id`.
macro_rules! scalar {
    ($($type:ty),*) => {$(
        impl FromRow for $type {
            fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
                row.first()
            }
        }
    )*};
}
scalar!(i64, u64, u32, bool, String, Vec<u8>, Uuid, Timestamp, serde_json::Value, Option<i64>, Option<Timestamp>, Option<String>);
