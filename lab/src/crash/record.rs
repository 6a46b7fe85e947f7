//! What the client knows: what it asked for, what it was answered, what it was shown. Each entry is a line of a file before anything else
//! follows from it, so a run can be gone on with later.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    ops::Range,
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What a request is to bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// An order, by `POST /carts/{id}/checkout`.
    CheckOut,
    /// An order, by `POST /orders`.
    Order,
    Cancel,
    Refund,
    Adjust,
    Reserve,
    Claim,
    Release,
}

/// A request with a key, which may be sent again until it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub key: String,
    pub intent: Intent,
    pub path: String,
    pub body: Json,
    /// What it is about: the cart of an order, the order of a cancellation, the payment of a refund, the SKU of an adjustment, the
    /// reservation of a claim.
    pub about: String,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub status: u16,
    pub body: Json,
    pub life: u32,
}

impl Answered {
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
enum Entry {
    Asked {
        asked: Asked,
    },
    Answered {
        key: String,
        answer: Answered,
    },
    /// An order was shown in this state.
    Seen {
        order: String,
        status: String,
    },
    Killed {
        in_start: bool,
    },
    /// A run began with this record; its keys are its own.
    Opened,
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub asked: Asked,
    /// None while nobody knows.
    pub answer: Option<Answered>,
}

/// Everything that the client knows.
#[derive(Debug, Default)]
pub struct Record {
    known: BTreeMap<String, Known>,
    seen: BTreeMap<String, BTreeSet<String>>,
    /// Orders that may be looked after: refunded, cancelled.
    pool: Vec<String>,
    /// How many orders were acknowledged.
    orders: u64,
    kills: u32,
    kills_in_start: u32,
    openings: u32,
    /// How often a request was sent again because it had no answer.
    repeats: u64,
    file: Option<File>,
}

impl Record {
    /// The record of this file; a new one where there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut record = Self::default();
        match File::open(path) {
            Ok(file) => {
                for line in BufReader::new(file).lines() {
                    // A last line that was cut off was never acted upon.
                    let Ok(entry) = serde_json::from_str(&line?) else { continue };
                    record.take(entry);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        record.file = Some(OpenOptions::new().create(true).append(true).open(path)?);
        record.note(Entry::Opened);
        Ok(record)
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Asked { asked } => {
                if self.known.contains_key(&asked.key) {
                    self.repeats += 1;
                } else {
                    self.known.insert(asked.key.clone(), Known { asked, answer: None });
                }
            }
            Entry::Answered { key, answer } => {
                if let Some(known) = self.known.get_mut(&key) {
                    let is_order = matches!(known.asked.intent, Intent::CheckOut | Intent::Order);
                    if let (true, true, Some(order)) = (is_order, answer.is_done(), order_of(&answer.body)) {
                        self.pool.push(order);
                        self.orders += 1;
                    }
                    known.answer = Some(answer);
                }
            }
            Entry::Seen { order, status } => drop(self.seen.entry(order).or_default().insert(status)),
            Entry::Killed { in_start } => {
                self.kills += 1;
                self.kills_in_start += u32::from(in_start);
            }
            Entry::Opened => self.openings += 1,
        }
    }

    fn note(&mut self, entry: Entry) {
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&entry).unwrap_or_default();
            line.push(b'\n');
            // A record that cannot be written is one that cannot be gone on with; this run goes on.
            if let Err(error) = file.write_all(&line) {
                tracing::warn!(%error, "the record of acknowledged answers cannot be written");
                self.file = None;
            }
        }
        self.take(entry);
    }

    /// Notes that a request is about to be sent.
    pub fn asks(&mut self, asked: Asked) {
        self.note(Entry::Asked { asked });
    }

    pub fn answered(&mut self, key: &str, answer: Answered) {
        self.note(Entry::Answered { key: key.to_owned(), answer });
    }

    pub fn saw(&mut self, order: &str, status: &str) {
        if !self.seen.get(order).is_some_and(|seen| seen.contains(status)) {
            self.note(Entry::Seen { order: order.to_owned(), status: status.to_owned() });
        }
    }

    pub fn killed(&mut self, in_start: bool) {
        self.note(Entry::Killed { in_start });
    }

    #[must_use]
    pub const fn orders(&self) -> u64 {
        self.orders
    }

    #[must_use]
    pub const fn kills(&self) -> u32 {
        self.kills
    }

    #[must_use]
    pub const fn kills_in_start(&self) -> u32 {
        self.kills_in_start
    }

    #[must_use]
    pub const fn openings(&self) -> u32 {
        self.openings
    }

    #[must_use]
    pub const fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Every request, by its key.
    pub fn all(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// What was asked and done, with the answer.
    pub fn done(&self) -> impl Iterator<Item = (&Asked, &Answered)> {
        self.known.values().filter_map(|known| Some((&known.asked, known.answer.as_ref()?))).filter(|(_, answer)| answer.is_done())
    }

    /// What was asked and never answered.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Asked> {
        self.known.values().filter(|known| known.answer.is_none()).map(|known| known.asked.clone()).collect()
    }

    /// What was acknowledged in these lives.
    #[must_use]
    pub fn done_in(&self, lives: Range<u32>) -> Vec<(Asked, Answered)> {
        self.done().filter(|(_, answer)| lives.contains(&answer.life)).map(|(asked, answer)| (asked.clone(), answer.clone())).collect()
    }

    /// The states in which orders were shown.
    pub fn seen(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.seen.iter().map(|(order, seen)| (order.as_str(), seen))
    }

    /// Takes an order to be looked after.
    pub fn take_order(&mut self, draw: usize) -> Option<String> {
        if self.pool.is_empty() {
            return None;
        }
        let at = draw % self.pool.len();
        Some(self.pool.swap_remove(at))
    }

    /// Puts it back, to be looked after later.
    pub fn put_back(&mut self, order: String) {
        self.pool.push(order);
    }
}

/// The order that an answer tells of: a checkout's or an order's own.
#[must_use]
pub fn order_of(body: &Json) -> Option<String> {
    body["orderId"].as_str().or_else(|| body["id"].as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(key: &str, intent: Intent) -> Asked {
        Asked { key: key.to_owned(), intent, path: "/carts/c/checkout".into(), body: json!({}), about: "c".into() }
    }

    #[test]
    fn a_record_is_what_it_was_when_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.ndjson");
        let mut record = Record::open(&path).unwrap();
        record.asks(asked("a", Intent::CheckOut));
        record.answered("a", Answered { status: 202, body: json!({"orderId": "o"}), life: 3 });
        record.asks(asked("b", Intent::Adjust));
        record.asks(asked("c", Intent::Reserve));
        record.answered("c", Answered { status: 409, body: json!({}), life: 3 });
        record.saw("o", "PENDING");
        record.saw("o", "PENDING");
        record.killed(true);
        record.asks(asked("b", Intent::Adjust));
        Write::write_all(&mut OpenOptions::new().append(true).open(&path).unwrap(), b"{\"entry\": \"kil").unwrap();
        let mut again = Record::open(&path).unwrap();
        assert_eq!((again.kills(), again.kills_in_start(), again.repeats(), again.openings()), (1, 1, 1, 2));
        assert_eq!(again.unanswered().iter().map(|open| open.key.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(again.done_in(3..4).len(), 1, "a refusal is not done");
        assert_eq!(again.seen().map(|(order, seen)| (order, seen.len())).collect::<Vec<_>>(), [("o", 1)]);
        assert_eq!((again.take_order(5), again.take_order(5)), (Some("o".to_owned()), None));
    }
}
