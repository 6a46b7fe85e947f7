//! The texts of a customer that have a shape of their own. Each is kept in one spelling, so that equal things are equal texts. What is
//! refused is not repeated in the refusal: it may be personal.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use types::Region;

/// Why a text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("must be a phone number with its country, such as +12025550143: a plus and 8 to 15 digits")]
    Phone,
    #[error("must be a language tag such as vi-VN or zh-Hant-TW")]
    Locale,
    #[error("must be a segment such as VIP: capital letters, digits, `_` and `-`, a letter first, at most 32 of them")]
    Segment,
}

macro_rules! shaped {
    ($(#[$doc:meta])* $name:ident, $example:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn new(text: &str) -> Result<Self, ShapeError> {
                let check: fn(&str) -> Result<String, ShapeError> = $check;
                check(text.trim()).map(Self)
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = ShapeError;
            fn try_from(text: String) -> Result<Self, ShapeError> {
                Self::new(&text)
            }
        }
        impl FromStr for $name {
            type Err = ShapeError;
            fn from_str(text: &str) -> Result<Self, ShapeError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, Type};
                ObjectBuilder::new().schema_type(Type::String).examples([serde_json::json!($example)]).build().into()
            }
        }
        impl utoipa::ToSchema for $name {}
    };
}

shaped!(
    /// A phone number in E.164: `+` and 8 to 15 digits. Spaces, dots, dashes and parentheses are taken and dropped.
    Phone, "+12025550143", |text| {
        let number: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
        match number.strip_prefix('+') {
            Some(digits) if (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0') => {
                Ok(number)
            }
            _ => Err(ShapeError::Phone),
        }
    }
);

shaped!(
    /// A language tag (BCP 47: language, script, region, variants; no extensions), in its usual case: `zh-Hant-TW`.
    Locale, "en-US", |text| locale(text).ok_or(ShapeError::Locale)
);

shaped!(
    /// What a price rule asks for: `VIP`, `GENERAL`, `NEW`, or a word of the shop's own.
    Segment, "VIP", |text| {
        let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        let fits = text.len() <= 32 && text.bytes().all(legal) && text.starts_with(|c: char| c.is_ascii_uppercase());
        if fits { Ok(text.to_owned()) } else { Err(ShapeError::Segment) }
    }
);

types::words! {
    /// The segments that follow from a customer's orders; a customer has one of them.
    DerivedSegment {
        /// Many orders, or much spent.
        Vip = "VIP",
        General = "GENERAL",
        /// No order yet.
        New = "NEW",
    }
}

impl Locale {
    /// The language of a region's customers who do not say which.
    #[must_use]
    pub fn of(region: Region) -> Self {
        let tag = match region {
            Region::Us => "en-US",
            Region::Eu => "de-DE",
            Region::Apac => "ja-JP",
        };
        Self(tag.to_owned())
    }
}

impl From<DerivedSegment> for Segment {
    fn from(segment: DerivedSegment) -> Self {
        Self(segment.as_str().to_owned())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone")
    }
}

impl fmt::Debug for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[expect(clippy::disallowed_types, reason = "the trait's signature names HashSet; nothing here looks at its order")]
impl apache_avro::AvroSchemaComponent for Segment {
    fn get_schema_in_ctxt(
        _: &mut std::collections::HashSet<apache_avro::schema::Name>,
        _: apache_avro::schema::NamespaceRef<'_>,
    ) -> apache_avro::Schema {
        apache_avro::Schema::String
    }
}

/// The tag in its usual case, if it is one.
fn locale(text: &str) -> Option<String> {
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphabetic());
    let mut parts = text.split('-').peekable();
    let language = parts.next().filter(|part| (2..=3).contains(&part.len()) && letters(part))?;
    let mut tag = language.to_ascii_lowercase();
    if let Some(script) = parts.next_if(|part| part.len() == 4 && letters(part)) {
        let (head, tail) = script.split_at(1);
        tag.push_str(&format!("-{}{}", head.to_ascii_uppercase(), tail.to_ascii_lowercase()));
    }
    let is_region = |part: &str| (part.len() == 2 && letters(part)) || (part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()));
    if let Some(region) = parts.next_if(|part| is_region(part)) {
        tag.push_str(&format!("-{}", region.to_ascii_uppercase()));
    }
    for variant in parts {
        let long = (5..=8).contains(&variant.len()) || (variant.len() == 4 && variant.starts_with(|c: char| c.is_ascii_digit()));
        if !long || !variant.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        tag.push_str(&format!("-{}", variant.to_ascii_lowercase()));
    }
    (tag.len() <= 35).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_kept_in_one_spelling() {
        for same in ["+12025550143", " +1 (202) 555-0143 ", "+1.202.555.0143"] {
            assert_eq!(Phone::new(same).map(String::from).as_deref(), Ok("+12025550143"), "{same}");
        }
        for bad in ["", "+", "12025550143", "+0123456789", "+1234567", "+1234567890123456", "+12025550143x1", "+１２０２５５５０１４３"]
        {
            assert_eq!(Phone::new(bad), Err(ShapeError::Phone), "{bad}");
        }
    }

    #[test]
    fn language_tags_are_kept_in_their_usual_case() {
        for (text, tag) in [
            ("EN-us", "en-US"),
            ("vi", "vi"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sl-rozaj", "sl-rozaj"),
            ("de-CH-1996", "de-CH-1996"),
        ] {
            assert_eq!(Locale::new(text).map(String::from).as_deref(), Ok(tag));
        }
        for bad in
            ["", "e", "en_US", "en-", "english", "en-USA", "en-US-", "en--US", "12-US", "vi-VN-x", "de-DE-variant-variant-variant-variant"]
        {
            assert_eq!(Locale::new(bad), Err(ShapeError::Locale), "{bad}");
        }
    }

    #[test]
    fn the_language_of_every_region_is_a_tag() {
        for region in Region::ALL {
            let locale = Locale::of(region);
            assert_eq!(Locale::new(locale.as_str()), Ok(locale));
        }
    }

    #[test]
    fn segments_are_words_in_capitals() {
        for good in ["VIP", "B2B", "EARLY_BIRD", "A-1"] {
            assert!(Segment::new(good).is_ok(), "{good}");
        }
        for derived in DerivedSegment::ALL {
            assert_eq!(Segment::new(derived.as_str()), Ok(Segment::from(*derived)));
        }
        for bad in ["", "vip", "1ST", "VIP GOLD", "ÄRZTE", &"X".repeat(33)] {
            assert_eq!(Segment::new(bad), Err(ShapeError::Segment), "{bad}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_what_was_refused() {
        let told = serde_json::from_str::<Phone>("\"jane at home\"").unwrap_err().to_string();
        assert!(!told.contains("jane"), "{told}");
        assert_eq!(format!("{:?}", Phone::new("+12025550143")), "Ok(Phone)");
    }
}
