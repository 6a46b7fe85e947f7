//! Carts that people have left standing: a third of them are guests', some people have several.

use cart_api::AddItem;
use platform::{Chance, chance::Stream};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal};
use serde::Serialize;
use types::{Currency, Region, Sku};

use super::{
    CARTS, CUSTOMERS,
    people::{self, Person},
    text,
};
use crate::zipf::Zipf;

/// A cart to be; the session token is the natural key.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCart {
    pub session_token: Sku,
    /// The customer's e-mail; none for a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    pub region: Region,
    pub currency: Currency,
    pub items: Vec<AddItem>,
}

/// The cart of this number, from 1. Its customer is one of those who were there when it was the newest, so that more carts and more
/// customers change none that were planned before.
#[must_use]
pub fn cart(chance: &Chance, number: u32, customers: &[Person], popularity: &[Sku], zipf: &Zipf) -> PlannedCart {
    let key = format!("cart-{number:06}");
    let mut stream = chance.stream("seed", &key, "cart");
    let token = text::sku(format!("{key}-{:012x}", stream.next_u64() >> 16));
    let there = (u64::from(number) * u64::from(CUSTOMERS)).div_ceil(u64::from(CARTS));
    let there = usize::try_from(there).unwrap_or(usize::MAX).min(customers.len());
    let is_guest = stream.random_bool(1.0 / 3.0);
    // Squared: some come again and again.
    let point = stream.random::<f64>().powi(2);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a list")]
    let buyer = customers.get((there as f64 * point) as usize).filter(|_| !is_guest);
    let (region, currency) = match buyer {
        Some(person) => (person.region, person.currency),
        None => {
            let locale = people::locale(&mut stream);
            (locale.region, locale.currency)
        }
    };
    let items = items(&mut chance.stream("seed", &key, "items"), popularity, zipf);
    PlannedCart { session_token: token, customer: buyer.map(|person| person.email.clone()), region, currency, items }
}

/// A basket: lognormal in its lines and in the units of each, different SKUs by popularity.
fn items(stream: &mut Stream, popularity: &[Sku], zipf: &Zipf) -> Vec<AddItem> {
    let lines = lognormal(stream, 0.7, 0.6, 12);
    let mut items: Vec<AddItem> = Vec::new();
    // A SKU that is drawn twice is one line, so that a basket is at most as large as was drawn.
    for _ in 0..lines {
        let quantity = text::quantity(lognormal(stream, 0.1, 0.5, 6));
        let Some(sku) = popularity.get(zipf.draw(stream)) else { break };
        if items.iter().all(|item| item.sku != *sku) {
            items.push(AddItem { sku: sku.clone(), quantity });
        }
    }
    items
}

/// A whole number from 1 to `most`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped between 1 and a small number")]
fn lognormal(stream: &mut Stream, mu: f64, sigma: f64, most: u32) -> u32 {
    let drawn = LogNormal::new(mu, sigma).map_or(1.0, |shape| shape.sample(stream));
    drawn.round().clamp(1.0, f64::from(most)) as u32
}
