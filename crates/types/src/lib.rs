//! The words that every service shares: ids, money, SKUs, quantities, time. No I/O, no async, nothing that could fail later:
//! a value of one of these types has been checked, so nobody checks it again.
//!
//! Reading order: [`money`], [`id`], [`time`], [`text`] (bounded text: SKU, e-mail, key), [`quantity`], [`place`].

pub mod id;
pub mod money;
pub mod place;
pub mod quantity;
pub mod states;
pub mod text;
pub mod time;

pub use id::{CartId, CategoryId, CreditId, CustomerId, EventId, MediaId, OrderId, PaymentId, ProductId, ReservationId};
pub use money::{BasisPoints, Currency, Money, MoneyError};
pub use place::{Address, Region};
pub use quantity::Quantity;
pub use text::{Email, ShortText, Sku, TextError};
pub use time::Timestamp;

/// An Avro primitive for a newtype: its schema is the primitive's, so that the wire shows what a reader expects.
macro_rules! avro_primitive {
    ($type:ty, $schema:expr) => {
        #[expect(clippy::disallowed_types, reason = "the trait's signature names HashSet; nothing here looks at its order")]
        impl apache_avro::AvroSchemaComponent for $type {
            fn get_schema_in_ctxt(
                _: &mut std::collections::HashSet<apache_avro::schema::Name>,
                _: apache_avro::schema::NamespaceRef<'_>,
            ) -> apache_avro::Schema {
                $schema
            }
        }
    };
}
pub(crate) use avro_primitive;
