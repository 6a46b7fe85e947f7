//! I1, the stock identity: the counters are the fold of the journal. I18, within supply: no more is sold than there ever was.
//!
//! On hand is what was received, adjusted and returned and has not been shipped; available is on hand without what is held and claimed. So the
//! identity `received + adjusted + returned = available + held + claimed + shipped` is the same as `on hand + shipped = supply`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Grace, Row};
use crate::{
    facts::Facts,
    journal::{Fold, Journal},
};

pub fn identity(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let journal = Journal::of(&facts.movements);
    // By place: what is held now, and what has run out without its end noted yet, which the counter may have or not.
    let mut held: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    for ((_, sku, warehouse), life) in journal.lives.iter().filter(|(_, life)| life.ends.is_empty()) {
        let (live, running_out) = held.entry((sku, warehouse)).or_default();
        if facts.now < life.expiry {
            *live += life.quantity;
        } else if facts.now < life.expiry.plus(grace.hold_end) {
            *running_out += life.quantity;
        }
    }
    let mut rows = Vec::new();
    let mut counted = BTreeSet::new();
    for stock in &facts.stock {
        let place = (stock.sku.as_str(), stock.warehouse.as_str());
        counted.insert(place);
        let fold = journal.folds.get(&place).cloned().unwrap_or_default();
        let (live, running_out) = held.get(&place).copied().unwrap_or_default();
        let off = [
            ("on hand", stock.on_hand, fold.supply - fold.shipped, 0),
            ("held", stock.held, live, running_out),
            ("claimed", stock.claimed, fold.claimed, 0),
            ("shipped", stock.shipped, fold.shipped, 0),
        ];
        let wrong: Vec<String> = off
            .into_iter()
            .filter(|(_, counter, journal, more)| !(*journal..=journal + more).contains(counter))
            .map(|(what, counter, journal, _)| format!("{what} is counted {counter} and the journal says {journal}"))
            .collect();
        if !wrong.is_empty() {
            rows.push((stock.id.clone(), wrong.join("; ")));
        }
    }
    for ((sku, warehouse), fold) in &journal.folds {
        if !counted.contains(&(*sku, *warehouse)) && *fold != Fold::default() {
            rows.push((format!("{sku}@{warehouse}"), "the journal knows it and no counter is kept".into()));
        }
    }
    rows
}

pub fn within_supply(facts: &Facts) -> Vec<Row> {
    let journal = Journal::of(&facts.movements);
    let mut by_sku: BTreeMap<&str, Fold> = BTreeMap::new();
    for ((sku, _), fold) in &journal.folds {
        let sum = by_sku.entry(sku).or_default();
        sum.supply += fold.supply;
        sum.claimed += fold.claimed;
        sum.shipped += fold.shipped;
    }
    let beyond = |fold: &Fold| fold.claimed + fold.shipped > fold.supply;
    by_sku
        .into_iter()
        .filter(|(_, fold)| beyond(fold))
        .map(|(sku, fold)| {
            let gone = fold.claimed + fold.shipped;
            (sku.to_owned(), format!("{gone} claimed and shipped of {}: {} beyond supply", fold.supply, gone - fold.supply))
        })
        .collect()
}
