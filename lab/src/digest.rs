//! One number for everything that a run left behind: SHA-256 over the canonical text of every fact of every collection. Two runs of one seed
//! have the same, in any process; a run that differs in one fact has another.

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::target::{Target, TargetError};

/// The digest of a system as its audit exports show it, in 64 hexadecimal digits.
pub async fn of_target(target: &dyn Target) -> Result<String, TargetError> {
    let mut names = target.collections().await?;
    names.sort_unstable();
    let mut digest = Sha256::new();
    let mut text = String::new();
    for name in names {
        digest.update(format!("{name}\n"));
        for fact in target.facts(&name).await? {
            text.clear();
            write(&mut text, &fact);
            text.push('\n');
            digest.update(&text);
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// JSON with sorted keys and no spaces. `serde_json` alone keeps the order of insertion when any crate of the build asks it to.
fn write(out: &mut String, value: &Json) {
    match value {
        Json::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Json::String(key.clone()).to_string());
                out.push(':');
                write(out, &fields[key]);
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_does_not_depend_on_the_order_of_fields() {
        let canonical = |text: &str| {
            let mut out = String::new();
            write(&mut out, &serde_json::from_str(text).unwrap());
            out
        };
        let text = r#"{"b": [1, {"z": "ä\"", "a": null}], "a": true}"#;
        assert_eq!(canonical(text), r#"{"a":true,"b":[1,{"a":null,"z":"ä\""}]}"#);
        assert_eq!(canonical(text), canonical(r#"{"a": true, "b": [1, {"a": null, "z": "ä\""}]}"#));
    }
}
