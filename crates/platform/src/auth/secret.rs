//! A secret on its way from the settings to where it is used. Settings are printed, logged and compared; this type makes sure that
//! the value is in none of that: whoever wants it must ask for it by a name that stands out in review.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What stands in the secret's place wherever it is shown.
const SHOWN: &str = "[secret]";

#[derive(Clone)]
pub struct Secret(Arc<str>);

/// The text is empty, or what a secret shows in place of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret must not be empty, nor `{SHOWN}`, which is what printed settings show in its place")]
pub struct EmptySecret;

impl Secret {
    /// # Errors
    /// [`EmptySecret`] for a text that keeps nothing secret.
    pub fn new(text: impl AsRef<str>) -> Result<Self, EmptySecret> {
        let text = text.as_ref();
        if text.is_empty() || text == SHOWN { Err(EmptySecret) } else { Ok(Self(text.into())) }
    }

    /// Whether this is it. What is compared are digests, so that the time it takes tells nothing of the value.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        use sha2::{Digest, Sha256};
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(given.as_bytes())
    }

    /// The value itself, for the one place that signs or sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SHOWN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Settings {
        key: Secret,
    }

    #[test]
    fn a_secret_is_read_but_never_shown() {
        let settings: Settings = serde_json::from_str(r#"{"key": "hunter2"}"#).unwrap();
        assert_eq!(settings.key.expose(), "hunter2");
        let shown = [
            format!("{settings:?} {settings:#?}"),
            settings.key.to_string(),
            serde_json::to_string(&settings).unwrap(),
            toml::to_string(&settings).unwrap(),
        ];
        assert!(shown.iter().all(|text| text.contains(SHOWN) && !text.contains("hunter2")), "{shown:?}");
    }

    #[test]
    fn settings_that_were_printed_cannot_be_read_back_as_a_secret_nor_can_an_empty_one() {
        for text in [r#"{"key": "[secret]"}"#, r#"{"key": ""}"#] {
            let refused = serde_json::from_str::<Settings>(text).unwrap_err();
            assert!(refused.to_string().contains("must not be empty"), "{refused}");
        }
    }
}
