//! States and what may follow them: the tables of `states.toml`, read once. The services ask here before they change a state, and the
//! lab asks the same tables whether what it sees was allowed.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

/// The states of one kind of thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The state in which one is made.
    pub first: String,
    /// From each state, the states that may follow.
    pub steps: BTreeMap<String, Vec<String>>,
}

static TABLES: LazyLock<BTreeMap<String, Table>> = LazyLock::new(|| toml::from_str(include_str!("../states.toml")).unwrap_or_default());

impl Table {
    /// The table of `order`, `payment`, `reservation` or `cart`.
    #[must_use]
    pub fn of(thing: &str) -> Option<&'static Self> {
        TABLES.get(thing)
    }

    #[must_use]
    pub fn allows(&self, from: &str, to: &str) -> bool {
        self.steps.get(from).is_some_and(|steps| steps.iter().any(|step| step == to))
    }

    /// Whether nothing may follow this state.
    #[must_use]
    pub fn is_end(&self, state: &str) -> bool {
        self.steps.get(state).is_some_and(Vec::is_empty)
    }
}

/// Whether a thing in state `from` may go to `to`.
#[must_use]
pub fn allows(thing: &str, from: impl AsRef<str>, to: impl AsRef<str>) -> bool {
    Table::of(thing).is_some_and(|table| table.allows(from.as_ref(), to.as_ref()))
}

/// The OpenAPI schema of a type that is one of a few words.
#[must_use]
pub fn schema(words: &'static [&'static str]) -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build().into()
}

/// Declares an enum whose variants are words on the wire, in SQL and in events: `PENDING`, `FULFILLED_READY`.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, $crate::id::Serialize, $crate::id::Deserialize)]
        // Serde sees text in both directions, because Avro's serializer takes no enum for a string.
        #[serde(into = "&'static str", try_from = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }
        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
        impl From<$name> for &'static str {
            fn from(word: $name) -> Self {
                word.as_str()
            }
        }
        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(word: String) -> Result<Self, String> {
                word.parse()
            }
        }
        impl $crate::id::utoipa::PartialSchema for $name {
            fn schema() -> $crate::id::utoipa::openapi::RefOr<$crate::id::utoipa::openapi::schema::Schema> {
                $crate::states::schema(&[$($word),+])
            }
        }
        impl $crate::id::utoipa::ToSchema for $name {}
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    other => Err(format!("`{other}` is none of {}", [$($word),+].join(", "))),
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_leads_to_a_known_state_and_every_state_can_be_reached() {
        for (thing, table) in &*TABLES {
            assert!(table.steps.contains_key(&table.first), "{thing}");
            let mut reached = vec![table.first.clone()];
            let mut next = 0;
            while next < reached.len() {
                for step in &table.steps[&reached[next]] {
                    assert!(table.steps.contains_key(step), "{thing}: {step} is unknown");
                    if !reached.contains(step) {
                        reached.push(step.clone());
                    }
                }
                next += 1;
            }
            assert_eq!(reached.len(), table.steps.len(), "{thing}: a state that nothing leads to");
        }
        assert_eq!(TABLES.len(), 4);
    }

    words!(Light { Red = "RED", GoSlow = "GO_SLOW" });

    #[test]
    fn a_word_is_text_in_json_and_in_the_contract() {
        use utoipa::PartialSchema;
        let json = serde_json::json!(["RED", "GO_SLOW"]);
        assert_eq!(serde_json::to_value(Light::ALL).ok(), Some(json.clone()));
        assert_eq!(serde_json::from_value::<Vec<Light>>(json.clone()).ok().as_deref(), Some(Light::ALL));
        assert!(serde_json::from_str::<Light>("\"GREEN\"").is_err_and(|error| error.to_string().contains("RED, GO_SLOW")));
        assert_eq!(serde_json::to_value(Light::schema()).ok().map(|schema| schema["enum"].clone()), Some(json));
    }

    #[test]
    fn nothing_follows_an_end() {
        assert!(!allows("order", "CANCELLED", "PENDING"));
        assert!(!allows("order", "SHIPPED", "CANCELLED"));
        assert!(allows("order", "FULFILLED_READY", "CANCELLED"));
    }
}
