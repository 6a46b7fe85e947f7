//! The name of a category in addresses: `table-lamps`. One spelling each, safe in a path and in a query.

use serde::{Deserialize, Serialize};

/// Lower-case letters, digits and single hyphens between them; at most 64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a slug such as table-lamps: lower-case letters, digits and single hyphens between them, at most 64 of them")]
pub struct SlugError;

impl Slug {
    pub fn new(text: impl Into<String>) -> Result<Self, SlugError> {
        let text = text.into();
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if text.len() <= 64 && text.split('-').all(word) { Ok(Self(text)) } else { Err(SlugError) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = SlugError;
    fn try_from(text: String) -> Result<Self, SlugError> {
        Self::new(text)
    }
}

impl std::str::FromStr for Slug {
    type Err = SlugError;
    fn from_str(text: &str) -> Result<Self, SlugError> {
        Self::new(text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl std::fmt::Display for Slug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl utoipa::PartialSchema for Slug {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        let pattern = "^[a-z0-9]+(-[a-z0-9]+)*$";
        ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(64)).pattern(Some(pattern)).build().into()
    }
}

impl utoipa::ToSchema for Slug {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_has_one_spelling() {
        for good in ["lamps", "table-lamps", "a1-2b", &"x".repeat(64)] {
            assert!(Slug::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "Lamps", "a--b", "-a", "a-", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert_eq!(Slug::new(bad), Err(SlugError), "{bad}");
        }
    }
}
