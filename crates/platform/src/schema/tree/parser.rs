//! From JSON to a [`Tree`]: the rules of the specification for names, unions, enums and fields, each broken one named with its place;
//! and the canonical text, written in the same walk.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Field, Kind, Logical, Names, Node, NodeId, SchemaMistake, Tree, mistake};

/// The schema, whose defaults are not encoded yet.
pub(super) fn parse(value: &Value) -> Result<Tree, SchemaMistake> {
    let mut parser = Parser { nodes: Vec::new(), names: BTreeMap::new(), text: String::new() };
    let root = parser.schema(value, "", "")?;
    Ok(Tree { nodes: parser.nodes, root, text: parser.text })
}

/// Builds the nodes and writes the canonical text in the same walk.
struct Parser {
    nodes: Vec<Node>,
    names: BTreeMap<String, NodeId>,
    text: String,
}

impl Parser {
    fn add(&mut self, kind: Kind, logical: Option<Logical>) -> NodeId {
        self.nodes.push(Node { kind, logical });
        self.nodes.len() - 1
    }

    fn schema(&mut self, value: &Value, namespace: &str, path: &str) -> Result<NodeId, SchemaMistake> {
        match value {
            Value::String(name) => self.named(name, namespace, path),
            Value::Array(branches) => self.union(branches, namespace, path),
            Value::Object(object) => self.object(object, namespace, path),
            _ => Err(mistake(path, "a schema is a name, an object or an array of schemas (a union)")),
        }
    }

    /// A primitive, or a type that was defined before.
    fn named(&mut self, name: &str, namespace: &str, path: &str) -> Result<NodeId, SchemaMistake> {
        if let Some(kind) = Kind::primitive(name) {
            write_string(&mut self.text, name);
            return Ok(self.add(kind, None));
        }
        let full = qualify(name, namespace);
        let id =
            *self.names.get(&full).ok_or_else(|| mistake(path, format!("there is no type `{full}`: define it before its first use")))?;
        write_string(&mut self.text, &full);
        Ok(id)
    }

    fn union(&mut self, branches: &[Value], namespace: &str, path: &str) -> Result<NodeId, SchemaMistake> {
        if branches.is_empty() {
            return Err(mistake(path, "a union needs at least one branch"));
        }
        self.text.push('[');
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen: Vec<String> = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            let id = self.schema(branch, namespace, path)?;
            let key = match &self.nodes[id].kind {
                Kind::Union(_) => return Err(mistake(path, "a union must not stand directly in a union")),
                Kind::Fixed { names, .. } | Kind::Enum { names, .. } | Kind::Record { names, .. } => names.full.clone(),
                other => other.describe(),
            };
            if seen.contains(&key) {
                return Err(mistake(path, format!("the union holds `{key}` twice")));
            }
            seen.push(key);
            ids.push(id);
        }
        self.text.push(']');
        Ok(self.add(Kind::Union(ids), None))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str, path: &str) -> Result<NodeId, SchemaMistake> {
        let kind = match object.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(inner) if object.len() == 1 => return self.schema(inner, namespace, path),
            Some(_) => return Err(mistake(path, "`type` must be a name here; put what stands beside it into the inner schema")),
            None => return Err(mistake(path, "`type` is missing")),
        };
        let logical = logical(object);
        match kind {
            "record" | "error" => self.record(object, logical, namespace, path),
            "enum" => self.enumeration(object, logical, namespace, path),
            "fixed" => {
                let (names, path) = self.open_named("fixed", object, namespace, path)?;
                let size = object.get("size").and_then(Value::as_u64).and_then(|size| i32::try_from(size).ok());
                let size = size.and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or_else(|| mistake(&path, "`size` must be a number of bytes from 0 to 2147483647"))?;
                self.key("size");
                self.text.push_str(&size.to_string());
                self.close(object, &["type", "name", "namespace", "doc", "aliases", "size"]);
                let full = names.full.clone();
                let id = self.add(Kind::Fixed { names, size }, logical);
                self.names.insert(full, id);
                Ok(id)
            }
            "array" | "map" => {
                let inner = if kind == "array" { "items" } else { "values" };
                let value = object.get(inner).ok_or_else(|| mistake(path, format!("`{inner}` is missing")))?;
                self.open(kind);
                self.key(inner);
                let item = self.schema(value, namespace, &format!("{path}/{inner}"))?;
                self.close(object, &["type", inner]);
                Ok(self.add(if kind == "array" { Kind::Array(item) } else { Kind::Map(item) }, logical))
            }
            name if object.len() == 1 => self.named(name, namespace, path),
            name => match Kind::primitive(name) {
                Some(kind) => {
                    self.open(name);
                    self.close(object, &["type"]);
                    Ok(self.add(kind, logical))
                }
                // A reference carries nothing of its own.
                None => self.named(name, namespace, path),
            },
        }
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        logical: Option<Logical>,
        namespace: &str,
        path: &str,
    ) -> Result<NodeId, SchemaMistake> {
        let (names, path) = self.open_named("record", object, namespace, path)?;
        let declared = object.get("fields").and_then(Value::as_array).ok_or_else(|| mistake(&path, "`fields` must be an array"))?;
        // Known before its fields are read, so that they may refer to it.
        let full = names.full.clone();
        let inner_namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        let id = self.add(Kind::Record { names, fields: Vec::new() }, logical);
        self.names.insert(full, id);
        self.key("fields");
        self.text.push('[');
        let mut fields: Vec<Field> = Vec::with_capacity(declared.len());
        for (index, value) in declared.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            let field = self.field(value, &inner_namespace, &path)?;
            if fields.iter().any(|other| other.name == field.name) {
                return Err(mistake(&path, format!("the field `{}` stands there twice", field.name)));
            }
            fields.push(field);
        }
        self.text.push(']');
        self.close(object, &["type", "name", "namespace", "doc", "aliases", "fields"]);
        if let Kind::Record { fields: slot, .. } = &mut self.nodes[id].kind {
            *slot = fields;
        }
        Ok(id)
    }

    fn field(&mut self, value: &Value, namespace: &str, path: &str) -> Result<Field, SchemaMistake> {
        let object = value.as_object().ok_or_else(|| mistake(path, "a field must be an object"))?;
        let name = object.get("name").and_then(Value::as_str).ok_or_else(|| mistake(path, "a field's `name` is missing"))?;
        let path = format!("{path}/{name}");
        check_name(name, &path)?;
        let schema = object.get("type").ok_or_else(|| mistake(&path, "`type` is missing"))?;
        let aliases = strings(object.get("aliases"), "aliases", &path)?;
        self.text.push_str("{\"name\":");
        write_string(&mut self.text, name);
        self.key("type");
        let node = self.schema(schema, namespace, &path)?;
        for key in ["doc", "default", "aliases"] {
            if let Some(value) = object.get(key) {
                self.key(key);
                write_sorted(&mut self.text, value);
            }
        }
        self.close(object, &["name", "type", "doc", "default", "aliases"]);
        Ok(Field { name: name.to_owned(), aliases, node, default_json: object.get("default").cloned(), default: None })
    }

    fn enumeration(
        &mut self,
        object: &Map<String, Value>,
        logical: Option<Logical>,
        namespace: &str,
        path: &str,
    ) -> Result<NodeId, SchemaMistake> {
        let (names, path) = self.open_named("enum", object, namespace, path)?;
        if object.get("symbols").is_none() {
            return Err(mistake(&path, "`symbols` is missing"));
        }
        let symbols = strings(object.get("symbols"), "symbols", &path)?;
        for (index, symbol) in symbols.iter().enumerate() {
            check_name(symbol, &path)?;
            if symbols[..index].contains(symbol) {
                return Err(mistake(&path, format!("the symbol `{symbol}` stands there twice")));
            }
        }
        let default = match object.get("default") {
            None => None,
            Some(value) => {
                let position = value.as_str().and_then(|value| symbols.iter().position(|symbol| symbol == value));
                Some(position.ok_or_else(|| mistake(&path, format!("the default {value} is not one of the symbols")))?)
            }
        };
        self.key("symbols");
        write_sorted(&mut self.text, &object["symbols"]);
        self.close(object, &["type", "name", "namespace", "doc", "aliases", "symbols"]);
        let full = names.full.clone();
        let id = self.add(Kind::Enum { names, symbols, default }, logical);
        self.names.insert(full, id);
        Ok(id)
    }

    fn open(&mut self, kind: &str) {
        self.text.push_str("{\"type\":");
        write_string(&mut self.text, kind);
    }

    /// The names of a named type, and the path below which it stands.
    fn open_named(
        &mut self,
        kind: &str,
        object: &Map<String, Value>,
        namespace: &str,
        path: &str,
    ) -> Result<(Names, String), SchemaMistake> {
        let name = object.get("name").and_then(Value::as_str).ok_or_else(|| mistake(path, format!("the {kind}'s `name` is missing")))?;
        let own_namespace = match object.get("namespace") {
            None => namespace,
            Some(value) => value.as_str().ok_or_else(|| mistake(path, "`namespace` must be a text"))?,
        };
        let full = qualify(name, own_namespace);
        let path = format!("{path}/{full}");
        for part in full.split('.') {
            check_name(part, &path)?;
        }
        if self.names.contains_key(&full) || Kind::primitive(&full).is_some() {
            return Err(mistake(&path, format!("`{full}` is defined twice")));
        }
        let alias_namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        let aliases: Vec<String> =
            strings(object.get("aliases"), "aliases", &path)?.iter().map(|alias| qualify(alias, alias_namespace)).collect();
        self.open(kind);
        self.key("name");
        write_string(&mut self.text, &full);
        if !full.contains('.') && !namespace.is_empty() {
            // Without this the name would be read in the enclosing namespace.
            self.text.push_str(",\"namespace\":\"\"");
        }
        if let Some(doc) = object.get("doc") {
            self.key("doc");
            write_sorted(&mut self.text, doc);
        }
        if !aliases.is_empty() {
            self.key("aliases");
            write_sorted(&mut self.text, &aliases.iter().cloned().map(Value::String).collect());
        }
        Ok((Names { full, aliases }, path))
    }

    fn key(&mut self, key: &str) {
        self.text.push(',');
        write_string(&mut self.text, key);
        self.text.push(':');
    }

    /// Everything that was not written yet, in alphabetical order.
    fn close(&mut self, object: &Map<String, Value>, written: &[&str]) {
        let rest: BTreeMap<&String, &Value> = object.iter().filter(|(key, _)| !written.contains(&key.as_str())).collect();
        for (key, value) in rest {
            self.key(key);
            write_sorted(&mut self.text, value);
        }
        self.text.push('}');
    }
}

fn qualify(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        // A leading dot asks for no namespace at all.
        name.strip_prefix('.').unwrap_or(name).to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn check_name(name: &str, path: &str) -> Result<(), SchemaMistake> {
    let mut letters = name.chars();
    let head = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if head && letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(())
    } else {
        Err(mistake(path, format!("`{name}` is no name: use letters, digits and `_`, and no digit first")))
    }
}

fn strings(value: Option<&Value>, key: &str, path: &str) -> Result<Vec<String>, SchemaMistake> {
    let wrong = || mistake(path, format!("`{key}` must be an array of texts"));
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

fn logical(object: &Map<String, Value>) -> Option<Logical> {
    let number = |key: &str| object.get(key).and_then(Value::as_u64).unwrap_or(0);
    let name = object.get("logicalType")?.as_str()?.to_owned();
    let decimal = name == "decimal";
    Some(Logical { precision: if decimal { number("precision") } else { 0 }, scale: if decimal { number("scale") } else { 0 }, name })
}

fn write_string(text: &mut String, value: &str) {
    text.push_str(&Value::from(value).to_string());
}

/// JSON with the keys of every object in alphabetical order.
fn write_sorted(text: &mut String, value: &Value) {
    match value {
        Value::Object(object) => {
            text.push('{');
            for (index, (key, value)) in object.iter().collect::<BTreeMap<_, _>>().into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(text, key);
                text.push(':');
                write_sorted(text, value);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_sorted(text, item);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}
