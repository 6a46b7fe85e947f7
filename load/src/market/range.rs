//! What a market sells: products `MARKET-000001` and so on, ten to a seller, each with a price in dollars and more stock than anybody will buy,
//! made through the public APIs. A run that finds them changes nothing, and one that was cut off is finished by the next: products are made
//! in parts, a part only when the one before it is complete, so the last part that has begun is the only one that may have gaps.
#![expect(clippy::expect_used, reason = "the words are this crate's own; no input reaches them but a number")]

use std::collections::BTreeMap;

use seed::{
    Call, DataSet, SeedError, Shop,
    manifest::Kind,
    plan::{PlannedPrice, PlannedStock, Product, prices::book},
};
use types::{Currency, Money, Sku};

/// How many products a seller has.
pub const OF_SELLER: u32 = 10;
pub const LARGEST: u32 = 1_000_000;
/// Products that are made before the next ones are begun.
const PART: u32 = 500;
const WAREHOUSE: &str = "us-east";
/// As much as one delivery may bring.
const UNITS: i64 = 1_000_000;

/// The products of a market, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub products: u32,
}

/// What filling the shelves came to, in products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    pub made: u64,
    pub found: u64,
}

#[must_use]
pub fn sku(number: u32) -> Sku {
    Sku::new(format!("MARKET-{:06}", number + 1)).expect("a prefix and six digits are a SKU")
}

/// The word by which a seller's products are found.
#[must_use]
pub fn seller(number: u32) -> String {
    format!("SELLER{:06}", number / OF_SELLER + 1)
}

/// What a product costs before anybody changes it: 5.00 to 99.99 dollars.
#[must_use]
pub const fn price_minor(number: u32) -> i64 {
    // A step that is prime to the span, so that neighbours differ.
    500 + (number as i64 * 7_919) % 9_500
}

impl Range {
    #[must_use]
    pub fn skus(self) -> Vec<Sku> {
        (0..self.products).map(sku).collect()
    }

    /// Makes what is missing; `progress` hears of products that are done.
    pub async fn fill<S: Shop>(self, shop: &S, concurrency: usize, progress: impl Fn(u64) + Send + Sync) -> Result<Filled, SeedError> {
        let first = self.first_to_look_at(shop).await?;
        let mut filled = Filled { made: 0, found: u64::from(first * PART) };
        for part in first..self.products.div_ceil(PART) {
            let data = self.part(part);
            let seeded = seed::apply(&data, shop, concurrency, |_| ()).await?;
            let made = |kind| seeded.manifest.kinds.iter().find(|counts| counts.kind == kind).map_or(0, |counts| counts.created);
            filled.made += made(Kind::Products);
            filled.found += data.products.len() as u64 - made(Kind::Products);
            progress(filled.made + filled.found);
        }
        Ok(filled)
    }

    /// The last part that has begun: all before it are complete.
    async fn first_to_look_at<S: Shop>(self, shop: &S) -> Result<u32, SeedError> {
        let (mut begun, mut parts) = (0, self.products.div_ceil(PART));
        // Begun is the part before which all have begun; at `parts` none has.
        while parts - begun > 1 {
            let middle = begun + (parts - begun) / 2;
            if is_there(shop, &sku(middle * PART)).await? {
                begun = middle;
            } else {
                parts = middle;
            }
        }
        Ok(begun)
    }

    fn part(self, part: u32) -> DataSet {
        let numbers = || part * PART..self.products.min((part + 1) * PART);
        let warehouse = Sku::new(WAREHOUSE).expect("a warehouse's name is a word");
        DataSet {
            seed: 0,
            scale: 1.0,
            categories: Vec::new(),
            products: numbers().map(product).collect(),
            prices: numbers()
                .map(|number| PlannedPrice {
                    book: book(Currency::Usd),
                    sku: sku(number),
                    unit_price: Money::new(price_minor(number), Currency::Usd),
                })
                .collect(),
            rules: Vec::new(),
            promotions: Vec::new(),
            stock: numbers().map(|number| PlannedStock { sku: sku(number), warehouse: warehouse.clone(), units: UNITS }).collect(),
            customers: Vec::new(),
            carts: Vec::new(),
            popularity: Vec::new(),
        }
    }
}

fn product(number: u32) -> Product {
    Product {
        sku: sku(number),
        title: format!("Market product {}", number + 1),
        description: "As it was first offered.".to_owned(),
        category: String::new(),
        attributes: BTreeMap::from([("seller", seller(number))]),
        variants: Vec::new(),
        price_usd_minor: price_minor(number),
    }
}

async fn is_there<S: Shop>(shop: &S, sku: &Sku) -> Result<bool, SeedError> {
    let call = Call::get(format!("/products/by-sku/{sku}"));
    let (kind, row, request) = (Kind::Products, sku.to_string(), call.to_string());
    match shop.send(call).await {
        Ok(answer) if answer.status.is_success() => Ok(true),
        Ok(answer) if answer.status == http::StatusCode::NOT_FOUND => Ok(false),
        Ok(answer) => {
            let (status, slug, detail) = (answer.status.as_u16(), answer.slug(), answer.detail());
            Err(SeedError::Refused { kind, row, request, status, slug, detail })
        }
        Err(source) => Err(SeedError::Unreachable { kind, row, request, source }),
    }
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use seed::testing::Scripted;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_range_is_made_once_grows_and_is_finished_where_it_was_cut_off() {
        let system = Scripted::new(Clock::simulated());
        let fill = async |products: u32| Range { products }.fill(&system, 8, |_| ()).await;
        assert_eq!(fill(1_200).await.expect("a range"), Filled { made: 1_200, found: 0 });
        let (writes, calls) = (system.writes(), system.calls());
        assert_eq!(writes, 3 * 1_200, "a product, a price and stock of each");
        assert_eq!(fill(1_200).await.expect("a range"), Filled { made: 0, found: 1_200 });
        assert_eq!(system.writes(), writes);
        assert!(system.calls() - calls < 700, "only the last part was looked at: {}", system.calls() - calls);
        // Cut off in the middle of a part.
        system.set(|mood| mood.breaks_after_writes = Some(writes + 1_000));
        assert!(fill(2_000).await.is_err());
        system.set(|mood| mood.breaks_after_writes = None);
        let filled = fill(2_000).await.expect("a range");
        assert_eq!(filled.made + filled.found, 2_000);
        for kind in ["product", "price", "stock"] {
            assert_eq!(system.things(kind).len(), 2_000, "{kind}");
        }
        assert!(system.things("stock").values().all(|stock| stock["warehouses"][0]["onHand"] == UNITS), "nothing came twice");
    }

    #[test]
    fn numbers_are_names_sellers_and_prices() {
        assert_eq!((sku(0).as_str(), sku(99_999).as_str()), ("MARKET-000001", "MARKET-100000"));
        assert_eq!((seller(9), seller(10)), ("SELLER000001".to_owned(), "SELLER000002".to_owned()));
        assert!((0..LARGEST).step_by(997).all(|number| (500..10_000).contains(&price_minor(number))));
        assert_ne!(price_minor(1), price_minor(2));
    }
}
