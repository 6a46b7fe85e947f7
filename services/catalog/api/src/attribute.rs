//! What a product or a variant is described by: names with values, free in meaning and bounded in size.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

/// In the order of their names.
pub type Attributes = BTreeMap<AttributeName, AttributeValue>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    #[error("an attribute's name must have 1 to 64 characters, none of them a control character")]
    Name,
    #[error("an attribute's text must have at most 1000 characters")]
    Text,
    #[error("an attribute's list must have at most 50 texts")]
    List,
}

const NAME_MAX: usize = 64;
const TEXT_MAX: usize = 1_000;
const LIST_MAX: usize = 50;

/// 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributeName(String);

impl AttributeName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AttributeName {
    type Error = AttributeError;
    fn try_from(text: String) -> Result<Self, AttributeError> {
        let legal = !text.is_empty() && text.chars().count() <= NAME_MAX && !text.chars().any(char::is_control);
        if legal { Ok(Self(text)) } else { Err(AttributeError::Name) }
    }
}

impl From<AttributeName> for String {
    fn from(name: AttributeName) -> Self {
        name.0
    }
}

/// A text of at most 1,000 characters, a number, a yes or no, or a list of at most 50 texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, try_from = "Unbounded")]
pub enum AttributeValue {
    Flag(bool),
    #[schema(value_type = f64)]
    Number(Number),
    Text(String),
    List(Vec<String>),
}

/// A value as it is read, before its bounds are checked.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a text, a number, true, false, or a list of texts")]
enum Unbounded {
    Flag(bool),
    Number(Number),
    Text(String),
    List(Vec<String>),
}

impl TryFrom<Unbounded> for AttributeValue {
    type Error = AttributeError;
    fn try_from(value: Unbounded) -> Result<Self, AttributeError> {
        let fits = |text: &String| text.chars().count() <= TEXT_MAX;
        match value {
            Unbounded::Flag(flag) => Ok(Self::Flag(flag)),
            Unbounded::Number(number) => Ok(Self::Number(number)),
            Unbounded::Text(text) if fits(&text) => Ok(Self::Text(text)),
            Unbounded::List(texts) if texts.len() > LIST_MAX => Err(AttributeError::List),
            Unbounded::List(texts) if texts.iter().all(fits) => Ok(Self::List(texts)),
            Unbounded::Text(_) | Unbounded::List(_) => Err(AttributeError::Text),
        }
    }
}

impl AttributeValue {
    /// The value for people's eyes and for the search.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(texts) => texts.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        for value in [json!("oak"), json!(12), json!(1.5), json!(true), json!(["red", "blue"])] {
            let read: AttributeValue = serde_json::from_value(value.clone()).expect("a value");
            assert_eq!(serde_json::to_value(read).expect("JSON"), value);
        }
    }

    #[test]
    fn what_is_too_much_or_no_value_is_refused_with_the_reason() {
        let refused = |value| serde_json::from_value::<AttributeValue>(value).expect_err("it was taken").to_string();
        assert!(refused(json!("x".repeat(1_001))).contains("1000 characters"));
        assert!(refused(json!(vec!["x"; 51])).contains("50 texts"));
        for other in [json!(null), json!({}), json!([1])] {
            assert!(refused(other).contains("must be a text, a number"));
        }
        assert!(serde_json::from_value::<Attributes>(json!({"": 1})).is_err());
        assert!(serde_json::from_value::<Attributes>(json!({"x".repeat(65): 1})).is_err());
    }
}
