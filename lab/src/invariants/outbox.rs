//! I11, the outbox is complete: what was committed is published, and nothing else is. The two sides are kept by different stores: a service's own,
//! and the log.

use std::collections::BTreeMap;

use types::Timestamp;

use super::{Grace, Row};
use crate::facts::{Committed, Facts, Published};

/// The suffix of a dead-letter topic.
pub(super) const DEAD: &str = ".dlq";

pub fn is_complete(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let horizon = horizon(&facts.published);
    let published: BTreeMap<&str, &Published> = facts
        .published
        .iter()
        .filter(|event| !event.topic.ends_with(DEAD))
        .filter_map(|event| Some((event.id.as_deref()?, event)))
        .collect();
    let committed: BTreeMap<&str, &Committed> = facts.committed.iter().map(|event| (event.id.as_str(), event)).collect();
    let mut rows: BTreeMap<&str, String> = BTreeMap::new();
    for (id, event) in &committed {
        let wrong = match published.get(id) {
            Some(there) if (there.topic.as_str(), there.key.as_str()) != (&*event.topic, &*event.key) => Some(format!(
                "{} committed it for {} under {}, and it lies in {} under {}",
                event.service, event.topic, event.key, there.topic, there.key
            )),
            Some(_) => None,
            None if event.at < horizon => None,
            None if event.status == "SENT" => {
                Some(format!("{} notes that it was published at {}, and the log does not have it", event.service, event.topic))
            }
            None if event.at.plus(grace.effects) < facts.now => {
                Some(format!("{} committed it at {}, and it was never published", event.service, event.at))
            }
            None => None,
        };
        rows.extend(wrong.map(|wrong| (*id, wrong)));
    }
    for (id, event) in &published {
        if !committed.contains_key(id) {
            rows.insert(id, format!("it was published on {} at {}, and no service has committed it", event.topic, event.at));
        }
    }
    let nameless = facts.published.iter().filter(|event| event.id.is_none() && !event.topic.ends_with(DEAD));
    let nameless =
        nameless.map(|event| (format!("{}/{}/{}", event.topic, event.partition, event.offset), "an event without an id".to_owned()));
    rows.into_iter().map(|(id, wrong)| (id.to_owned(), wrong)).chain(nameless).collect()
}

/// Before this, the log has forgotten events because their time was over.
pub(super) fn horizon(published: &[Published]) -> Timestamp {
    let mut first: BTreeMap<(&str, u32), &Published> = BTreeMap::new();
    for event in published {
        let known = first.entry((&event.topic, event.partition)).or_insert(event);
        if event.offset < known.offset {
            *known = event;
        }
    }
    first.values().filter(|event| event.offset > 0).map(|event| event.at).max().unwrap_or(Timestamp::from_micros(i64::MIN))
}
