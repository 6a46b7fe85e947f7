//! An Avro schema as this module needs it: parsed and checked once, names resolved to positions, defaults already encoded, and one
//! canonical text. The library's own schema type keeps references as names and defaults as JSON; resolution and the checks before
//! decoding would look both up again for every record.
//!
//! The canonical text is the schema's identity. Avro's own "parsing canonical form" drops defaults, aliases and documentation, and
//! two schemas that differ in a default are two schemas to a reader. Here everything stays; only the spelling is made one: the
//! order of keys, white space, `{"type": "string"}`, and names, which are always written in full.

mod parser;

use serde_json::Value;

use super::defaults;

/// A position in [`Tree::nodes`].
pub(crate) type NodeId = usize;

/// A parsed schema. Node ids come from this tree only, so indexing with them cannot fail.
#[derive(Debug)]
pub(crate) struct Tree {
    pub nodes: Vec<Node>,
    pub root: NodeId,
    /// The canonical text.
    pub text: String,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub kind: Kind,
    pub logical: Option<Logical>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Logical {
    pub name: String,
    /// Of a decimal only.
    pub precision: u64,
    /// Of a decimal only.
    pub scale: u64,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { names: Names, size: usize },
    Enum { names: Names, symbols: Vec<String>, default: Option<usize> },
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record { names: Names, fields: Vec<Field> },
}

/// A named type's full name and the other full names under which it may have been written.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub full: String,
    pub aliases: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub node: NodeId,
    pub default_json: Option<Value>,
    /// The default as a datum of the field's schema.
    pub default: Option<Vec<u8>>,
}

/// The text is not an Avro schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema is wrong at `{path}`: {mistake}")]
pub struct SchemaMistake {
    /// Where: names of types and fields, from the outside in.
    pub path: String,
    pub mistake: String,
}

impl Tree {
    /// Reads a schema from JSON text.
    pub fn parse(text: &str) -> Result<Self, SchemaMistake> {
        let value: Value = serde_json::from_str(text).map_err(|error| mistake("/", format!("this is not JSON: {error}")))?;
        let mut tree = parser::parse(&value)?;
        tree.encode_defaults()?;
        Ok(tree)
    }

    pub fn kind(&self, id: NodeId) -> &Kind {
        &self.nodes[id].kind
    }

    pub fn logical(&self, id: NodeId) -> Option<&Logical> {
        self.nodes[id].logical.as_ref()
    }

    fn encode_defaults(&mut self) -> Result<(), SchemaMistake> {
        for id in 0..self.nodes.len() {
            let Kind::Record { names, fields } = self.kind(id) else { continue };
            let mut encoded = Vec::with_capacity(fields.len());
            for field in fields {
                let default = field.default_json.as_ref().map(|value| defaults::encode(self, field.node, value)).transpose();
                encoded.push(default.map_err(|error| mistake(&format!("/{}/{}", names.full, field.name), error))?);
            }
            if let Kind::Record { fields, .. } = &mut self.nodes[id].kind {
                for (field, default) in fields.iter_mut().zip(encoded) {
                    field.default = default;
                }
            }
        }
        Ok(())
    }
}

impl Kind {
    /// What people call it.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Int => "int".to_owned(),
            Self::Long => "long".to_owned(),
            Self::Float => "float".to_owned(),
            Self::Double => "double".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::String => "string".to_owned(),
            Self::Fixed { names, size } => format!("fixed `{}` of {size} bytes", names.full),
            Self::Enum { names, .. } => format!("enum `{}`", names.full),
            Self::Array(_) => "array".to_owned(),
            Self::Map(_) => "map".to_owned(),
            Self::Union(_) => "union".to_owned(),
            Self::Record { names, .. } => format!("record `{}`", names.full),
        }
    }

    fn primitive(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }
}

fn mistake(path: &str, mistake: impl Into<String>) -> SchemaMistake {
    SchemaMistake { path: if path.is_empty() { "/".to_owned() } else { path.to_owned() }, mistake: mistake.into() }
}

#[cfg(test)]
mod tests;
