//! I7, a replay is idempotent: the same key with the same body is answered the same within a day, and has one effect. What clients were told is
//! held against itself and against the answers that the services keep; where the lab was nobody's client, the kept answers are held against
//! each other.

use std::{collections::BTreeMap, time::Duration};

use sha2::{Digest as _, Sha256};

use super::Row;
use crate::{
    facts::Facts,
    witness::{Answered, Exchange},
};

/// For how long an answer is promised again.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

pub fn are_idempotent(facts: &Facts) -> Vec<Row> {
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    // By endpoint and key, in the order of the questions.
    let mut said: BTreeMap<(&str, &str, &str), Vec<&Exchange>> = BTreeMap::new();
    for exchange in &facts.exchanges {
        if let Some(key) = &exchange.key {
            said.entry((&exchange.method, &exchange.path, key)).or_default().push(exchange);
        }
    }
    for ((method, path, key), exchanges) in &said {
        if let Some(wrong) = told_differently(exchanges) {
            rows.insert(format!("{method} {path} {key}"), wrong);
        }
    }
    let mut kept: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for answer in &facts.kept_answers {
        *kept.entry((&answer.service, &answer.endpoint, &answer.id)).or_default() += 1;
    }
    for ((service, endpoint, _), count) in kept.into_iter().filter(|(_, count)| *count > 1) {
        rows.insert(format!("{service} {endpoint}"), format!("{count} answers are kept for one key"));
    }
    let stored: BTreeMap<(&str, &str), &str> = facts
        .kept_answers
        .iter()
        .filter_map(|answer| Some(((answer.endpoint.as_str(), answer.id.as_str()), answer.answer.as_deref()?)))
        .collect();
    for ((method, path, key), exchanges) in said {
        let endpoint = format!("{method} {}", path.split('?').next().unwrap_or_default());
        let token = hex::encode(Sha256::digest(key));
        let Some(stored) = stored.get(&(endpoint.as_str(), token.as_str())) else { continue };
        for answer in exchanges.into_iter().filter_map(Exchange::done).filter(|answer| answer.digest != *stored) {
            rows.entry(format!("{method} {path} {key}"))
                .or_insert_with(|| format!("answered at {} with another body than the one that is kept", answer.at));
        }
    }
    rows.into_iter().collect()
}

/// What is wrong with the answers to one key of one endpoint.
fn told_differently(exchanges: &[&Exchange]) -> Option<String> {
    let mut first: Option<(&Exchange, &Answered)> = None;
    for exchange in exchanges {
        let Some(answer) = exchange.done() else { continue };
        let Some((said, told)) = first else {
            first = Some((exchange, answer));
            continue;
        };
        if answer.at.since(told.at) > KEPT {
            continue;
        }
        if said.request != exchange.request {
            return Some(format!("at {} another request was done under the same key", answer.at));
        }
        let shown = |answer: &Answered| (answer.status, answer.digest.clone(), answer.location.clone(), answer.etag.clone());
        if shown(told) != shown(answer) {
            return Some(format!(
                "answered {} at {}, and {} with another body or header at {}",
                told.status, told.at, answer.status, answer.at
            ));
        }
    }
    // Refused where it was done before: the answer was forgotten, or it is about to be done a second time.
    let (_, told) = first?;
    let refused = exchanges.iter().find_map(|exchange| {
        let answer = exchange.answer.as_ref()?;
        let is_later = exchange.asked > told.answered && answer.at.since(told.at) <= KEPT;
        (is_later && (400..500).contains(&answer.status) && exchange.request == exchanges[0].request).then_some(answer)
    })?;
    Some(format!("answered {} at {}, and {} when it was said again at {}", told.status, told.at, refused.status, refused.at))
}
