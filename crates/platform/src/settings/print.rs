//! The settings in force as a document that a person can read and keep: the defaults' comments, the values, whence each came. What
//! nobody should see in a terminal or a ticket is masked.

use std::fmt::Write;

use toml::Value;

use super::{Origin, Settings};

/// What stands in place of a secret.
pub const MASK: &str = "***";

const SECRET_ENDINGS: [&str; 4] = ["secret", "password", "token", "key"];

impl Settings {
    /// Commented TOML, in the order of the default document.
    #[must_use]
    pub fn printable(&self) -> String {
        let mut out = String::new();
        self.print_entries("", &mut out);
        for (table, comments) in &self.tables {
            if !out.is_empty() {
                out.push('\n');
            }
            for comment in comments {
                let _ = writeln!(out, "{comment}");
            }
            let _ = writeln!(out, "[{table}]");
            self.print_entries(table, &mut out);
        }
        out
    }

    /// A section as JSON, with the same masks; nothing where there is no such section.
    #[must_use]
    pub fn shown_section(&self, name: &str) -> Option<serde_json::Value> {
        let mut table = Value::Table(self.table(name)?);
        mask(&mut table);
        serde_json::to_value(table).ok()
    }

    fn print_entries(&self, table: &str, out: &mut String) {
        for (path, entry) in &self.entries {
            let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
            if parent != table {
                continue;
            }
            for comment in &entry.comments {
                let _ = writeln!(out, "{comment}");
            }
            let _ = writeln!(out, "{key} = {} # {}", shown(path, &entry.value), one_line(&entry.origin));
        }
    }
}

fn one_line(origin: &Origin) -> String {
    origin.to_string().replace(char::is_control, "?")
}

/// Whether what stands at this path is for nobody's eyes.
pub(super) fn is_secret(path: &str) -> bool {
    let key = path.rsplit_once('.').map_or(path, |(_, key)| key);
    SECRET_ENDINGS.iter().any(|ending| key.strip_suffix(ending).is_some_and(|before| before.is_empty() || before.ends_with(['_', '-'])))
}

/// The value as TOML on one line, masked where it has to be.
pub(super) fn shown(path: &str, value: &Value) -> String {
    let empty = value.as_str().is_some_and(str::is_empty);
    if is_secret(path) && !empty { Value::String(MASK.to_owned()).to_string() } else { without_passwords(value).to_string() }
}

/// Masks a table at every depth.
fn mask(value: &mut Value) {
    let Value::Table(table) = value else {
        *value = without_passwords(value);
        return;
    };
    for (key, value) in table.iter_mut() {
        let hidden = is_secret(key) && !value.is_table() && !value.as_str().is_some_and(str::is_empty);
        if hidden {
            *value = Value::String(MASK.to_owned());
        } else {
            mask(value);
        }
    }
}

fn without_passwords(value: &Value) -> Value {
    match value {
        // A control character would break the line, and TOML writes a text with line breaks on several.
        Value::String(text) => Value::String(without_password(text).replace(char::is_control, "?")),
        Value::Array(items) => Value::Array(items.iter().map(without_passwords).collect()),
        Value::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| {
                    let hidden = is_secret(key).then(|| Value::String(MASK.to_owned()));
                    (key.clone(), hidden.unwrap_or_else(|| without_passwords(value)))
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// `scheme://user:password@host` without the password; the last `@` before the path counts, since a password may hold one.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
    // A password with a slash in it is not legal, but it happens, and then it must not show either.
    let end = authority.rfind('@').or_else(|| rest.rfind('@'));
    match end.and_then(|at| rest[..at].find(':').map(|colon| (colon, at))) {
        Some((colon, at)) => format!("{scheme}://{}:{MASK}{}", &rest[..colon], &rest[at..]),
        None => text.to_owned(),
    }
}
