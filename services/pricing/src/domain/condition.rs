//! Whether a condition holds in a context, which part of it does not, and when that may change.

use pricing_api::{Expression, Field, Literal};
use types::Timestamp;

use super::Context;

/// The part of a condition that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// A JSON pointer to it, from the condition on: `/all/1/gte`.
    pub pointer: String,
    pub reason: String,
}

#[must_use]
pub fn holds(expression: &Expression, context: &Context) -> bool {
    match expression {
        Expression::All(parts) => parts.iter().all(|part| holds(part, context)),
        Expression::Any(parts) => parts.iter().any(|part| holds(part, context)),
        Expression::Not(part) => !holds(part, context),
        Expression::Eq((field, literal)) => equals(*field, literal, context),
        Expression::In((field, literals)) => literals.iter().any(|literal| equals(*field, literal, context)),
        Expression::Gte((field, literal)) => compare(*field, literal, context).is_some_and(std::cmp::Ordering::is_ge),
        Expression::Lt((field, literal)) => compare(*field, literal, context).is_some_and(std::cmp::Ordering::is_lt),
    }
}

/// The first part that keeps the condition from holding; nothing when it holds.
#[must_use]
pub fn unmet(expression: &Expression, context: &Context) -> Option<Unmet> {
    if holds(expression, context) {
        return None;
    }
    let told = |word: &str, reason: String| Some(Unmet { pointer: format!("/{word}"), reason });
    match expression {
        Expression::All(parts) => parts.iter().enumerate().find_map(|(index, part)| {
            let inner = unmet(part, context)?;
            Some(Unmet { pointer: format!("/all/{index}{}", inner.pointer), reason: inner.reason })
        }),
        Expression::Any(parts) => told("any", format!("none of its {} parts holds", parts.len())),
        Expression::Not(_) => told("not", "what it excludes holds".to_owned()),
        Expression::Eq((field, literal)) => told("eq", format!("{}, not {}", actual(*field, context), shown(literal))),
        Expression::In((field, literals)) => {
            let all: Vec<String> = literals.iter().take(10).map(shown).collect();
            let more = if literals.len() > 10 { ", …" } else { "" };
            told("in", format!("{}, not one of {}{more}", actual(*field, context), all.join(", ")))
        }
        Expression::Gte((field, literal)) => told("gte", format!("{}, not {} or more", actual(*field, context), shown(literal))),
        Expression::Lt((field, literal)) => told("lt", format!("{}, not less than {}", actual(*field, context), shown(literal))),
    }
}

/// Adds the moments at which a condition may change its answer.
pub fn moments(expression: &Expression, into: &mut Vec<Timestamp>) {
    match expression {
        Expression::All(parts) | Expression::Any(parts) => parts.iter().for_each(|part| moments(part, into)),
        Expression::Not(part) => moments(part, into),
        Expression::Gte((Field::Time, literal)) | Expression::Lt((Field::Time, literal)) => into.extend(moment(literal)),
        Expression::Eq((Field::Time, literal)) => into.extend(instant(literal)),
        Expression::In((Field::Time, literals)) => literals.iter().for_each(|literal| into.extend(instant(literal))),
        Expression::Eq(_) | Expression::In(_) | Expression::Gte(_) | Expression::Lt(_) => {}
    }
}

/// The moment that a literal of `time` names.
#[must_use]
pub fn moment(literal: &Literal) -> Option<Timestamp> {
    match literal {
        Literal::Text(text) => text.parse().ok(),
        Literal::Number(_) => None,
    }
}

/// When "exactly then" begins to hold and when it ends.
fn instant(literal: &Literal) -> impl Iterator<Item = Timestamp> + use<> {
    let start = moment(literal);
    start.into_iter().chain(start.map(|start| start.plus(std::time::Duration::from_micros(1))))
}

fn equals(field: Field, literal: &Literal, context: &Context) -> bool {
    match (field, literal) {
        (Field::Segment, Literal::Text(text)) => context.segment.as_ref() == Some(text),
        (Field::Region, Literal::Text(text)) => context.region.is_some_and(|region| region.code() == text),
        (Field::Channel, Literal::Text(text)) => context.channel == *text,
        (Field::Currency, Literal::Text(text)) => context.currency.code() == text,
        (Field::Quantity | Field::Time, _) => compare(field, literal, context).is_some_and(std::cmp::Ordering::is_eq),
        (Field::Segment | Field::Region | Field::Channel | Field::Currency, Literal::Number(_)) => false,
    }
}

/// How the context's value stands to the literal; nothing for a field that has no order.
fn compare(field: Field, literal: &Literal, context: &Context) -> Option<std::cmp::Ordering> {
    match (field, literal) {
        (Field::Quantity, Literal::Number(number)) => Some(context.quantity.cmp(number)),
        (Field::Time, literal) => moment(literal).map(|moment| context.time.cmp(&moment)),
        _ => None,
    }
}

/// What the context says of a field, as the beginning of a sentence.
fn actual(field: Field, context: &Context) -> String {
    let told = |name: &str, value: Option<&str>| match value {
        Some(value) => format!("{name} is {value}"),
        None => format!("{name} is not known"),
    };
    match field {
        Field::Segment => told("segment", context.segment.as_deref()),
        Field::Region => told("region", context.region.map(types::Region::code)),
        Field::Channel => told("channel", Some(&context.channel)),
        Field::Quantity => format!("quantity is {}", context.quantity),
        Field::Currency => told("currency", Some(context.currency.code())),
        Field::Time => format!("time is {}", context.time),
    }
}

fn shown(literal: &Literal) -> String {
    match literal {
        Literal::Number(number) => number.to_string(),
        Literal::Text(text) => text.clone(),
    }
}
