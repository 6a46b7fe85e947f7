//! What lies in the three warehouses: as much of each SKU as its popularity asks for, most of it where most buyers are.

use platform::Chance;
use rand::RngExt;
use serde::Serialize;
use types::Sku;

use super::text;
use crate::zipf::{EXPONENT, Zipf};

/// Nearest to US, EU and APAC, with their share of the stock in percent.
pub const WAREHOUSES: [(&str, i64); 3] = [("us-east", 45), ("eu-central", 35), ("apac-south", 20)];

/// Units in all warehouses together.
const UNITS: f64 = 120_000.0;

/// A first delivery; SKU and warehouse together are the natural key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedStock {
    pub sku: Sku,
    pub warehouse: Sku,
    pub units: i64,
}

/// The deliveries, all warehouses of a SKU one behind the other.
#[must_use]
pub fn stock(chance: &Chance, popularity: &[Sku]) -> Vec<PlannedStock> {
    let zipf = Zipf::new(popularity.len(), EXPONENT);
    let mut deliveries = Vec::new();
    for (rank, sku) in popularity.iter().enumerate() {
        let mut stream = chance.stream("seed", sku.as_str(), "stock");
        #[expect(clippy::cast_possible_truncation, reason = "at most all units there are")]
        let units = ((UNITS * zipf.share(rank)) as i64).max(24);
        // What sells seldom is not kept everywhere: that is what splits orders and lets a region run dry.
        let missing = (rank * 2 > popularity.len() && stream.random_bool(0.4)).then(|| stream.random_range(0..WAREHOUSES.len()));
        for (index, (warehouse, percent)) in WAREHOUSES.into_iter().enumerate() {
            let jitter = stream.random_range(85..=115_i64);
            if Some(index) != missing {
                let units = (units * percent * jitter / 10_000).max(3);
                deliveries.push(PlannedStock { sku: sku.clone(), warehouse: text::sku(warehouse), units });
            }
        }
    }
    deliveries
}
