//! Text with a bound and a shape. Each type refuses, with one sentence that names the mistake, what would only fail later: in a
//! VARCHAR, in a topic key, in a log.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {0} characters long")]
    TooLong(usize),
    #[error("must not contain control characters")]
    Control,
    #[error("must be a SKU: letters, digits, `-`, `_` and `.`, at most 64 of them")]
    Sku,
    #[error("must be an e-mail address such as mai@example.com")]
    Email,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, max $max:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub const MAX: usize = $max;

            pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
                let check: fn(String) -> Result<String, TextError> = $check;
                check(text.into()).map(Self)
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                Self::new(text)
            }
        }
        impl std::str::FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, Type};
                ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some($max)).build().into()
            }
        }
        impl utoipa::ToSchema for $name {}
        crate::avro_primitive!($name, apache_avro::Schema::String);
    };
}

text!(
    /// A stock keeping unit: letters, digits, `-`, `_`, `.`; at most 64. Safe in a path, a key and a file name.
    Sku, max 64, |text| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !text.is_empty() && text.len() <= 64 && text.chars().all(legal) && !text.starts_with('.') { Ok(text) } else { Err(TextError::Sku) }
    }
);

text!(
    /// An e-mail address in lower case, at most 254 characters (RFC 5321). The shape is checked, not whether somebody reads it.
    Email, max 254, |text| {
        let text = text.trim().to_lowercase();
        let legal = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace) && !part.chars().any(char::is_control);
        match text.rsplit_once('@') {
            Some((local, domain))
                if text.len() <= 254 && local.len() <= 64 && legal(local) && !local.contains('@') && legal(domain)
                    && domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.') => Ok(text),
            _ => Err(TextError::Email),
        }
    }
);

text!(
    /// One line that a person wrote: a name, a title, a reason. Trimmed, not empty, at most 200 characters, no control characters.
    ShortText, max 200, |text| {
        let text = text.trim();
        if text.is_empty() {
            Err(TextError::Empty)
        } else if text.chars().count() > 200 {
            Err(TextError::TooLong(200))
        } else if text.chars().any(char::is_control) {
            Err(TextError::Control)
        } else {
            Ok(text.to_owned())
        }
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus() {
        for good in ["LAMP-RED-L", "a", "x_1.2"] {
            assert!(Sku::new(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a/b", "ä", "..", ".hidden", "a b", &"x".repeat(65)] {
            assert!(Sku::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn emails() {
        assert_eq!(Email::new(" Mai@Example.com ").map(String::from), Ok("mai@example.com".to_owned()));
        for bad in ["", "mai", "mai@", "@example.com", "mai@example", "a b@example.com", "a@b@example.com", "mai@.com"] {
            assert!(Email::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines() {
        assert_eq!(ShortText::new("  Ngân  ").map(String::from), Ok("Ngân".to_owned()));
        assert_eq!(ShortText::new("\u{7}"), Err(TextError::Control));
        assert_eq!(ShortText::new("x".repeat(201)), Err(TextError::TooLong(200)));
    }
}
