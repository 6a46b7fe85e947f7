//! What others may know of pricing: requests, views, events, and a typed client.
//!
//! Reading order: [`rule`] (conditions and effects), this file (quotes), [`events`], [`client`].

pub mod client;
pub mod events;
pub mod rule;

pub use client::Pricing;
pub use rule::{Effect, Expression, Field, Literal};
use serde::{Deserialize, Serialize};
use types::{
    BasisPoints, CartId, Currency, Money, Quantity, Region, ShortText, Sku, Timestamp,
    id::{PlainId, Uuid},
};
use utoipa::{IntoParams, ToSchema};

/// For whom, where and how many a price is asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QuoteQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_segment: Option<String>,
    /// USD when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// `web` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// 1 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
}

/// The price of one SKU for one context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    pub sku: Sku,
    pub unit_price: Money,
    pub list_price: Money,
    pub applied_rules: Vec<AppliedRule>,
    pub quoted_at: Timestamp,
    pub valid_until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedRule {
    pub rule_id: Uuid,
    pub name: String,
    pub effect: Effect,
}

/// A price rule, as it is written.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleRequest {
    /// Given, the rule of this id is replaced (or made).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PlainId>,
    pub name: ShortText,
    /// One SKU, or several in `skus`; with neither the rule holds for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skus: Vec<Sku>,
    /// The highest comes first.
    pub priority: i32,
    /// Nothing behind this rule applies once it has.
    #[serde(default)]
    pub exclusive: bool,
    /// Left out, it always holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expression>,
    pub effect: Effect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    pub id: Uuid,
    pub name: String,
    pub skus: Vec<Sku>,
    pub priority: i32,
    pub exclusive: bool,
    pub when: Option<Expression>,
    pub effect: Effect,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub version: i64,
}

/// Contexts in which the price of one SKU is tried out, and rules that are not in force but tried with those that are.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SimulateRequest {
    /// 1 to 50.
    pub contexts: Vec<SimulateContext>,
    /// At most 50. One with the id of a rule in force stands in its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draft_rules: Vec<RuleRequest>,
}

/// As a quote's query, and a moment: now when left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SimulateContext {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_segment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What came out, a quote for each context in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    pub sku: Sku,
    pub quotes: Vec<SimulatedQuote>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedQuote {
    pub context: SimulateContext,
    #[serde(flatten)]
    pub quote: Quote,
    /// Every rule that was looked at, in the order in which they were.
    pub rules: Vec<RuleVerdict>,
}

/// What became of one rule in one context, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleVerdict {
    pub rule_id: Uuid,
    pub name: String,
    pub priority: i32,
    pub exclusive: bool,
    pub effect: Effect,
    /// Whether it is one of the request's `draftRules`.
    pub draft: bool,
    pub applied: bool,
    /// One sentence for people.
    pub reason: String,
    /// The part of the condition that did not hold: `#/when/all/1/gte`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The unit price after an applied rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price_after: Option<Money>,
}

/// A campaign: automatic without a code, a coupon with one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromotionRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Sku>,
    pub name: ShortText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expression>,
    pub effect: Effect,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_limit: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    pub id: Uuid,
    pub code: Option<Sku>,
    pub name: String,
    pub when: Option<Expression>,
    pub effect: Effect,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub usage_limit: Option<u32>,
    pub used: u32,
}

/// A whole cart to be priced at once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceCart {
    pub currency: Currency,
    pub region: Region,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_segment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// A coupon; unknown, expired or used up it is refused with 422 at `#/coupon`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<Sku>,
    pub lines: Vec<CartLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CartLine {
    pub sku: Sku,
    pub quantity: Quantity,
}

/// A priced cart: total = subtotal − discounts + tax + shipping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PricedCart {
    pub lines: Vec<PricedLine>,
    pub subtotal: Money,
    pub discounts: Money,
    pub tax: Money,
    pub shipping: Money,
    pub total: Money,
    pub quoted_at: Timestamp,
    pub valid_until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PricedLine {
    pub sku: Sku,
    pub quantity: Quantity,
    pub list_price: Money,
    pub unit_price: Money,
    /// The cart's discounts that fall on this line (allocated by largest remainder).
    pub discount: Money,
    pub tax: Money,
    pub applied_rules: Vec<AppliedRule>,
}

/// A coupon is used up by a cart that checks out, once however often it is said.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redeem {
    pub cart_id: CartId,
}

/// One price of a book.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BookEntryRequest {
    pub unit_price: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookEntry {
    /// The name of the book: one for each currency, `standard-usd`.
    pub book: String,
    pub sku: Sku,
    pub unit_price: Money,
    pub version: i64,
}

/// For which cart a cart is priced: what that cart has used of its coupon is not held against it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PriceCartQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cart_id: Option<CartId>,
}

/// What one unit of `base` is in the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    pub base: Currency,
    pub rates: Vec<Rate>,
    pub as_of: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    pub currency: Currency,
    /// Millionths of the other currency's major unit for one major unit of the base.
    pub rate_micros: i64,
}

/// A share of a price, for people's eyes.
#[must_use]
pub fn percent(share: BasisPoints) -> String {
    format!("{}.{:02} %", share.0 / 100, share.0 % 100)
}
