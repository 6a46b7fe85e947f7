//! What things cost: one book for each currency with an entry for each SKU, rules for the SKUs that matter most, and campaigns. Prices
//! end as shops in that currency let them end; nothing is converted at run time.

use platform::Chance;
use pricing_api::{Effect, Expression, Field, Literal, PromotionRequest, RuleRequest};
use rand::RngExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use types::{BasisPoints, Currency, Money, Sku, Timestamp, id::Uuid};

use super::{range::Product, text};

/// One entry of a price book; book and SKU together are the natural key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPrice {
    pub book: &'static str,
    pub sku: Sku,
    pub unit_price: Money,
}

/// The book of a currency.
#[must_use]
pub const fn book(currency: Currency) -> &'static str {
    match currency {
        Currency::Usd => "standard-usd",
        Currency::Eur => "standard-eur",
        Currency::Jpy => "standard-jpy",
        Currency::Vnd => "standard-vnd",
    }
}

/// The campaigns' time: the years in which anybody will run this.
const CAMPAIGNS_START: Timestamp = Timestamp::from_seconds(1_735_689_600); // 2025-01-01
const CAMPAIGNS_END: Timestamp = Timestamp::from_seconds(2_051_222_400); // 2035-01-01

/// The entries of all variants of a product, in every book.
#[must_use]
pub fn entries(chance: &Chance, product: &Product) -> Vec<PlannedPrice> {
    let mut entries = Vec::new();
    for variant in &product.variants {
        // Up to a sixth dearer or cheaper than its siblings: a larger size, a rarer finish.
        let percent = chance.stream("seed", variant.sku.as_str(), "price").random_range(84..=116_i64);
        let cents = product.price_usd_minor * percent / 100;
        for currency in Currency::ALL {
            entries.push(PlannedPrice { book: book(currency), sku: variant.sku.clone(), unit_price: price(cents, currency) });
        }
    }
    entries
}

/// A list price for this many US cents: 19.99 dollars, 18.95 euros, 2,980 yen, 499,000 đồng.
#[must_use]
pub fn price(usd_minor: i64, currency: Currency) -> Money {
    // Units of the price's step (in minor units), and what is taken off the whole step.
    let (per_thousand_cents, step, off) = match currency {
        Currency::Usd => (1_000, 100, 1),
        Currency::Eur => (930, 100, 5),
        Currency::Jpy => (1_500, 100, 20),
        Currency::Vnd => (250_000, 10_000, 1_000),
    };
    let exact = usd_minor * per_thousand_cents / 1_000;
    let steps = ((exact + step / 2) / step).max(1);
    Money::new(steps * step - off, currency)
}

/// An id that a name has for ever, so that the same rule said again is the same rule.
fn id_of(name: &str) -> Uuid {
    let digest = Sha256::new_with_prefix("crashcart.seed.rule:").chain_update(name).finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    // Version 8 (RFC 9562: made by a scheme of one's own).
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

fn is(field: Field, value: &str) -> Expression {
    Expression::Eq((field, Literal::Text(value.to_owned())))
}

fn rule(name: &str, skus: &[Sku], priority: i32, exclusive: bool, when: Expression, effect: Effect) -> RuleRequest {
    RuleRequest {
        id: Some(id_of(name).into()),
        name: text::short(name),
        sku: None,
        skus: skus.to_vec(),
        priority,
        exclusive,
        when: Some(when),
        effect,
        starts_at: None,
        ends_at: None,
    }
}

/// Rules for the most popular SKUs, by region, channel, segment and quantity.
#[must_use]
pub fn rules(popularity: &[Sku]) -> Vec<RuleRequest> {
    let top = |from: usize, to: usize| &popularity[from.min(popularity.len())..to.min(popularity.len())];
    let percent = |points| Effect::PercentOff(BasisPoints(points));
    let off = |amount, currency| Effect::AmountOff(Money::new(amount, currency));
    let many = |count| Expression::Gte((Field::Quantity, Literal::Number(count)));
    let sets = [
        ("VIP price on what sells best", top(0, 40), 100, false, is(Field::Segment, "VIP"), percent(1_000)),
        ("Ten and more", top(0, 60), 80, false, many(10), percent(1_500)),
        ("Five and more in the EU", top(0, 30), 70, false, Expression::All(vec![is(Field::Region, "EU"), many(5)]), percent(800)),
        ("Mobile week", top(20, 50), 60, false, is(Field::Channel, "mobile"), percent(500)),
        ("Two dollars off in the US", top(5, 25), 50, false, is(Field::Currency, "USD"), off(200, Currency::Usd)),
        (
            "Two euros off online",
            top(5, 25),
            50,
            false,
            Expression::All(vec![is(Field::Currency, "EUR"), is(Field::Channel, "web")]),
            off(200, Currency::Eur),
        ),
        ("Three hundred yen off", top(10, 30), 50, false, is(Field::Currency, "JPY"), off(300, Currency::Jpy)),
        ("Fifty thousand đồng off", top(10, 30), 50, false, is(Field::Currency, "VND"), off(50_000, Currency::Vnd)),
        ("Call centre price", top(40, 80), 40, true, is(Field::Channel, "phone"), percent(300)),
        ("VIP in APAC", top(0, 20), 110, true, Expression::All(vec![is(Field::Segment, "VIP"), is(Field::Region, "APAC")]), percent(1_200)),
    ];
    sets.into_iter()
        // A rule without a SKU would hold for all of them, so a range that is too small for it does without.
        .filter(|(_, skus, ..)| !skus.is_empty())
        .map(|(name, skus, priority, exclusive, when, effect)| rule(name, skus, priority, exclusive, when, effect))
        .collect()
}

/// Campaigns that need no coupon, and then coupons with and without a limit. The code is the natural key, or the name where there is no code.
#[must_use]
pub fn promotions() -> Vec<PromotionRequest> {
    let region = |code| Some(is(Field::Region, code));
    let percent = |points| Effect::PercentOff(BasisPoints(points));
    let campaign = |code: Option<&str>, name: &str, when, effect, usage_limit| PromotionRequest {
        code: code.map(text::sku),
        name: text::short(name),
        when,
        effect,
        starts_at: CAMPAIGNS_START,
        ends_at: CAMPAIGNS_END,
        usage_limit,
    };
    vec![
        campaign(None, "EU summer", region("EU"), percent(200), None),
        campaign(None, "VIP thanks", Some(is(Field::Segment, "VIP")), percent(300), None),
        campaign(Some("WELCOME10"), "Welcome", None, percent(1_000), None),
        campaign(Some("SPRING5"), "Spring", None, percent(500), Some(50_000)),
        campaign(Some("FIRST100"), "The first hundred", None, percent(2_000), Some(100)),
        campaign(Some("VIP15"), "For our best customers", Some(is(Field::Segment, "VIP")), percent(1_500), None),
        campaign(Some("EUROPA7"), "Europe", region("EU"), percent(700), Some(5_000)),
        campaign(Some("APAC8"), "Asia and the Pacific", region("APAC"), percent(800), Some(5_000)),
        campaign(Some("ONLYONE"), "One single use", None, percent(5_000), Some(1)),
    ]
}
