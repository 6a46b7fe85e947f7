//! What there shall be, before anything is asked of a system. Pure: the same seed and scale give the same data on every machine, and each
//! thing draws from a stream named by its own natural key, so what is planned for one never moves because there are more of another.
//!
//! The scale multiplies people and their carts: 1,000 customers are the first of 10,000. The range (products, prices, stock) is the same
//! at every scale from 1 on, as a shop does not sell other things because more people come; below 1 it is a prefix of itself.
//!
//! Reading order: [`people`], [`range`], [`prices`], [`stock`], [`carts`]; [`names`] holds the words.

pub mod carts;
pub mod names;
pub mod people;
pub mod prices;
pub mod range;
pub mod stock;
pub(crate) mod text;

pub use carts::PlannedCart;
pub use people::{Person, PlannedAddress};
use platform::Chance;
pub use prices::PlannedPrice;
use pricing_api::{PromotionRequest, RuleRequest};
pub use range::{Category, Product, Variant};
use serde::Serialize;
pub use stock::PlannedStock;
use types::Sku;

use crate::zipf::{EXPONENT, Zipf};

/// How many there are at scale 1.
pub const CUSTOMERS: u32 = 1_000;
pub const PRODUCTS: u32 = 200;
pub const CARTS: u32 = 300;
/// More than this nobody can wait for.
pub const LARGEST_SCALE: f64 = 1_000.0;

/// The whole data set.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataSet {
    pub seed: u64,
    pub scale: f64,
    pub categories: Vec<Category>,
    pub products: Vec<Product>,
    pub prices: Vec<PlannedPrice>,
    pub rules: Vec<RuleRequest>,
    pub promotions: Vec<PromotionRequest>,
    pub stock: Vec<PlannedStock>,
    pub customers: Vec<Person>,
    pub carts: Vec<PlannedCart>,
    /// What is sold, the most popular first.
    pub popularity: Vec<Sku>,
}

/// The data set of this seed. A scale that is no number, or none above zero, is the smallest: one of each.
#[must_use]
pub fn plan(seed: u64, scale: f64) -> DataSet {
    let scale = if scale.is_finite() { scale.clamp(0.0, LARGEST_SCALE) } else { 0.0 };
    let chance = Chance::seeded(seed);
    let products = range::products(&chance, count(PRODUCTS, scale.min(1.0)));
    let popularity = range::popularity(&chance, &products);
    let zipf = Zipf::new(popularity.len(), EXPONENT);
    let customers: Vec<Person> = (1..=count(CUSTOMERS, scale)).map(|number| people::person(&chance, number)).collect();
    let carts = (1..=count(CARTS, scale)).map(|number| carts::cart(&chance, number, &customers, &popularity, &zipf)).collect();
    DataSet {
        seed,
        scale,
        categories: range::categories(),
        prices: products.iter().flat_map(|product| prices::entries(&chance, product)).collect(),
        rules: prices::rules(&popularity),
        promotions: prices::promotions(),
        stock: stock::stock(&chance, &popularity),
        products,
        customers,
        carts,
        popularity,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the scale was clamped: the product fits and is not negative")]
fn count(at_scale_one: u32, scale: f64) -> u32 {
    ((f64::from(at_scale_one) * scale).round() as u32).max(1)
}

#[cfg(test)]
mod tests;
