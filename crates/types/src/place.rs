//! Where somebody is: a region of the shop, and a postal address.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Currency, ShortText};

/// The shop's regions; each has its own currency, tax, shipping and nearest warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE", into = "&'static str", try_from = "String")]
pub enum Region {
    Us,
    Eu,
    Apac,
}

impl Region {
    pub const ALL: [Self; 3] = [Self::Us, Self::Eu, Self::Apac];

    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Us => "US",
            Self::Eu => "EU",
            Self::Apac => "APAC",
        }
    }

    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|region| region.code() == code)
    }

    /// What a cart of this region is priced in unless it says otherwise.
    #[must_use]
    pub const fn currency(self) -> Currency {
        match self {
            Self::Us => Currency::Usd,
            Self::Eu => Currency::Eur,
            Self::Apac => Currency::Jpy,
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

// Serde sees text in both directions, because Avro's serializer takes no enum for a string.
impl From<Region> for &'static str {
    fn from(region: Region) -> Self {
        region.code()
    }
}

impl TryFrom<String> for Region {
    type Error = &'static str;
    fn try_from(code: String) -> Result<Self, Self::Error> {
        Self::from_code(&code).ok_or("the region is not one of US, EU, APAC")
    }
}

crate::avro_primitive!(Region, apache_avro::Schema::String);

/// A postal address. It is personal: it stays in the service that was told it, and out of events and logs (`Debug` hides it).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    pub line1: ShortText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<ShortText>,
    pub city: ShortText,
    pub postal_code: ShortText,
    /// ISO 3166-1 alpha-2.
    #[schema(min_length = 2, max_length = 2, pattern = "^[A-Z]{2}$")]
    pub country: Country,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.country.0)
    }
}

/// Two capital letters (ISO 3166-1 alpha-2; the shape is checked, not the list).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 2, max_length = 2)]
pub struct Country(String);

impl Country {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Country {
    type Error = &'static str;
    fn try_from(code: String) -> Result<Self, Self::Error> {
        if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(Self(code))
        } else {
            Err("must be two capital letters, such as VN")
        }
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.0
    }
}
