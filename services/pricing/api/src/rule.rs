//! Conditions and effects of a price rule, as a typed tree: what cannot be said here cannot be evaluated.

use serde::{Deserialize, Serialize};
use types::{BasisPoints, Money};
use utoipa::ToSchema;

/// A condition. In JSON one key names what it is: `{"all": [{"eq": ["region", "EU"]}, {"gte": ["quantity", 10]}]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(no_recursion)]
pub enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Eq((Field, Literal)),
    In((Field, Vec<Literal>)),
    Gte((Field, Literal)),
    Lt((Field, Literal)),
}

impl Expression {
    /// How deep the tree is; a leaf is 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => 1 + parts.iter().map(Self::depth).max().unwrap_or(0),
            Self::Not(part) => 1 + part.depth(),
            Self::Eq(_) | Self::In(_) | Self::Gte(_) | Self::Lt(_) => 1,
        }
    }
}

/// What a condition may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    Segment,
    Region,
    Channel,
    Quantity,
    Currency,
    /// A moment, written in RFC 3339.
    Time,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Literal {
    Number(i64),
    Text(String),
}

/// What a rule does to a unit price: `{"percentOff": 1000}` (basis points), `{"amountOff": MONEY}`, `{"fixedPrice": MONEY}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    PercentOff(BasisPoints),
    AmountOff(Money),
    FixedPrice(Money),
}
