//! The layers that are variables: `.env` and the environment.

use std::{io::Read, path::Path};

use toml::Value;

use super::{
    Origin, Problem, Settings,
    error::nearest,
    layers::{expected, kind},
    print,
};

const OWN: &str = "CRASHCART_";
const EVERY: &str = "SERVICE_";
const REMOTE: &str = "_SERVICE_URL";
const IN_FILE: &str = "_FILE";
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// The process's environment. What is not UTF-8 becomes so with replacement characters, which then fits nothing and is told.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

#[derive(Debug)]
pub(super) struct Variable {
    name: String,
    value: String,
    origin: Origin,
}

impl Variable {
    pub(super) fn of_process(name: String, value: String) -> Self {
        Self { origin: Origin::Environment { name: name.clone() }, name, value }
    }
}

/// `NAME=value` lines; `export` before and quotes around are allowed, `#` starts a comment at a line's begin or behind a blank.
pub(super) fn dot_env(text: &str, path: &Path, problems: &mut Vec<Problem>) -> Vec<Variable> {
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (line_number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let legal = |name: &str| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        match line.strip_prefix("export ").unwrap_or(line).split_once('=').map(|(name, value)| (name.trim(), unquoted(value.trim()))) {
            Some((name, Some(value))) if legal(name) => {
                let origin = Origin::DotEnv { path: path.to_owned(), line: line_number, name: name.to_owned() };
                variables.push(Variable { name: name.to_owned(), value, origin });
            }
            // Not the whole line: what stands behind the sign may be a password.
            _ => {
                let text = line.split('=').next().unwrap_or_default().chars().take(40).collect();
                problems.push(Problem::NotAVariable { path: path.to_owned(), line: line_number, text });
            }
        }
    }
    variables
}

fn unquoted(value: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let (inside, after) = rest.split_once(quote)?;
            let after = after.trim_start();
            return (after.is_empty() || after.starts_with('#')).then(|| inside.to_owned());
        }
    }
    let end = [" #", "\t#"].iter().filter_map(|mark| value.find(mark)).min().unwrap_or(value.len());
    Some(value[..end].trim_end().to_owned())
}

impl Settings {
    pub(super) fn apply_variables(&mut self, variables: &[Variable], problems: &mut Vec<Problem>) {
        let read: Vec<Variable>;
        let variables = if variables.iter().any(|variable| variable.name.ends_with(IN_FILE)) {
            read = variables.iter().filter_map(|variable| self.with_file_read(variable, problems)).collect();
            &read
        } else {
            variables
        };
        // The name with the section is the more exact one, so it has the last word whatever the order.
        for variable in variables {
            if let Some(name) = variable.name.strip_prefix(EVERY) {
                self.apply_to_every(name, variable, problems);
            }
        }
        for variable in variables {
            if let Some(name) = variable.name.strip_prefix(OWN) {
                let path = self.entries.keys().find(|path| own_name(path) == variable.name).cloned();
                match path {
                    Some(path) => self.set_text(&path, variable, problems),
                    None => {
                        let names: Vec<String> = self.entries.keys().map(|path| own_name(path)).collect();
                        let bare = names.iter().filter_map(|known| known.strip_prefix(OWN));
                        let nearest = nearest(name, bare).map(|near| format!("{OWN}{near}"));
                        problems.push(Problem::UnknownVariable { nearest, origin: variable.origin.clone() });
                    }
                }
            }
        }
    }

    /// A variable that names a file, as one that has what stands in it (without the line's end); any other as it is.
    fn with_file_read(&self, variable: &Variable, problems: &mut Vec<Problem>) -> Option<Variable> {
        let Variable { name, value, origin } = variable;
        let as_it_is = || Some(Variable { name: name.clone(), value: value.clone(), origin: origin.clone() });
        let Some(bare) = name.strip_suffix(IN_FILE).filter(|bare| self.reaches(bare) && !self.reaches(name)) else { return as_it_is() };
        let mut text = String::new();
        // No secret is as long, and a wrong name may be that of something without an end.
        let read = std::fs::File::open(value).and_then(|file| file.take(FILE_MAX_BYTES).read_to_string(&mut text));
        match read {
            Ok(_) => {
                let value = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned();
                Some(Variable { name: bare.to_owned(), value, origin: origin.clone() })
            }
            Err(cause) => {
                problems.push(Problem::Unreadable { path: value.into(), cause: format!("{cause} (named by {name})") });
                None
            }
        }
    }

    /// Whether there is a key that a variable of this name sets.
    fn reaches(&self, name: &str) -> bool {
        match name.strip_prefix(EVERY) {
            Some(name) => {
                let mut keys = self.entries.keys().filter_map(|path| path.split_once('.'));
                keys.any(|(section, key)| section != "admins" && every_name(section, key) == name)
            }
            None => self.entries.keys().any(|path| own_name(path) == name),
        }
    }

    fn apply_to_every(&mut self, name: &str, variable: &Variable, problems: &mut Vec<Problem>) {
        let call = name.strip_suffix(&REMOTE[1..]).and_then(|service| service.strip_suffix('_'));
        let paths: Vec<String> = match call {
            Some(service) => {
                self.entries.keys().filter(|path| path.strip_prefix("calls.").is_some_and(|key| upper(key) == service)).cloned().collect()
            }
            None => self
                .entries
                .keys()
                .filter(|path| {
                    path.split_once('.').is_some_and(|(section, key)| !is_of_services(section) && every_name(section, key) == name)
                })
                .cloned()
                .collect(),
        };
        for path in &paths {
            self.set_text(path, variable, problems);
        }
        if paths.is_empty() {
            let known: Vec<String> = self
                .entries
                .keys()
                .filter_map(|path| path.split_once('.'))
                .filter(|(section, _)| *section != "admins")
                .map(|(section, key)| if section == "calls" { format!("{}{REMOTE}", upper(key)) } else { every_name(section, key) })
                .collect();
            let nearest = nearest(name, known.iter().map(String::as_str)).map(|near| format!("{EVERY}{near}"));
            problems.push(Problem::UnknownVariable { nearest, origin: variable.origin.clone() });
        }
    }

    fn set_text(&mut self, path: &str, variable: &Variable, problems: &mut Vec<Problem>) {
        let Some(entry) = self.entries.get(path) else { return };
        match read(&variable.value, &entry.default) {
            Some(value) => self.set(path, value, variable.origin.clone(), problems),
            None => {
                let expected = expected(&entry.default);
                let found =
                    if print::is_secret(path) { "something else".to_owned() } else { format!("`{}`", variable.value.escape_debug()) };
                problems.push(Problem::WrongType { path: path.to_owned(), expected, found, origin: variable.origin.clone() });
            }
        }
    }
}

/// A text as the type that stands in the defaults. Lists are TOML in brackets, or parts between commas.
fn read(text: &str, default: &Value) -> Option<Value> {
    match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Float(_) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Datetime(_) => text.trim().parse().ok().map(Value::Datetime),
        Value::Array(_) if text.trim_start().starts_with('[') => {
            let document: toml::Table = toml::from_str(&format!("list = {text}")).ok()?;
            document.get("list").filter(|value| kind(value) == "a list").cloned()
        }
        Value::Array(_) if text.trim().is_empty() => Some(Value::Array(Vec::new())),
        Value::Array(items) => {
            let text_item = Value::String(String::new());
            let item = items.first().unwrap_or(&text_item);
            text.split(',').map(|part| read(part.trim(), item)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Value::Table(_) => None,
    }
}

/// Whether a section's keys are services: no service has one of them as a setting of its own.
fn is_of_services(section: &str) -> bool {
    matches!(section, "calls" | "admins")
}

fn upper(key: &str) -> String {
    key.to_ascii_uppercase().replace('-', "_").replace('.', "__")
}

/// What sets a key in every section that has it. The engines are shared, so their tables count as keys: `SERVICE_REDIS_URL`.
fn every_name(section: &str, key: &str) -> String {
    if section == "engines" { upper(key).replace("__", "_") } else { upper(key) }
}

fn own_name(path: &str) -> String {
    format!("{OWN}{}", upper(path))
}
