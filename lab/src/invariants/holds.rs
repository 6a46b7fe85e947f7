//! I2, a hold ends once, and I3, a claim is fenced. Both read the journal, so that a service cannot make a late claim look right by moving
//! the end of its hold afterwards.

use std::collections::BTreeMap;

use super::{Grace, Row};
use crate::{
    facts::{Facts, Reservation},
    journal::{Journal, Life},
};

pub fn ends_once(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let journal = Journal::of(&facts.movements);
    let told: BTreeMap<&str, &Reservation> = facts.reservations.iter().map(|reservation| (reservation.id.as_str(), reservation)).collect();
    // By reservation: what is wrong with several of its lines is one damaged row.
    let mut rows: BTreeMap<&str, String> = BTreeMap::new();
    for ((reservation, ..), life) in &journal.lives {
        let wrong = match told.get(reservation) {
            Some(told) => wrong_with(told, life, facts, grace),
            None => Some("the journal knows its hold and inventory does not".into()),
        };
        if let Some(wrong) = wrong {
            rows.entry(reservation).or_insert(wrong);
        }
    }
    for reservation in &facts.reservations {
        for line in &reservation.lines {
            if !journal.lives.contains_key(&(reservation.id.as_str(), line.sku.as_str(), line.warehouse.as_str())) {
                rows.entry(&reservation.id).or_insert(format!("the journal knows no hold of {} for it", line.sku));
            }
        }
    }
    rows.into_iter().map(|(id, detail)| (id.to_owned(), detail)).collect()
}

fn wrong_with(told: &Reservation, life: &Life<'_>, facts: &Facts, grace: &Grace) -> Option<String> {
    if let Some(claim) = life.claim().filter(|_| life.is_claimed_late()) {
        return Some(format!("it ran out at {} and was claimed at {}", life.expiry, claim.at));
    }
    if let [first, second, ..] = life.ends[..] {
        return Some(format!("it ended twice: {} at {}, {} at {}", first.kind, first.at, second.kind, second.at));
    }
    let given_back = life.afterwards.iter().find(|movement| movement.kind == "release" || movement.kind == "return");
    if let Some(back) = given_back
        && told.status != "RETURNED_TO_STOCK"
        && told.status != "SHIPPED"
    {
        return Some(format!("it was claimed, and given back at {}, and says {}", back.at, told.status));
    }
    match (told.status.as_str(), life.ends.first().map(|end| end.kind.as_str())) {
        ("HELD", None) if life.expiry.plus(grace.hold_end) < facts.now => Some(format!("it ran out at {} and has not ended", life.expiry)),
        // A hold that is nothing but a time to live ends without a word.
        ("HELD" | "EXPIRED", None) | ("CLAIMED" | "SHIPPED" | "RETURNED_TO_STOCK", Some("claim")) => None,
        ("RELEASED", Some("release")) | ("EXPIRED", Some("expire")) => None,
        (status, Some(end)) => Some(format!("it says {status} and the journal says {end}")),
        (status, None) => Some(format!("it says {status} and the journal knows no end")),
    }
}

pub fn is_fenced(facts: &Facts) -> Vec<Row> {
    let journal = Journal::of(&facts.movements);
    let mut rows: BTreeMap<&str, String> = BTreeMap::new();
    for life in journal.lives.values() {
        for (before, end) in life.ends.iter().enumerate().filter(|(_, end)| end.kind == "claim") {
            let earlier = before.checked_sub(1).and_then(|index| life.ends.get(index));
            let wrong = if let Some(earlier) = earlier {
                format!("claimed at {}, after its {} at {}", end.at, earlier.kind, earlier.at)
            } else if end.at >= life.expiry {
                format!("claimed at {}, when its hold had run out at {}", end.at, life.expiry)
            } else if end.fencing_token.is_some() && end.fencing_token != life.token {
                format!("claimed with token {} where its hold has {}", shown(end.fencing_token), shown(life.token))
            } else {
                continue;
            };
            rows.entry(life.reservation).or_insert(wrong);
        }
    }
    for claim in &journal.without_hold {
        rows.entry(claim.reservation_id.as_deref().unwrap_or(&claim.id)).or_insert(format!("claimed at {} without a hold", claim.at));
    }
    rows.into_iter().map(|(id, detail)| (id.to_owned(), detail)).collect()
}

fn shown(token: Option<i64>) -> String {
    token.map_or_else(|| "none".to_owned(), |token| token.to_string())
}
