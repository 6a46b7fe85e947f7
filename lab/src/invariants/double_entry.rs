//! I4, double entry: each entry balances in its currency, each event of the provider that moves money has one entry, and an entry stays as it
//! was made. The last is held against the provider's truth, which nobody in the shop can change: what an entry must say follows from its
//! event, so an entry that was changed afterwards says something else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Grace, Row};
use crate::facts::{Facts, LedgerLine, PspEvent};

pub fn balances(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let mut entries: BTreeMap<&str, Vec<&LedgerLine>> = BTreeMap::new();
    let mut of_event: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in &facts.ledger {
        entries.entry(&line.id).or_default().push(line);
        if let Some(event) = &line.psp_event_id {
            of_event.entry(event).or_default().insert(&line.id);
        }
    }
    let events: BTreeMap<&str, &PspEvent> = facts.psp_truth.iter().map(|event| (event.id.as_str(), event)).collect();
    let mut rows = Vec::new();
    for (entry, lines) in &entries {
        let wrong = wrong_within(lines).or_else(|| {
            let event = lines.iter().find_map(|line| line.psp_event_id.as_deref())?;
            match events.get(event) {
                // It was told after the truth was read.
                None if is_fresh(lines, facts, grace) => None,
                None => Some(format!("the provider knows no event {event}")),
                Some(event) => differs(lines, event),
            }
        });
        rows.extend(wrong.map(|wrong| ((*entry).to_owned(), format!("an entry: {wrong}"))));
    }
    for (event, entries) in of_event.iter().filter(|(_, entries)| entries.len() > 1) {
        rows.push(((*event).to_owned(), format!("an event of the provider with {} entries", entries.len())));
    }
    for event in facts.psp_truth.iter().filter(|event| event.moves() != 0 && !of_event.contains_key(event.id.as_str())) {
        if event.at.plus(grace.books) <= facts.now {
            rows.push((event.id.clone(), format!("a {} of {} without an entry, payment {}", event.kind, event.amount, event.payment_id)));
        }
    }
    rows
}

fn wrong_within(lines: &[&LedgerLine]) -> Option<String> {
    if let Some(line) = lines.iter().find(|line| line.debit.min(line.credit) != 0 || line.debit.max(line.credit) <= 0) {
        return Some(format!("a line of {} has {} debit and {} credit", line.account, line.debit, line.credit));
    }
    let mut sums: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(&line.currency).or_default();
        *sum = (sum.0 + i128::from(line.debit), sum.1 + i128::from(line.credit));
    }
    sums.into_iter()
        .find(|(_, (debits, credits))| debits != credits)
        .map(|(currency, (debits, credits))| format!("{debits} debit and {credits} credit in {currency}"))
}

/// Where an entry is not what its event makes it: a capture is a debit of the clearing account and a credit of the deposits, a refund a debit
/// of the refunds and a credit of the clearing account.
fn differs(lines: &[&LedgerLine], event: &PspEvent) -> Option<String> {
    let (debit, credit) = match event.kind.as_str() {
        "capture.succeeded" => ("psp_clearing", "customer_deposits"),
        "refund.succeeded" => ("refunds", "psp_clearing"),
        other => return Some(format!("it has lines, and its event is a {other}")),
    };
    let mut said: Vec<_> = lines.iter().map(|line| (line.account.as_str(), line.debit, line.credit, line.currency.as_str())).collect();
    said.sort_unstable();
    let currency = event.currency.as_str();
    let mut due = vec![(debit, event.amount, 0, currency), (credit, 0, event.amount, currency)];
    due.sort_unstable();
    (said != due).then(|| format!("it says {said:?}, and its event was a {} of {} {currency}", event.kind, event.amount))
}

fn is_fresh(lines: &[&LedgerLine], facts: &Facts, grace: &Grace) -> bool {
    lines.iter().any(|line| facts.now < line.at.plus(grace.effects))
}
