//! Statements as PostgreSQL wants them: `$1` for the first `?` and so on. Each text is turned once and kept.
//!
//! A connection prepares a text for the kinds of values that it first comes with and knows it by its text alone. Should the same text come with
//! other kinds, it gets a text of its own, or bytes of one kind would be read as another.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{Arguments, postgres::PgArguments};

use super::wire::Bound;
use crate::db::{DbError, Kind, Value, head};

/// More than all services have. Statements with a list in them have a text for each length, and are few by rounding up.
const KEPT: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Texts(Mutex<BTreeMap<Box<str>, Arc<Turned>>>);

#[derive(Debug)]
struct Turned {
    text: Arc<str>,
    kinds: Box<[Kind]>,
}

impl Texts {
    /// The text for PostgreSQL, and the values in their wire format.
    pub(super) fn of(&self, statement: &str, values: &[Value]) -> Result<(Arc<str>, PgArguments), DbError> {
        let mut arguments = PgArguments::default();
        arguments.reserve(values.len(), values.len() * 16);
        for value in values {
            arguments.add(Bound(value)).map_err(|source| DbError::Statement { statement: head(statement), source })?;
        }
        let kinds = values.iter().map(Value::kind);
        let turned = self.turned(statement, values);
        if turned.kinds.iter().copied().eq(kinds.clone()) {
            return Ok((turned.text.clone(), arguments));
        }
        let kinds: String = kinds.map(|kind| format!(" {kind:?}")).collect();
        Ok((format!("{} --{kinds}", turned.text).into(), arguments))
    }

    fn turned(&self, statement: &str, values: &[Value]) -> Arc<Turned> {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.get(statement) {
            return known.clone();
        }
        if texts.len() >= KEPT {
            texts.clear();
        }
        let turned = Arc::new(Turned { text: turn(statement).into(), kinds: values.iter().map(Value::kind).collect() });
        texts.insert(statement.into(), turned.clone());
        turned
    }
}

/// Numbers the places. A `?` in quotes or in a comment is none.
fn turn(statement: &str) -> String {
    let mut turned = String::with_capacity(statement.len() + 16);
    let (mut number, mut rest) = (0, statement);
    while let Some(next) = rest.find(['?', '\'', '"', '-', '/']) {
        let (before, from) = rest.split_at(next);
        turned.push_str(before);
        let length = match from.as_bytes() {
            [b'?', ..] => {
                number += 1;
                let _ = write!(turned, "${number}");
                rest = from.get(1..).unwrap_or_default();
                continue;
            }
            [b'\'', ..] => end_of(from, 1, "'"),
            [b'"', ..] => end_of(from, 1, "\""),
            [b'-', b'-', ..] => end_of(from, 2, "\n"),
            [b'/', b'*', ..] => end_of(from, 2, "*/"),
            _ => 1,
        };
        let (whole, after) = from.split_at(length);
        turned.push_str(whole);
        rest = after;
    }
    turned.push_str(rest);
    turned
}

/// Where what began is over: behind the next `end`. A quote that is doubled ends one text and begins the next, which comes to the same.
fn end_of(text: &str, from: usize, end: &str) -> usize {
    text.get(from..).and_then(|rest| rest.find(end)).map_or(text.len(), |at| from + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values;

    #[test]
    fn places_are_numbered_and_quotes_and_comments_are_left_alone() {
        assert_eq!(turn("SELECT a FROM b WHERE c = ? AND d IN (?, ?)"), "SELECT a FROM b WHERE c = $1 AND d IN ($2, $3)");
        assert_eq!(turn("SELECT 'who? it''s ?', \"a?\" - ? / ?"), "SELECT 'who? it''s ?', \"a?\" - $1 / $2");
        assert_eq!(turn("SELECT ? -- why?\n, ? /* ? */ + ?"), "SELECT $1 -- why?\n, $2 /* ? */ + $3");
        assert_eq!(turn("SELECT 'ø?', ?, 'open ?"), "SELECT 'ø?', $1, 'open ?");
    }

    #[test]
    fn the_same_text_with_other_kinds_is_another_text() {
        let texts = Texts::default();
        let text = |values: Vec<Value>| texts.of("SELECT ?", &values).unwrap().0;
        let first = text(values![1_i64]);
        assert_eq!(first, text(vec![Value::Null(Kind::Integer)]));
        assert_ne!(first, text(values!["one"]));
    }
}
