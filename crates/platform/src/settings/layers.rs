//! The TOML layers: the default document says what there is, the file says what differs. Both are read twice, once for the values and
//! once for where they stand, because a mistake without its line costs the reader a search.

use std::path::Path;

use toml::{Table, Value, de::DeTable};

use super::{Entry, Origin, Problem, Settings, SettingsError, error::nearest, print};

impl Settings {
    pub(super) fn from_defaults(text: &str) -> Result<Self, SettingsError> {
        let (values, places) = read(text, "the default settings")?;
        let mut settings = Self::default();
        let lines: Vec<&str> = text.lines().collect();
        settings.learn("", &values, &places, text, &lines);
        Ok(settings)
    }

    fn learn(&mut self, parent: &str, values: &Table, places: &DeTable<'_>, text: &str, lines: &[&str]) {
        let mut keys: Vec<_> = places.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        for (key, place) in keys {
            let Some(value) = values.get(key.get_ref().as_ref()) else { continue };
            let path = join(parent, key.get_ref());
            let line = line_of(text, key.span().start);
            let comments = comments_above(lines, line);
            match (value, place.get_ref().as_table()) {
                (Value::Table(values), Some(places)) => {
                    self.tables.insert(path.clone(), comments);
                    self.learn(&path, values, places, text, lines);
                }
                (value, _) => {
                    let entry = Entry { value: value.clone(), default: value.clone(), origin: Origin::Default { line }, comments };
                    self.entries.insert(path, entry);
                }
            }
        }
    }

    /// Lays a file over the settings. Fails at once only where the file is not TOML; every other mistake goes to `problems`.
    pub(super) fn apply_document(&mut self, text: &str, path: &Path, problems: &mut Vec<Problem>) -> Result<(), SettingsError> {
        let (values, places) = read(text, &path.display().to_string())?;
        self.lay("", &values, &places, text, path, problems);
        Ok(())
    }

    fn lay(&mut self, parent: &str, values: &Table, places: &DeTable<'_>, text: &str, file: &Path, problems: &mut Vec<Problem>) {
        let mut keys: Vec<_> = places.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        for (key, place) in keys {
            let Some(value) = values.get(key.get_ref().as_ref()) else { continue };
            let path = join(parent, key.get_ref());
            let origin = Origin::File { path: file.to_owned(), line: line_of(text, key.span().start) };
            match (value, place.get_ref().as_table()) {
                (Value::Table(values), Some(places)) if self.tables.contains_key(&path) => {
                    self.lay(&path, values, places, text, file, problems);
                }
                (value, _) => self.set(&path, value.clone(), origin, problems),
            }
        }
    }

    /// Puts a value at a path if there is such a key and it takes such a value.
    pub(super) fn set(&mut self, path: &str, value: Value, origin: Origin, problems: &mut Vec<Problem>) {
        let Some(entry) = self.entries.get_mut(path) else {
            if self.tables.contains_key(path) {
                let found = if print::is_secret(path) { "something else".to_owned() } else { describe(&value) };
                problems.push(Problem::WrongType { path: path.to_owned(), expected: "a table".to_owned(), found, origin });
            } else {
                problems.push(self.unknown(path, Some(origin)));
            }
            return;
        };
        match fit(value, &entry.default) {
            Ok(value) => {
                entry.value = value;
                entry.origin = origin;
            }
            Err(value) => {
                let found = if print::is_secret(path) { format!("{} (hidden)", kind(&value)) } else { describe(&value) };
                let expected = expected(&entry.default);
                problems.push(Problem::WrongType { path: path.to_owned(), expected, found, origin });
            }
        }
    }

    /// What to say of a path that nothing has.
    pub(super) fn unknown(&self, path: &str, origin: Option<Origin>) -> Problem {
        let Some((section, key)) = path.rsplit_once('.') else {
            let nearest = nearest(path, self.sections()).map(str::to_owned).or_else(|| self.elsewhere(path));
            return Problem::UnknownSection { name: path.to_owned(), nearest, origin };
        };
        if !self.tables.contains_key(section) {
            let nearest = nearest(section, self.tables.keys().map(String::as_str)).map(str::to_owned);
            return Problem::UnknownSection { name: section.to_owned(), nearest, origin };
        }
        let siblings =
            self.entries.keys().filter_map(|known| known.rsplit_once('.').filter(|(table, _)| *table == section).map(|(_, key)| key));
        let nearest = nearest(key, siblings).map(|near| format!("{section}.{near}")).or_else(|| self.elsewhere(key));
        Problem::UnknownKey { path: path.to_owned(), nearest, origin }
    }

    /// The right key in the wrong place.
    fn elsewhere(&self, key: &str) -> Option<String> {
        self.entries.keys().find(|known| known.rsplit_once('.').is_some_and(|(_, last)| last == key)).cloned()
    }
}

fn read<'t>(text: &'t str, name: &str) -> Result<(Table, DeTable<'t>), SettingsError> {
    let wrong = |error: &toml::de::Error| {
        let place = match error.span() {
            Some(span) => format!("{name}:{}", line_of(text, span.start)),
            None => name.to_owned(),
        };
        SettingsError::from(Problem::NotToml { place, reason: error.message().to_owned() })
    };
    let values: Table = toml::from_str(text).map_err(|error| wrong(&error))?;
    let places = DeTable::parse(text).map_err(|error| wrong(&error))?;
    Ok((values, places.into_inner()))
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// Counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn comments_above(lines: &[&str], line: usize) -> Vec<String> {
    let above = lines.get(..line.saturating_sub(1)).unwrap_or_default();
    let count = above.iter().rev().take_while(|line| line.trim_start().starts_with('#')).count();
    above[above.len() - count..].iter().map(|line| line.trim().to_owned()).collect()
}

/// The value as the default's type, or the value back.
fn fit(value: Value, default: &Value) -> Result<Value, Value> {
    match (value, default) {
        #[expect(clippy::cast_precision_loss, reason = "a person wrote 2 where 2.0 is meant; no such setting nears 2^53")]
        (Value::Integer(whole), Value::Float(_)) => Ok(Value::Float(whole as f64)),
        (Value::Array(items), Value::Array(defaults)) => match defaults.first() {
            Some(first) if !items.iter().all(|item| item.same_type(first)) => Err(Value::Array(items)),
            _ => Ok(Value::Array(items)),
        },
        (value, default) if value.same_type(default) => Ok(value),
        (value, _) => Err(value),
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

pub(super) fn expected(default: &Value) -> String {
    match default {
        Value::Boolean(_) | Value::Table(_) => kind(default).to_owned(),
        Value::String(text) if text.is_empty() => "a text in quotes".to_owned(),
        Value::Array(items) if items.is_empty() => "a list".to_owned(),
        other => format!("{} such as {}", kind(other), print::shown("", other)),
    }
}

fn describe(value: &Value) -> String {
    let text = print::shown("", value);
    let text = if text.chars().count() > 60 { text.chars().take(60).chain(['…']).collect() } else { text };
    match value {
        Value::Boolean(_) => text,
        other => format!("{} {text}", kind(other).trim_start_matches("a ").trim_start_matches("an ")),
    }
}
