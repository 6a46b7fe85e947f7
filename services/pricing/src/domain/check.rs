//! What may be written: a rule or campaign that could never hold, never be evaluated, or never be reached is refused at the door, with a
//! pointer to the part that is wrong. So whoever prices need not wonder what a stored condition means.

use pricing_api::{BookEntryRequest, Effect, Expression, Field, Literal, PromotionRequest, RuleRequest};
use types::{Currency, Region, Sku, Timestamp};

use super::condition;

pub const MAX_DEPTH: usize = 16;
pub const MAX_NODES: usize = 200;
/// How long a segment or channel may be.
pub const MAX_WORD: usize = 64;
/// How many SKUs one rule may name.
pub const MAX_SKUS: usize = 200;
/// SKUs that no path can reach, because the word stands for something else there.
pub const RESERVED_SKUS: [&str; 3] = ["rules", "books", "carts"];

/// Something that is wrong in a body, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// A JSON pointer from the body on: `/when/all/0/eq/1`.
    pub pointer: String,
    pub detail: String,
}

impl Wrong {
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Everything that is wrong with a rule.
#[must_use]
pub fn rule(request: &RuleRequest) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    if request.sku.is_some() && !request.skus.is_empty() {
        wrong.push(Wrong::new("/skus", "give `sku` or `skus`, not both"));
    }
    if request.skus.len() > MAX_SKUS {
        wrong.push(Wrong::new("/skus", format!("must be at most {MAX_SKUS}; make another rule for the others")));
    }
    if let Some(sku) = &request.sku {
        reserved(sku, "/sku", &mut wrong);
    }
    for (index, sku) in request.skus.iter().enumerate() {
        reserved(sku, &format!("/skus/{index}"), &mut wrong);
    }
    window(request.starts_at, request.ends_at, &mut wrong);
    effect(&request.effect, &mut wrong);
    if let Some(expression) = &request.when {
        expression_at("/when", expression, &mut wrong);
    }
    wrong
}

/// Everything that is wrong with a campaign.
#[must_use]
pub fn promotion(request: &PromotionRequest) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    if let Some(code) = &request.code
        && types::id::parse(code.as_str()).is_ok()
    {
        wrong.push(Wrong::new("/code", "must not look like an id: a campaign is found by either"));
    }
    window(Some(request.starts_at), Some(request.ends_at), &mut wrong);
    match request.effect {
        Effect::FixedPrice(_) => {
            wrong.push(Wrong::new("/effect/fixedPrice", "a promotion takes from a whole cart; a fixed price belongs in a price rule"));
        }
        Effect::PercentOff(_) | Effect::AmountOff(_) => effect(&request.effect, &mut wrong),
    }
    match request.usage_limit {
        Some(0) => wrong.push(Wrong::new("/usageLimit", "must be 1 or more; leave it out for no limit")),
        Some(_) if request.code.is_none() => {
            wrong.push(Wrong::new("/usageLimit", "needs a code: uses of an automatic promotion are not counted"));
        }
        _ => {}
    }
    if let Some(expression) = &request.when {
        expression_at("/when", expression, &mut wrong);
    }
    wrong
}

/// Everything that is wrong with an entry of the book that is kept in `currency`.
#[must_use]
pub fn entry(sku: &Sku, request: &BookEntryRequest, currency: Currency) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    reserved(sku, "", &mut wrong);
    if request.unit_price.amount < 0 {
        wrong.push(Wrong::new("/unitPrice/amount", "must be 0 or more"));
    }
    if request.unit_price.currency != currency {
        wrong.push(Wrong::new("/unitPrice/currency", format!("must be {currency}, the currency of this book")));
    }
    wrong
}

/// A word that a caller says of the context.
pub fn word(text: Option<&String>, pointer: &str, wrong: &mut Vec<Wrong>) {
    if text.is_some_and(|text| !is_word(text)) {
        wrong.push(Wrong::new(pointer, word_rule()));
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_WORD && !text.chars().any(char::is_control)
}

fn word_rule() -> String {
    format!("must be 1 to {MAX_WORD} characters, none of them a control character")
}

fn reserved(sku: &Sku, pointer: &str, wrong: &mut Vec<Wrong>) {
    if RESERVED_SKUS.contains(&sku.as_str()) {
        wrong.push(Wrong::new(pointer, format!("`{sku}` is a word of our paths and cannot be priced as a SKU")));
    }
}

fn window(starts_at: Option<Timestamp>, ends_at: Option<Timestamp>, wrong: &mut Vec<Wrong>) {
    if let (Some(start), Some(end)) = (starts_at, ends_at)
        && end <= start
    {
        wrong.push(Wrong::new("/endsAt", "must be later than `startsAt`"));
    }
}

fn effect(effect: &Effect, wrong: &mut Vec<Wrong>) {
    match effect {
        Effect::PercentOff(share) if !(1..=10_000).contains(&share.0) => {
            wrong.push(Wrong::new("/effect/percentOff", "must be from 1 to 10000 basis points (10000 is the whole)"));
        }
        Effect::AmountOff(money) if money.amount < 1 => wrong.push(Wrong::new("/effect/amountOff/amount", "must be 1 or more")),
        Effect::FixedPrice(money) if money.amount < 0 => wrong.push(Wrong::new("/effect/fixedPrice/amount", "must be 0 or more")),
        _ => {}
    }
}

/// What is wrong with an expression that stands at `pointer`.
pub fn expression_at(pointer: &str, expression: &Expression, wrong: &mut Vec<Wrong>) {
    if expression.depth() > MAX_DEPTH {
        wrong.push(Wrong::new(pointer, format!("is nested more than {MAX_DEPTH} deep")));
    } else if nodes(expression) > MAX_NODES {
        wrong.push(Wrong::new(pointer, format!("has more than {MAX_NODES} parts (each value of an `in` counts)")));
    } else {
        walk(pointer, expression, wrong);
    }
}

/// How many conditions there are in the tree; each value of an `in` is one.
fn nodes(expression: &Expression) -> usize {
    match expression {
        Expression::All(parts) | Expression::Any(parts) => 1 + parts.iter().map(nodes).sum::<usize>(),
        Expression::Not(part) => 1 + nodes(part),
        Expression::In((_, literals)) => 1 + literals.len(),
        Expression::Eq(_) | Expression::Gte(_) | Expression::Lt(_) => 1,
    }
}

fn walk(pointer: &str, expression: &Expression, wrong: &mut Vec<Wrong>) {
    let mut ordered = |word: &str, field: Field, value: &Literal| {
        if matches!(field, Field::Quantity | Field::Time) {
            literal(&format!("{pointer}/{word}/1"), field, value, wrong);
        } else {
            wrong.push(Wrong::new(
                format!("{pointer}/{word}/0"),
                "has no order; only `quantity` and `time` can be compared with gte and lt",
            ));
        }
    };
    match expression {
        Expression::All(parts) => {
            for (index, part) in parts.iter().enumerate() {
                walk(&format!("{pointer}/all/{index}"), part, wrong);
            }
        }
        Expression::Any(parts) => {
            for (index, part) in parts.iter().enumerate() {
                walk(&format!("{pointer}/any/{index}"), part, wrong);
            }
        }
        Expression::Not(part) => walk(&format!("{pointer}/not"), part, wrong),
        Expression::Eq((field, value)) => literal(&format!("{pointer}/eq/1"), *field, value, wrong),
        Expression::In((field, values)) => {
            for (index, value) in values.iter().enumerate() {
                literal(&format!("{pointer}/in/1/{index}"), *field, value, wrong);
            }
        }
        Expression::Gte((field, value)) => ordered("gte", *field, value),
        Expression::Lt((field, value)) => ordered("lt", *field, value),
    }
}

/// Whether a literal is of the kind of its field.
fn literal(pointer: &str, field: Field, value: &Literal, wrong: &mut Vec<Wrong>) {
    let mut told = |detail: String| wrong.push(Wrong::new(pointer, detail));
    match (field, value) {
        (Field::Quantity, Literal::Number(_)) => {}
        (Field::Quantity, Literal::Text(_)) => told("must be a whole number, as `quantity` is".to_owned()),
        (Field::Time, _) if condition::moment(value).is_some() => {}
        (Field::Time, _) => told("must be a time such as 2026-11-21T09:30:00Z".to_owned()),
        (_, Literal::Number(_)) => told("must be text, as this field is".to_owned()),
        (Field::Region, Literal::Text(text)) if Region::from_code(text).is_none() => told("is not one of US, EU, APAC".to_owned()),
        (Field::Currency, Literal::Text(text)) if Currency::from_code(text).is_none() => {
            told("is not one of USD, EUR, JPY, VND".to_owned());
        }
        (Field::Segment | Field::Channel, Literal::Text(text)) if !is_word(text) => told(word_rule()),
        _ => {}
    }
}
