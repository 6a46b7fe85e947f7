//! Shared statements in an engine's own words: each text is turned once and kept.
//!
//! A connection to PostgreSQL prepares a text for the kinds of values that it first comes with and knows it by its text alone. Should the same
//! text come with other kinds, it gets a text of its own, or bytes of one kind would be read as another.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::Server;
use crate::db::{Kind, Value};

/// More than all services have. Statements with a list in them have a text for each length, and are few by rounding up.
const KEPT: usize = 4_096;

#[derive(Debug, Default)]
pub(in crate::db) struct Texts(Mutex<BTreeMap<Box<str>, Arc<Turned>>>);

#[derive(Debug)]
struct Turned {
    text: Arc<str>,
    kinds: Box<[Kind]>,
}

impl Texts {
    pub(in crate::db) fn of(&self, server: &dyn Server, statement: &str, values: &[Value]) -> Arc<str> {
        let kinds = values.iter().map(Value::kind);
        let turned = self.turned(server, statement, values);
        if turned.kinds.iter().copied().eq(kinds.clone()) {
            return turned.text.clone();
        }
        let kinds: String = kinds.map(|kind| format!(" {kind:?}")).collect();
        format!("{} -- {kinds}", turned.text).into()
    }

    fn turned(&self, server: &dyn Server, statement: &str, values: &[Value]) -> Arc<Turned> {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.get(statement) {
            return known.clone();
        }
        if texts.len() >= KEPT {
            texts.clear();
        }
        let turned = Arc::new(Turned { text: server.turn(statement).into(), kinds: values.iter().map(Value::kind).collect() });
        texts.insert(statement.into(), turned.clone());
        turned
    }
}

/// A statement whose signs `signs` are said otherwise. One in quotes or in a comment is none.
pub(in crate::db) fn translated(statement: &str, signs: &[char], mut say: impl FnMut(char, &mut String)) -> String {
    let mut turned = String::with_capacity(statement.len() + 16);
    let mut rest = statement;
    while let Some(next) = rest.find(|sign| matches!(sign, '\'' | '"' | '-' | '/') || signs.contains(&sign)) {
        let (before, from) = rest.split_at(next);
        turned.push_str(before);
        let length = match from.as_bytes() {
            [b'\'', ..] => end_of(from, 1, "'"),
            [b'"', ..] => end_of(from, 1, "\""),
            [b'-', b'-', ..] => end_of(from, 2, "\n"),
            [b'/', b'*', ..] => end_of(from, 2, "*/"),
            _ => {
                let mut others = from.chars();
                match others.next() {
                    Some(sign) if signs.contains(&sign) => say(sign, &mut turned),
                    Some(sign) => turned.push(sign),
                    None => {}
                }
                rest = others.as_str();
                continue;
            }
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
