//! I12, effect once, in order: of each topic and key, a service takes every event once and in the order of the log. A service's notes of what it
//! has taken are committed with the effects; the log and the offsets that its group has committed are kept elsewhere, so a note that is
//! missing, doubled or out of turn shows. What was passed over because something newer was known had no effect, and no turn. Keys that are parked behind a dead letter wait, and are let be.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Grace, Row,
    outbox::{DEAD, horizon},
};
use crate::facts::{Facts, Noted, Published, Reading};

/// Who listens to what without a note, because the effect is one that a repeat does not change: customer rules out snapshots by their version,
/// order makes the order of a cart, of which there is one; payment refunds a credit, once (I20).
const WITHOUT_NOTE: &[(&str, &str)] = &[
    ("customer", "customer.updated.v1"),
    ("customer", "customer.segment.recalculated.v1"),
    ("order", "cart.checkedout.v1"),
    ("payment", "order.credit.granted.v1"),
];

/// The events of one key of one topic, each once, in the order of the log.
type Told<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a Published>>;

pub fn once_in_order(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let told = told(&facts.published);
    let horizon = horizon(&facts.published);
    let mut noted: BTreeMap<(&str, &str, &str), Vec<&Noted>> = BTreeMap::new();
    let mut by_seq: Vec<&Noted> = facts.noted.iter().collect();
    by_seq.sort_by_key(|note| note.seq);
    for note in by_seq {
        noted.entry((&note.service, &note.consumer, &note.key)).or_default().push(note);
    }
    let mut rows = Vec::new();
    for listener in listeners(facts) {
        for ((topic, key), events) in told.iter().filter(|((topic, _), _)| *topic == listener.topic) {
            let notes = noted.remove(&(listener.service, topic, key)).unwrap_or_default();
            let wrong = listener.wrong_with(events, &notes, facts, grace, horizon);
            rows.extend(wrong.map(|wrong| (format!("{} {topic} {key}", listener.service), wrong)));
        }
    }
    // What nobody told.
    let unheard = noted.into_iter().filter(|(_, notes)| notes.iter().any(|note| note.at >= horizon));
    rows.extend(
        unheard.map(|((service, topic, key), _)| {
            (format!("{service} {topic} {key}"), "events were taken that the log does not have".to_owned())
        }),
    );
    rows
}

fn told(published: &[Published]) -> Told<'_> {
    let mut ordered: Vec<&Published> = published.iter().filter(|event| !event.topic.ends_with(DEAD)).collect();
    ordered.sort_by_key(|event| (&event.topic, event.partition, event.offset));
    let (mut told, mut seen) = (Told::new(), BTreeSet::new());
    for event in ordered {
        // A relay that died between a publication and the note of it publishes again.
        if seen.insert((event.topic.as_str(), event.id.as_deref())) {
            told.entry((&event.topic, &event.key)).or_default().push(event);
        }
    }
    told
}

/// A service that listens to a topic and notes what it has taken.
struct Listener<'a> {
    service: &'a str,
    topic: &'a str,
    group: &'a str,
    /// How far it has read, by partition.
    committed: BTreeMap<u32, u64>,
    /// The keys that it leaves lie, and the events that it has put among the dead letters.
    parked: BTreeSet<&'a str>,
    dead: BTreeSet<&'a str>,
}

fn listeners(facts: &Facts) -> Vec<Listener<'_>> {
    let mut all: BTreeMap<(&str, &str), Listener<'_>> = BTreeMap::new();
    for Reading { group, topic, partition, committed } in &facts.readings {
        let Some(service) = group.strip_suffix(topic.as_str()).and_then(|name| name.strip_suffix('-')) else { continue };
        if !WITHOUT_NOTE.contains(&(service, topic)) {
            let (committed_by_partition, parked, dead) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
            let fresh = Listener { service, topic, group, committed: committed_by_partition, parked, dead };
            all.entry((service, topic)).or_insert(fresh).committed.insert(*partition, *committed);
        }
    }
    let mut all: Vec<Listener<'_>> = all.into_values().collect();
    for listener in &mut all {
        let is_mine = |group: &str, topic: &str| group == listener.group && topic == listener.topic;
        listener.parked = facts.parked.iter().filter(|one| is_mine(&one.group, &one.topic)).map(|one| one.key.as_str()).collect();
        let is_dead = |event: &&Published| {
            event.group.as_deref().is_some_and(|group| is_mine(group, event.topic.strip_suffix(DEAD).unwrap_or_default()))
        };
        listener.dead = facts.published.iter().filter(is_dead).filter_map(|event| event.id.as_deref()).collect();
    }
    all
}

impl Listener<'_> {
    fn wrong_with(
        &self,
        events: &[&Published],
        notes: &[&Noted],
        facts: &Facts,
        grace: &Grace,
        horizon: types::Timestamp,
    ) -> Option<String> {
        let key = &events.first()?.key;
        let mut places = BTreeMap::new();
        let mut last = None;
        for note in notes {
            let Some(place) = events.iter().position(|event| event.id.as_deref() == Some(&note.id)) else {
                if note.at < horizon {
                    continue;
                }
                return Some(format!("{} was taken at {}, and the log does not have it", note.id, note.at));
            };
            if places.insert(place, note).is_some() {
                return Some(format!("{} was taken twice, the second time at {}", note.id, note.at));
            }
            if note.passed_over {
                continue;
            }
            if last.is_some_and(|last| place < last) {
                return Some(format!("{} was taken at {}, after one that was told later", note.id, note.at));
            }
            last = Some(place);
        }
        if self.parked.contains(key.as_str()) {
            return None;
        }
        for (place, event) in events.iter().enumerate().filter(|(place, _)| !places.contains_key(place)) {
            let id = event.id.as_deref().unwrap_or_default();
            if self.dead.contains(id) || event.at < horizon {
                continue;
            }
            if last.is_some_and(|last| place < last) {
                return Some(format!("{id} was told at {} and passed over: a later one was taken", event.at));
            }
            if self.committed.get(&event.partition).is_some_and(|committed| event.offset < *committed) {
                return Some(format!("{id} was told at {}; its offset is committed and its effect was never noted", event.at));
            }
            if event.at.plus(grace.effects) < facts.now {
                return Some(format!("{id} was told at {} and has not been taken", event.at));
            }
        }
        None
    }
}
