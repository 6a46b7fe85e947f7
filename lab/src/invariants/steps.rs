//! I10, legal steps: what an order or a payment went through is in the table of states, version by version, and nothing follows an end.

use std::collections::BTreeMap;

use types::states::Table;

use super::Row;
use crate::facts::{Facts, Transition};

pub fn are_legal(facts: &Facts) -> Vec<Row> {
    let orders = facts.orders.iter().map(|order| (order.id.as_str(), order.status.as_str()));
    let payments = facts.payments.iter().map(|payment| (payment.id.as_str(), payment.status.as_str()));
    let mut rows = of_things("order", &facts.order_transitions, orders.collect());
    rows.extend(of_things("payment", &facts.payment_transitions, payments.collect()));
    rows
}

fn of_things(thing: &str, steps: &[Transition], now: BTreeMap<&str, &str>) -> Vec<Row> {
    let Some(table) = Table::of(thing) else { return vec![(thing.to_owned(), "there is no table of its states".into())] };
    let mut histories: BTreeMap<&str, Vec<&Transition>> = now.keys().map(|id| (*id, Vec::new())).collect();
    for step in steps {
        histories.entry(&step.id).or_default().push(step);
    }
    let wrong = |(id, mut history): (&str, Vec<&Transition>)| {
        history.sort_by_key(|step| (step.version, step.seq));
        let wrong = wrong_with(table, &history).or_else(|| {
            let last = history.last().map(|step| step.status.as_str());
            let stands = now.get(id).copied();
            (stands.is_some() && stands != last)
                .then(|| format!("it stands at {}, and its last step led to {}", stands.unwrap_or("nothing"), last.unwrap_or("nothing")))
        });
        wrong.map(|wrong| (id.to_owned(), format!("{thing}: {wrong}")))
    };
    histories.into_iter().filter_map(wrong).collect()
}

fn wrong_with(table: &Table, history: &[&Transition]) -> Option<String> {
    let mut before: Option<&Transition> = None;
    for (version, step) in (1..).zip(history) {
        if step.version != version {
            return Some(format!("version {} where {version} was due", step.version));
        }
        match before {
            None if step.status != table.first => return Some(format!("it began as {}", step.status)),
            None => {}
            Some(before) if step.previous.as_ref() != Some(&before.status) => {
                return Some(format!(
                    "version {version} came from {} where it stood at {}",
                    step.previous.as_deref().unwrap_or("nothing"),
                    before.status
                ));
            }
            Some(before) if !table.allows(&before.status, &step.status) => {
                return Some(format!("{} → {} is not in the table (version {version})", before.status, step.status));
            }
            Some(_) => {}
        }
        before = Some(step);
    }
    None
}
