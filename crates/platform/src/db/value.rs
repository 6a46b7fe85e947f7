//! What a statement can be given. A NULL says of which kind it is, because PostgreSQL wants to know.

use rusqlite::types::{ToSqlOutput, Value as Sqlite, ValueRef};
use types::{Timestamp, id::Uuid};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Text,
    Bytes,
    Bool,
    Uuid,
    Time,
    Json,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null(Kind),
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    Bool(bool),
    Uuid(Uuid),
    /// Microseconds: a number on SQLite, a `timestamptz` on PostgreSQL, a `datetime(6)` on MariaDB.
    Time(Timestamp),
    Json(serde_json::Value),
}

impl Value {
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Null(kind) => *kind,
            Self::Integer(_) => Kind::Integer,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::Bool(_) => Kind::Bool,
            Self::Uuid(_) => Kind::Uuid,
            Self::Time(_) => Kind::Time,
            Self::Json(_) => Kind::Json,
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null(_) => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Bool(yes) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*yes))),
            Self::Uuid(id) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
            Self::Time(moment) => ToSqlOutput::Borrowed(ValueRef::Integer(moment.micros())),
            Self::Json(json) => ToSqlOutput::Owned(Sqlite::Text(json.to_string())),
        })
    }
}

/// A type that a statement can be given, and the kind of its NULL.
pub trait Bind {
    const KIND: Kind;
    fn bind(self) -> Value;
}

impl<T: Bind> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null(T::KIND), T::bind)
    }
}

macro_rules! bind {
    ($($type:ty => $kind:ident, $value:ident => $convert:expr;)*) => {$(
        impl Bind for $type {
            const KIND: Kind = Kind::$kind;
            fn bind(self) -> Value {
                let $value = self;
                Value::$kind($convert)
            }
        }
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                value.bind()
            }
        }
    )*};
}

bind! {
    i64 => Integer, n => n;
    i32 => Integer, n => i64::from(n);
    u32 => Integer, n => i64::from(n);
    u16 => Integer, n => i64::from(n);
    u8 => Integer, n => i64::from(n);
    types::Quantity => Integer, n => n.as_i64();
    String => Text, text => text;
    &str => Text, text => text.to_owned();
    &String => Text, text => text.clone();
    types::Sku => Text, text => text.into();
    &types::Sku => Text, text => text.as_str().to_owned();
    types::ShortText => Text, text => text.into();
    &types::ShortText => Text, text => text.as_str().to_owned();
    types::Email => Text, text => text.into();
    &types::Email => Text, text => text.as_str().to_owned();
    types::Currency => Text, currency => currency.code().to_owned();
    types::Region => Text, region => region.code().to_owned();
    Vec<u8> => Bytes, bytes => bytes;
    &[u8] => Bytes, bytes => bytes.to_vec();
    bytes::Bytes => Bytes, bytes => bytes.to_vec();
    bool => Bool, yes => yes;
    Timestamp => Time, moment => moment;
    serde_json::Value => Json, json => json;
    Uuid => Uuid, id => id;
    types::CustomerId => Uuid, id => id.uuid();
    types::ProductId => Uuid, id => id.uuid();
    types::CategoryId => Uuid, id => id.uuid();
    types::MediaId => Uuid, id => id.uuid();
    types::CartId => Uuid, id => id.uuid();
    types::OrderId => Uuid, id => id.uuid();
    types::PaymentId => Uuid, id => id.uuid();
    types::ReservationId => Uuid, id => id.uuid();
    types::CreditId => Uuid, id => id.uuid();
    types::EventId => Uuid, id => id.uuid();
}
