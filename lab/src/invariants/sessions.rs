//! I15, sessions: who has changed something reads it as changed, and who has read something never reads an older state of it. Only the client's own
//! record can tell: nobody else knows what he was shown before. A state is older by its version.

use std::collections::BTreeMap;

use super::Row;
use crate::{
    facts::Facts,
    witness::{Answered, Exchange},
};

/// What a session was shown of something: the highest version, and the turn at which it was told.
struct Shown {
    version: i64,
    answered: u64,
}

pub fn go_forward(facts: &Facts) -> Vec<Row> {
    // In the order of the answers: what was told before a question was asked binds the answer.
    let mut told: Vec<(&Exchange, &Answered)> =
        facts.exchanges.iter().filter_map(|exchange| Some((&**exchange, exchange.answer.as_ref()?))).collect();
    told.sort_by_key(|(_, answer)| answer.answered);
    let mut seen: BTreeMap<(&str, String), Vec<Shown>> = BTreeMap::new();
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for (exchange, answer) in told {
        // The first answer, given again, is as old as it is.
        if exchange.session.is_empty() || answer.is_replay {
            continue;
        }
        let known = |id: &str| {
            let shown = seen.get(&(exchange.session.as_str(), id.to_owned()));
            shown.into_iter().flatten().filter(|shown| shown.answered < exchange.asked).map(|shown| shown.version).max()
        };
        if let Some((id, version)) = shown(exchange, answer) {
            if let Some(before) = known(&id).filter(|before| *before > version) {
                let wrong =
                    format!("{} {} showed version {version} at {}, after version {before}", exchange.method, exchange.path, answer.at);
                rows.entry(id.clone()).or_insert(wrong);
            }
            seen.entry((&exchange.session, id)).or_default().push(Shown { version, answered: answer.answered });
        } else if let (404, "GET", [_, id]) = (answer.status, exchange.method.as_str(), &exchange.parts()[..])
            && known(id).is_some()
        {
            rows.entry((*id).to_owned())
                .or_insert(format!("GET {} did not find it at {}, and it was shown before", exchange.path, answer.at));
        }
    }
    rows.into_iter().collect()
}

/// Whose state an answer shows, and which. A checkout shows that there is an order.
fn shown(exchange: &Exchange, answer: &Answered) -> Option<(String, i64)> {
    exchange.done()?;
    if let ["carts", _, "checkout"] = exchange.parts()[..] {
        return Some((answer.body["orderId"].as_str()?.to_owned(), 0));
    }
    Some((answer.body["id"].as_str()?.to_owned(), answer.body["version"].as_i64()?))
}
