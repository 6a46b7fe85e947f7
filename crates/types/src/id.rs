//! Ids carry their kind: an `OrderId` cannot be handed where a `CartId` is asked for. On the wire an id is a UUIDv7 in text.
//! Ids are made by the platform (`platform::Ids`), never here: chance and time do not live in this crate.

use std::str::FromStr;

pub use serde::{Deserialize, Deserializer, Serialize, Serializer};
pub use uuid::Uuid;

/// Declares an id type over a UUID.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $crate::id::Uuid);

        impl $name {
            #[must_use]
            pub const fn uuid(self) -> $crate::id::Uuid {
                self.0
            }
        }
        impl From<$crate::id::Uuid> for $name {
            fn from(id: $crate::id::Uuid) -> Self {
                Self(id)
            }
        }
        impl From<$name> for $crate::id::Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::id::IdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::id::parse(text).map(Self)
            }
        }
        impl $crate::id::Serialize for $name {
            fn serialize<S: $crate::id::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::id::write_text(self.0, serializer)
            }
        }
        impl<'de> $crate::id::Deserialize<'de> for $name {
            fn deserialize<D: $crate::id::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::id::read_text(deserializer).map(Self)
            }
        }
        impl $crate::id::utoipa::PartialSchema for $name {
            fn schema() -> $crate::id::utoipa::openapi::RefOr<$crate::id::utoipa::openapi::schema::Schema> {
                $crate::id::schema()
            }
        }
        impl $crate::id::utoipa::ToSchema for $name {}
        #[expect(clippy::disallowed_types, reason = "the trait's signature names HashSet; nothing here looks at its order")]
        impl $crate::id::apache_avro::AvroSchemaComponent for $name {
            fn get_schema_in_ctxt(
                _: &mut std::collections::HashSet<$crate::id::apache_avro::schema::Name>,
                _: $crate::id::apache_avro::schema::NamespaceRef<'_>,
            ) -> $crate::id::apache_avro::Schema {
                $crate::id::apache_avro::Schema::String
            }
        }
    };
}
#[doc(hidden)]
pub use {apache_avro, utoipa};

/// The text is not a UUID.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a UUID in lower case such as 0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22")]
pub struct IdError(String);

/// Reads a hyphenated UUID in lower case; no other spelling, so that one id has one text, wherever texts are compared: paths, keys, tokens.
pub fn parse(text: &str) -> Result<Uuid, IdError> {
    match Uuid::from_str(text) {
        Ok(id) if text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase()) => Ok(id),
        _ => Err(IdError(text.chars().take(64).collect())),
    }
}

/// Writes the one text, also where a format is binary: Avro's schema of an id is a string, and a UUID alone would write 16 bytes.
#[doc(hidden)]
pub fn write_text<S: Serializer>(id: Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

#[doc(hidden)]
pub fn read_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    struct Text;
    impl serde::de::Visitor<'_> for Text {
        type Value = Uuid;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a UUID in text")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Uuid, E> {
            parse(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text)
}

/// The OpenAPI schema that all ids share.
#[must_use]
pub fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
    use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))).build().into()
}

id!(CustomerId);
id!(ProductId);
id!(CategoryId);
id!(MediaId);
id!(CartId);
id!(OrderId);
id!(PaymentId);
id!(CreditId);
id!(ReservationId);
id!(
    /// The id of what has no type of its own for it.
    PlainId
);
id!(
    /// One event, from its outbox row to every inbox.
    EventId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        let text = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
        assert_eq!(text.parse::<OrderId>().map(|id| id.to_string()), Ok(text.to_owned()));
        let id: OrderId = serde_json::from_value(text.into()).expect("JSON text is an id");
        assert_eq!(serde_json::to_value(id).ok(), Some(text.into()));
        for wrong in [
            "",
            "x",
            "0195f3a27c117d3e8a113f2f0c9b1e22",
            "{0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22}",
            "urn:uuid:0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22",
            "0195F3A2-7C11-7D3E-8A11-3F2F0C9B1E22",
            "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1E22",
        ] {
            assert!(wrong.parse::<OrderId>().is_err(), "{wrong} was taken");
            assert!(serde_json::from_value::<OrderId>(wrong.into()).is_err(), "{wrong} was read");
        }
    }
}
