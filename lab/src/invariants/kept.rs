//! I8, acknowledged means kept: whatever a client was told is done is there afterwards, whatever crashed in between. Held against it are the
//! client's own record and the answers that the services keep to give them again.

use std::collections::{BTreeMap, BTreeSet};

use super::Row;
use crate::{
    facts::Facts,
    witness::{Answered, Exchange},
};

pub fn acknowledged(facts: &Facts) -> Vec<Row> {
    let there = There::of(facts);
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    let deleted: BTreeSet<&str> = facts
        .exchanges
        .iter()
        .filter(|exchange| exchange.method == "DELETE" && exchange.done().is_some())
        .filter_map(|exchange| exchange.parts().last().copied())
        .collect();
    for exchange in &facts.exchanges {
        if let Some((answer, lost)) = exchange
            .done()
            .and_then(|answer| Some((answer, there.lacks(exchange, answer)?)))
            .filter(|(_, lost)| !deleted.contains(lost.0.as_str()))
        {
            rows.insert(
                lost.0,
                format!("{} {} was answered {} at {}, and {}", exchange.method, exchange.path, answer.status, answer.at, lost.1),
            );
        }
    }
    for (sku, (acknowledged, at)) in adjustments(facts) {
        let noted = there.adjusted.get(sku).copied().unwrap_or(0);
        if noted < acknowledged {
            let wrong = format!("{acknowledged} adjustments were acknowledged by {at}, and the journal knows {noted}");
            rows.insert(sku.to_owned(), wrong);
        }
    }
    for kept in facts.kept_answers.iter().filter(|kept| kept.status.is_some_and(|status| status < 300)) {
        let Some(location) = &kept.location else { continue };
        if let Some((id, lost)) = there.has_no_place(location) {
            rows.entry(id).or_insert_with(|| format!("{} keeps the answer to {} of {}, and {lost}", kept.service, kept.endpoint, kept.at));
        }
    }
    rows.into_iter().collect()
}

/// Ids of what there is, by the first part of its path, with what an acknowledgement may have promised of it.
struct There<'a> {
    ids: BTreeMap<&'static str, BTreeSet<&'a str>>,
    order_status: BTreeMap<&'a str, &'a str>,
    reservation_status: BTreeMap<&'a str, &'a str>,
    cart_version: BTreeMap<&'a str, i64>,
    refunded: BTreeMap<&'a str, i64>,
    adjusted: BTreeMap<&'a str, usize>,
}

/// A lost row, and what of it is lost.
type Lost = (String, String);

impl<'a> There<'a> {
    fn of(facts: &'a Facts) -> Self {
        let mut adjusted: BTreeMap<&str, usize> = BTreeMap::new();
        for movement in facts.movements.iter().filter(|movement| matches!(movement.kind.as_str(), "receipt" | "adjust")) {
            *adjusted.entry(&movement.sku).or_default() += 1;
        }
        let ids = [
            ("carts", facts.carts.iter().map(|cart| cart.id.as_str()).collect::<BTreeSet<_>>()),
            ("orders", facts.orders.iter().map(|order| order.id.as_str()).collect()),
            ("payments", facts.payments.iter().map(|payment| payment.id.as_str()).collect()),
            ("credits", facts.credits.iter().map(|credit| credit.id.as_str()).collect()),
            ("customers", facts.customers.iter().map(|customer| customer.id.as_str()).collect()),
            ("products", facts.products.iter().map(|product| product.id.as_str()).collect()),
            ("reservations", facts.reservations.iter().map(|reservation| reservation.id.as_str()).collect()),
        ];
        // What this system does not export is not said to be lost.
        let exported = |name: &str| !facts.missing.contains(&name);
        Self {
            ids: ids.into_iter().filter(|(name, _)| exported(name)).collect(),
            order_status: facts.orders.iter().map(|order| (order.id.as_str(), order.status.as_str())).collect(),
            reservation_status: facts.reservations.iter().map(|one| (one.id.as_str(), one.status.as_str())).collect(),
            cart_version: facts.carts.iter().map(|cart| (cart.id.as_str(), cart.version)).collect(),
            refunded: facts.payments.iter().map(|payment| (payment.id.as_str(), payment.refunded)).collect(),
            adjusted,
        }
    }

    /// What an acknowledged call promised and is not so.
    fn lacks(&self, exchange: &Exchange, answer: &Answered) -> Option<Lost> {
        let body = |field: &str| answer.body[field].as_str().unwrap_or_default().to_owned();
        match (exchange.method.as_str(), &exchange.parts()[..]) {
            ("POST", ["carts", id, "checkout"]) => self.is_not("orders", &body("orderId")).or_else(|| self.is_not("carts", id)),
            ("POST" | "PUT" | "DELETE", ["carts", ..]) => {
                let (id, version) = (body("id"), answer.body["version"].as_i64().unwrap_or(0));
                self.is_not("carts", &id).or_else(|| {
                    let kept = self.cart_version.get(id.as_str()).copied().unwrap_or(version);
                    (kept < version).then(|| (id, format!("its version {version} is gone: it has {kept}")))
                })
            }
            ("POST", ["orders", _, "cancel"]) if answer.body["status"] == "CANCELLED" => {
                let id = body("id");
                self.is_not("orders", &id).or_else(|| {
                    let status = self.order_status.get(id.as_str()).copied().unwrap_or("CANCELLED");
                    (status != "CANCELLED").then(|| (id, format!("it is {status}")))
                })
            }
            ("POST", ["orders", id, "credits"]) => self.is_not("credits", &body("id")).or_else(|| self.is_not("orders", id)),
            ("POST", ["inventory", "reserve"]) => self.is_not("reservations", &body("reservationId")),
            ("POST", ["inventory", "claim"]) => {
                let id = body("reservationId");
                let status = self.reservation_status.get(id.as_str()).copied().unwrap_or_default();
                (!id.is_empty() && matches!(status, "" | "HELD" | "EXPIRED" | "RELEASED"))
                    .then(|| (id, format!("its claim is lost: it is {status}")))
            }
            ("POST", ["payments", _, "refund"]) => {
                let (id, told) = (body("id"), answer.body["refunded"]["amount"].as_i64().unwrap_or(0));
                let kept = self.refunded.get(id.as_str()).copied().unwrap_or(told);
                (kept < told).then(|| (id, format!("{told} were refunded by then, and it knows {kept}")))
            }
            ("POST", [place @ ("orders" | "payments" | "customers" | "products"), ..]) => self.is_not(place, &body("id")),
            _ => None,
        }
    }

    fn is_not(&self, place: &str, id: &str) -> Option<Lost> {
        let known = self.ids.get(place)?;
        (!id.is_empty() && !known.contains(id)).then(|| (id.to_owned(), format!("{place} do not know it")))
    }

    /// A `Location` where nothing is.
    fn has_no_place(&self, location: &str) -> Option<Lost> {
        let mut parts = location.split('/').filter(|part| !part.is_empty());
        let (place, id) = (parts.next()?, parts.next()?);
        // A product may have been deleted since; the answer to its making does not say so.
        if parts.next().is_some() || place == "products" { None } else { self.is_not(place, id) }
    }
}

/// How many adjustments of a SKU were acknowledged, each key once, and until when.
fn adjustments(facts: &Facts) -> BTreeMap<&str, (usize, types::Timestamp)> {
    let mut all: BTreeMap<&str, (usize, types::Timestamp)> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for exchange in &facts.exchanges {
        let Some(answer) = exchange.done().filter(|_| exchange.parts()[..] == ["inventory", "adjust"]) else { continue };
        if exchange.key.as_deref().is_some_and(|key| !keys.insert(key)) {
            continue;
        }
        if let Some(sku) = answer.body["sku"].as_str() {
            let known = all.entry(sku).or_insert((0, answer.at));
            *known = (known.0 + 1, answer.at);
        }
    }
    all
}
