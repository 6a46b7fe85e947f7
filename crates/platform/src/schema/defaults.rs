//! A field's default, from the JSON in the schema to the datum that a reader sees when the writer did not know the field. Done
//! once, when the schema is read: a default that does not fit is the schema's mistake and is refused there.

use serde_json::Value;

use super::{
    datum::{MOST_DEPTH, write_bytes, write_long},
    tree::{Kind, NodeId, Tree},
};

/// How many values one default may hold, its nested defaults included. A record whose default holds itself would have no end.
const MOST_VALUES: u32 = 10_000;

/// The datum that `value` stands for.
pub(crate) fn encode(tree: &Tree, node: NodeId, value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut left = MOST_VALUES;
    put(tree, node, value, &mut out, &mut left, MOST_DEPTH).map(|()| out)
}

fn put(tree: &Tree, node: NodeId, value: &Value, out: &mut Vec<u8>, left: &mut u32, depth: u32) -> Result<(), String> {
    let endless = "the default is too large, or holds itself";
    *left = left.checked_sub(1).ok_or(endless)?;
    let depth = depth.checked_sub(1).ok_or(endless)?;
    let wrong = || format!("the default {value} is no {}", tree.kind(node).describe());
    match (tree.kind(node), value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Bool(flag)) => out.push(u8::from(*flag)),
        (Kind::Int, Value::Number(number)) => {
            let number = number.as_i64().and_then(|number| i32::try_from(number).ok()).ok_or_else(wrong)?;
            write_long(out, i64::from(number));
        }
        (Kind::Long, Value::Number(number)) => write_long(out, number.as_i64().ok_or_else(wrong)?),
        (Kind::Float, Value::Number(number)) => out.extend((number.as_f64().ok_or_else(wrong)? as f32).to_le_bytes()),
        (Kind::Double, Value::Number(number)) => out.extend(number.as_f64().ok_or_else(wrong)?.to_le_bytes()),
        (Kind::String, Value::String(text)) => write_bytes(out, text.as_bytes()),
        (Kind::Bytes, Value::String(text)) => write_bytes(out, &latin(text).ok_or_else(wrong)?),
        (Kind::Fixed { size, .. }, Value::String(text)) => {
            out.extend(latin(text).filter(|bytes| bytes.len() == *size).ok_or_else(wrong)?);
        }
        (Kind::Enum { symbols, .. }, Value::String(text)) => {
            let position = symbols.iter().position(|symbol| symbol == text).ok_or_else(wrong)?;
            write_long(out, i64::try_from(position).map_err(|_| wrong())?);
        }
        (Kind::Array(item), Value::Array(values)) => {
            write_count(out, values.len());
            for value in values {
                put(tree, *item, value, out, left, depth)?;
            }
            if !values.is_empty() {
                write_count(out, 0);
            }
        }
        (Kind::Map(item), Value::Object(values)) => {
            write_count(out, values.len());
            for (key, value) in values {
                write_bytes(out, key.as_bytes());
                put(tree, *item, value, out, left, depth)?;
            }
            if !values.is_empty() {
                write_count(out, 0);
            }
        }
        (Kind::Record { fields, .. }, Value::Object(values)) => {
            for field in fields {
                let value = values.get(&field.name).or(field.default_json.as_ref());
                let value = value.ok_or_else(|| format!("the default {values:?} lacks the field `{}`", field.name))?;
                put(tree, field.node, value, out, left, depth)?;
            }
        }
        (Kind::Union(branches), value) => {
            for (index, branch) in branches.iter().enumerate() {
                let start = out.len();
                write_count(out, index);
                match put(tree, *branch, value, out, left, depth) {
                    Ok(()) => return Ok(()),
                    Err(error) if *left == 0 || depth == 0 => return Err(error),
                    Err(_) => out.truncate(start),
                }
            }
            return Err(format!("the default {value} fits no branch of the union"));
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

fn write_count(out: &mut Vec<u8>, count: usize) {
    write_long(out, i64::try_from(count).unwrap_or(i64::MAX));
}

/// Avro writes bytes in JSON as one character (U+0000 to U+00FF) for each byte.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}
