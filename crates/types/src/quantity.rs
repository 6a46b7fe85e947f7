//! How many units of one SKU a line asks for: 1 to 10,000. Zero is no line, and more than that is a mistake or an attack.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quantity(u32);

impl Quantity {
    pub const MAX: u32 = 10_000;
    pub const ONE: Self = Self(1);

    pub const fn new(count: u32) -> Result<Self, QuantityError> {
        if count >= 1 && count <= Self::MAX { Ok(Self(count)) } else { Err(QuantityError) }
    }

    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to 10000")]
pub struct QuantityError;

impl TryFrom<i64> for Quantity {
    type Error = QuantityError;
    fn try_from(count: i64) -> Result<Self, QuantityError> {
        u32::try_from(count).map_err(|_| QuantityError).and_then(Self::new)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.as_i64()
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

crate::avro_primitive!(Quantity, apache_avro::Schema::Long);

impl utoipa::PartialSchema for Quantity {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(Self::MAX)).build().into()
    }
}
impl utoipa::ToSchema for Quantity {}
