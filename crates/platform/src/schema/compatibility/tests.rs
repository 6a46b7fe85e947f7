use super::*;
use crate::schema::datum::to_json;
use serde_json::{Value, json};

fn tree(schema: &Value) -> Arc<Tree> {
    Arc::new(Tree::parse(&schema.to_string()).unwrap_or_else(|error| panic!("{schema}: {error}")))
}

fn record(fields: Value) -> Value {
    json!({"type": "record", "name": "R", "fields": fields})
}

fn field(name: &str, kind: Value) -> Value {
    record(json!([{"name": name, "type": kind}]))
}

fn enumeration(symbols: &[&str]) -> Value {
    json!({"type": "enum", "name": "E", "symbols": symbols})
}

fn with(mut schema: Value, key: &str, value: Value) -> Value {
    schema[key] = value;
    schema
}

/// The table: can the second schema read what the first one writes? If not, what the complaint must name.
fn cases() -> Vec<(&'static str, Value, Value, Option<&'static str>)> {
    let x = json!({"name": "x", "type": "int"});
    let y = json!({"name": "y", "type": "string"});
    let y_default = json!({"name": "y", "type": "string", "default": "?"});
    let decimal = |precision: u32, scale: u32| json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale});
    let long = |logical: &str| json!({"type": "long", "logicalType": logical});
    let fixed = |size: u32| json!({"type": "fixed", "name": "F", "size": size});
    let inner = |fields: Value| field("inner", json!({"type": "record", "name": "I", "fields": fields}));
    let list = |kind: &str| {
        let next = json!({"name": "next", "type": ["null", "R"]});
        record(json!([{"name": "v", "type": kind}, next]))
    };
    vec![
        ("a field with a default is added", record(json!([x])), record(json!([x, y_default])), None),
        ("a field without a default is added", record(json!([x])), record(json!([x, y])), Some("/y")),
        ("a field is removed", record(json!([x, y])), record(json!([x])), None),
        (
            "a nullable field with a default is added",
            record(json!([x])),
            record(json!([{"name":"n","type":["null","int"],"default":null}, x])),
            None,
        ),
        (
            "a nullable field without a default is added",
            record(json!([x])),
            record(json!([x, {"name":"n","type":["null","int"]}])),
            Some("/n"),
        ),
        ("fields change places", record(json!([x, y])), record(json!([y, x])), None),
        ("a field is renamed with an alias", record(json!([x])), record(json!([{"name":"z","type":"int","aliases":["x"]}])), None),
        ("a field is renamed without an alias", record(json!([x])), record(json!([{"name":"z","type":"int"}])), Some("/z")),
        ("only the writer has the alias", record(json!([{"name":"z","type":"int","aliases":["x"]}])), record(json!([x])), Some("/x")),
        ("a field becomes nullable", field("x", json!("int")), field("x", json!(["null", "int"])), None),
        ("a field is nullable no longer", field("x", json!(["null", "int"])), field("x", json!("int")), Some("/x")),
        ("int to long", json!("int"), json!("long"), None),
        ("int to float", json!("int"), json!("float"), None),
        ("int to double", json!("int"), json!("double"), None),
        ("long to float", json!("long"), json!("float"), None),
        ("long to double", json!("long"), json!("double"), None),
        ("float to double", json!("float"), json!("double"), None),
        ("long to int", json!("long"), json!("int"), Some("long")),
        ("double to float", json!("double"), json!("float"), Some("double")),
        ("float to long", json!("float"), json!("long"), Some("float")),
        ("string to bytes", json!("string"), json!("bytes"), None),
        ("bytes to string", json!("bytes"), json!("string"), None),
        ("int to string", json!("int"), json!("string"), Some("string")),
        ("boolean to int", json!("boolean"), json!("int"), Some("boolean")),
        ("a union is widened", json!(["null", "int"]), json!(["null", "int", "string"]), None),
        ("a union is narrowed", json!(["null", "int", "string"]), json!(["null", "int"]), Some("string")),
        ("a union's branches change places", json!(["null", "int"]), json!(["int", "null"]), None),
        ("a union's branch is promoted", json!(["null", "int"]), json!(["null", "double"]), None),
        ("a single type becomes a union with a promotion", json!("int"), json!(["null", "long"]), None),
        ("a symbol is added", enumeration(&["A"]), enumeration(&["A", "B"]), None),
        ("a symbol is removed", enumeration(&["A", "B"]), enumeration(&["A"]), Some("`B`")),
        ("a symbol is removed under a default", enumeration(&["A", "B"]), with(enumeration(&["A"]), "default", json!("A")), None),
        ("symbols change places", enumeration(&["A", "B"]), enumeration(&["B", "A"]), None),
        ("an enum is renamed", enumeration(&["A"]), with(enumeration(&["A"]), "name", json!("G")), Some("`E`")),
        ("an enum becomes a string", enumeration(&["A"]), json!("string"), Some("string")),
        ("a record is renamed", record(json!([x])), with(record(json!([x])), "name", json!("S")), Some("`R`")),
        (
            "a record is renamed with an alias",
            record(json!([x])),
            with(with(record(json!([x])), "name", json!("S")), "aliases", json!(["R"])),
            None,
        ),
        (
            "only the namespace changes",
            with(record(json!([x])), "namespace", json!("a")),
            with(record(json!([x])), "namespace", json!("b")),
            None,
        ),
        ("a nested field with a default is added", inner(json!([x])), inner(json!([x, y_default])), None),
        ("a nested field without a default is added", inner(json!([x])), inner(json!([x, y])), Some("/inner/y")),
        ("a nested field's type is changed", inner(json!([x])), inner(json!([{"name":"x","type":"boolean"}])), Some("/inner/x")),
        ("an array's items are promoted", json!({"type":"array","items":"int"}), json!({"type":"array","items":"long"}), None),
        ("an array's items are narrowed", json!({"type":"array","items":"long"}), json!({"type":"array","items":"int"}), Some("long")),
        ("a map's values are promoted", json!({"type":"map","values":"int"}), json!({"type":"map","values":"double"}), None),
        ("an array becomes a map", json!({"type":"array","items":"int"}), json!({"type":"map","values":"int"}), Some("array")),
        ("a fixed stays", fixed(4), fixed(4), None),
        ("a fixed changes its size", fixed(4), fixed(8), Some("4 bytes")),
        ("a fixed becomes bytes", fixed(4), json!("bytes"), Some("fixed")),
        ("a long gets a unit", json!("long"), long("timestamp-micros"), None),
        ("a long loses its unit", long("timestamp-micros"), json!("long"), None),
        ("milliseconds become microseconds", field("at", long("timestamp-millis")), field("at", long("timestamp-micros")), Some("/at")),
        ("an int becomes a moment", json!("int"), long("timestamp-micros"), None),
        ("a string becomes a uuid", json!("string"), json!({"type":"string","logicalType":"uuid"}), None),
        ("a decimal stays", decimal(9, 2), decimal(9, 2), None),
        ("a decimal's scale changes", decimal(9, 2), decimal(9, 3), Some("scale 2")),
        ("a recursive record is promoted", list("int"), list("long"), None),
        ("a recursive record is narrowed", list("long"), list("int"), Some("/v")),
        (
            "a type is defined here and referred to there",
            record(json!([{"name":"a","type":fixed(2)}, {"name":"b","type":"F"}])),
            record(json!([{"name":"b","type":fixed(2)}])),
            None,
        ),
    ]
}

#[test]
fn the_table_holds() {
    for (case, writer, reader, complaint) in cases() {
        let problems = incompatibilities(&tree(&writer), &tree(&reader));
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match complaint {
            None => assert!(problems.is_empty(), "{case}: {text}"),
            Some(named) => assert!(text.contains(named), "{case}: `{text}` does not name {named}"),
        }
    }
}

#[test]
fn every_schema_reads_what_it_wrote_itself() {
    for (case, writer, reader, _) in cases() {
        for schema in [writer, reader] {
            assert_eq!(incompatibilities(&tree(&schema), &tree(&schema)), [], "{case}");
        }
    }
}

#[test]
fn the_library_takes_the_same_texts_for_schemas() {
    for (case, writer, reader, _) in cases() {
        for schema in [writer, reader] {
            let canonical = &tree(&schema).text;
            apache_avro::Schema::parse_str(canonical).unwrap_or_else(|error| panic!("{case}: {canonical}: {error}"));
        }
    }
}

/// What the reader sees of the writer's datum.
fn convert(writer: &Value, reader: &Value, datum: &[u8]) -> Result<Value, String> {
    let (writer, reader) = (tree(writer), tree(reader));
    let (bytes, left) = Plan::new(writer, Arc::clone(&reader)).convert(datum).map_err(|error| error.to_string())?;
    assert_eq!(left, 0);
    let mut input = Input::new(&bytes);
    let value = to_json(&reader, reader.root, &mut input, 0).map_err(|error| error.to_string())?;
    assert_eq!(input.left(), 0);
    Ok(value)
}

#[test]
fn conversion_does_what_the_check_says() {
    let x = json!({"name": "x", "type": "int"});
    let y = json!({"name": "y", "type": "string"});
    let z = json!({"name": "z", "type": ["null", {"type": "array", "items": "int"}], "default": [7]});
    let old = record(json!([x, y]));
    let datum = [10, 2, b'a'];
    assert_eq!(convert(&old, &record(json!([y, x])), &datum), Ok(json!({"y": "a", "x": 5})));
    assert_eq!(convert(&old, &record(json!([z, x])), &datum), Ok(json!({"z": [7], "x": 5})));
    assert_eq!(convert(&old, &record(json!([y, z])), &datum), Ok(json!({"y": "a", "z": [7]})));
    assert_eq!(convert(&old, &record(json!([])), &datum), Ok(json!({})));
    assert_eq!(convert(&old, &field("x", json!(["null", "double"])), &datum), Ok(json!({"x": 5.0})));
    assert_eq!(convert(&json!("float"), &json!("double"), &1.5_f32.to_le_bytes()), Ok(json!(1.5)));
    assert_eq!(convert(&json!("bytes"), &json!("string"), &[2, b'a']), Ok(json!("a")));
    assert!(convert(&json!("bytes"), &json!("string"), &[2, 0xff]).is_err());
    assert_eq!(convert(&enumeration(&["A", "B"]), &enumeration(&["B", "A"]), &[0]), Ok(json!("A")));
    assert_eq!(convert(&enumeration(&["A", "B"]), &with(enumeration(&["A"]), "default", json!("A")), &[2]), Ok(json!("A")));
    assert!(convert(&enumeration(&["A"]), &enumeration(&["A"]), &[2]).is_err());
    let (narrow, wide) = (json!({"type":"map","values":"int"}), json!({"type":"map","values":"long"}));
    assert_eq!(convert(&narrow, &wide, &[4, 2, b'a', 2, 2, b'b', 4, 0]), Ok(json!({"a": 1, "b": 2})));
    let (narrow, wide) = (json!({"type":"array","items":"int"}), json!({"type":"array","items":"double"}));
    assert_eq!(convert(&narrow, &wide, &[2, 2, 1, 2, 4, 0]), Ok(json!([1.0, 2.0])));
}

#[test]
fn a_narrowed_union_still_reads_the_values_that_fit() {
    let (wide, narrow) = (json!(["null", "int", "string"]), json!(["null", "int"]));
    assert_eq!(convert(&wide, &narrow, &[2, 10]), Ok(json!(5)));
    assert!(convert(&wide, &narrow, &[4, 2, b'a']).is_err_and(|error| error.contains("string")));
}

#[test]
fn a_union_prefers_the_exact_type_and_the_full_name() {
    assert_eq!(convert(&json!("int"), &json!(["double", "int"]), &[10]), Ok(json!(5)));
    let named = |namespace: &str, default: i32| json!({"type":"record","name":"P","namespace":namespace,"fields":[{"name":"v","type":"int","default":default}]});
    let empty = json!({"type":"record","name":"P","namespace":"b","fields":[]});
    assert_eq!(convert(&empty, &json!([named("a", 1), named("b", 2)]), &[]), Ok(json!({"v": 2})));
}

#[test]
fn a_name_is_stronger_than_an_alias() {
    let writer = record(json!([{"name": "old", "type": "int"}]));
    let reader = record(json!([{"name": "new", "type": "int", "aliases": ["old"], "default": 0}, {"name": "old", "type": "int"}]));
    assert_eq!(convert(&writer, &reader, &[10]), Ok(json!({"new": 0, "old": 5})));
}
