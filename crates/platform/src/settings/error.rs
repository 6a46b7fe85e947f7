//! What can be wrong with settings, each in one sentence that says where, what and what would be right.

use std::{fmt, path::PathBuf};

use super::Origin;

/// Every mistake that was found; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    pub problems: Vec<Problem>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            // A key and a text may hold anything; a mistake stays one line, and moves no cursor.
            f.write_str(&problem.to_string().replace(char::is_control, "?"))?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

impl From<Problem> for SettingsError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: String },
    #[error("{place} is not TOML: {reason}")]
    NotToml { place: String, reason: String },
    #[error("{}:{line}: `{text}` is not a line NAME=value", path.display())]
    NotAVariable { path: PathBuf, line: usize, text: String },
    #[error("{}there is no section `{name}`{}", at(origin.as_ref()), mean(nearest.as_deref()))]
    UnknownSection { name: String, nearest: Option<String>, origin: Option<Origin> },
    #[error("{}there is no key `{path}`{}", at(origin.as_ref()), mean(nearest.as_deref()))]
    UnknownKey { path: String, nearest: Option<String>, origin: Option<Origin> },
    #[error("{} names no setting{}", at(Some(origin)).trim_end_matches(": "), mean(nearest.as_deref()))]
    UnknownVariable { nearest: Option<String>, origin: Origin },
    #[error("{}`{path}` takes {expected}, but {found} stands there", at(Some(origin)))]
    WrongType { path: String, expected: String, found: String, origin: Origin },
    #[error("{}`{path}` is refused: {reason}", at(origin.as_ref()))]
    Refused { path: String, reason: String, origin: Option<Origin> },
}

fn at(origin: Option<&Origin>) -> String {
    match origin {
        None => String::new(),
        Some(Origin::Default { line }) => format!("the default settings, line {line}: "),
        Some(Origin::File { path, line }) => format!("{}:{line}: ", path.display()),
        Some(Origin::DotEnv { path, line, name }) => format!("{}:{line}: {name}: ", path.display()),
        Some(Origin::Environment { name }) => format!("environment variable {name}: "),
        Some(Origin::Override) => "override: ".to_owned(),
    }
}

fn mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// The candidate that is fewest slips away from `wrong` (a letter more, less, other, or two swapped), if a slip is plausible at all.
pub(super) fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).max(2);
    candidates
        .map(|candidate| (slips(wrong, candidate), candidate))
        .filter(|(slips, _)| *slips <= limit)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

fn slips(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let width = to.len() + 1;
    let mut cost = vec![0_usize; (from.len() + 1) * width];
    for row in 0..=from.len() {
        for column in 0..=to.len() {
            cost[row * width + column] = if row == 0 || column == 0 {
                row + column
            } else {
                let (left, up) = (from[row - 1], to[column - 1]);
                let mut best = (cost[(row - 1) * width + column] + 1).min(cost[row * width + column - 1] + 1);
                best = best.min(cost[(row - 1) * width + column - 1] + usize::from(left != up));
                if row > 1 && column > 1 && left == to[column - 2] && from[row - 2] == up {
                    best = best.min(cost[(row - 2) * width + column - 2] + 1);
                }
                best
            };
        }
    }
    cost[from.len() * width + to.len()]
}
