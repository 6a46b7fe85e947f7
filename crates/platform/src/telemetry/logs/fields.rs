//! The fields of one event or span, masked as they come in, so that nothing unmasked is ever kept.

use std::fmt;

use tracing::field::{Field, Visit};

use super::super::mask::{MASK, is_card, is_sensitive, mask};

/// Names that the line itself has; a field of that name gets a line below behind it.
const TAKEN: [(&str, &str); 3] = [("at", "at_"), ("level", "level_"), ("target", "target_")];

#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// A number or a truth, as JSON writes it.
    Bare(String),
}

impl Value {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Bare(text) => text,
        }
    }

    pub(super) fn write_json(&self, out: &mut String, name: &str) {
        match self {
            Self::Text(text) => json(out, name, text),
            Self::Bare(bare) => {
                out.push(',');
                quoted(out, name);
                out.push(':');
                out.push_str(bare);
            }
        }
    }

    pub(super) fn write_text(&self, out: &mut String) {
        let text = self.text();
        if text.is_empty() || text.contains([' ', '"', '=']) {
            // Quoted as JSON, so that it is clear where the value ends.
            let mut quote = String::new();
            quoted(&mut quote, text);
            plain(out, &quote);
        } else {
            plain(out, text);
        }
    }
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(&'static str, Value)> {
        self.0.iter()
    }

    pub(super) fn add_missing(&mut self, outer: &Self) {
        for (name, value) in &outer.0 {
            if *name != "message" && self.get(name).is_none() {
                self.0.push((name, value.clone()));
            }
        }
    }

    fn put(&mut self, name: &'static str, value: Value) {
        let name = name.strip_prefix("r#").unwrap_or(name);
        let name = TAKEN.iter().find(|(taken, _)| *taken == name).map_or(name, |(_, other)| other);
        let value = if is_sensitive(name) { Value::Text(MASK.to_owned()) } else { value };
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn put_text(&mut self, name: &'static str, text: &str) {
        self.put(name, Value::Text(mask(text).into_owned()));
    }

    fn put_number(&mut self, name: &'static str, number: impl fmt::Display, size: Option<u64>) {
        let value = if size.is_some_and(is_card) { Value::Text(MASK.to_owned()) } else { Value::Bare(number.to_string()) };
        self.put(name, value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity.
        let value = if value.is_finite() { Value::Bare(value.to_string()) } else { Value::Text(value.to_string()) };
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put_number(field.name(), value, u64::try_from(value).ok());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put_number(field.name(), value, Some(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put_number(field.name(), value, u64::try_from(value).ok());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put_number(field.name(), value, u64::try_from(value).ok());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::Bare(value.to_string()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field.name(), value);
    }

    /// With its causes, which are what the reader wants.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field.name(), &crate::with_causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field.name(), &format!("{value:?}"));
    }
}

/// `,"name":"value"`
pub(super) fn json(out: &mut String, name: &str, value: &str) {
    out.push(',');
    quoted(out, name);
    out.push(':');
    quoted(out, value);
}

fn quoted(out: &mut String, text: &str) {
    // A text always has a form in JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// The text without anything that could end the line or steer a terminal.
pub(super) fn plain(out: &mut String, text: &str) {
    for letter in text.chars() {
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
}
