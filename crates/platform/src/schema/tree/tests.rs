use super::*;

fn canonical(text: &str) -> String {
    Tree::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).text
}

fn mistake_in(text: &str) -> String {
    match Tree::parse(text) {
        Ok(tree) => panic!("{text} was taken as {}", tree.text),
        Err(error) => error.to_string(),
    }
}

#[test]
fn one_schema_has_one_text_however_it_is_spelled() {
    let spellings = [
        r#"{"type":"record","name":"a.R","doc":"d","fields":[{"name":"x","type":"int","default":1},{"name":"s","type":{"type":"record","name":"S","fields":[]}},{"name":"t","type":"S"}]}"#,
        r#" { "fields" : [ {"default":1, "type":{"type":"int"}, "name":"x"}, {"type":{"name":"a.S","fields":[],"type":"record"},"name":"s"},
            {"name":"t","type":{"type":"a.S"}} ], "doc":"d", "namespace":"a", "name":"R", "type":"record" } "#,
    ];
    assert_eq!(canonical(spellings[0]), canonical(spellings[1]));
    for text in spellings {
        assert_eq!(canonical(&canonical(text)), canonical(text), "the canonical text must be its own");
    }
}

#[test]
fn whatever_a_reader_sees_belongs_to_the_identity() {
    let base = r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int","default":1}]}"#;
    for (from, to) in [
        (r#""default":1"#, r#""default":2"#),
        (r#","default":1"#, ""),
        (r#""default":1"#, r#""default":1,"aliases":["y"]"#),
        (r#""name":"R""#, r#""name":"R","aliases":["Q"]"#),
        (r#""name":"R""#, r#""name":"R","doc":"text""#),
        (r#""type":"int""#, r#""type":{"type":"int","logicalType":"date"}"#),
        (r#""name":"R""#, r#""name":"R","owner":"team""#),
    ] {
        let other = base.replacen(from, to, 1);
        assert_ne!(canonical(base), canonical(&other), "{other}");
    }
}

#[test]
fn a_name_without_a_namespace_stays_without_one() {
    let text = r#"{"type":"record","name":"a.R","fields":[{"name":"x","type":{"type":"fixed","name":"F","namespace":"","size":1}}]}"#;
    assert_eq!(canonical(text), canonical(&canonical(text)));
    assert!(canonical(text).contains(r#""name":"F","namespace":"""#));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let field = |field: &str| format!(r#"{{"type":"record","name":"R","fields":[{field}]}}"#);
    for (text, expected) in [
        ("".to_owned(), "JSON"),
        ("string".to_owned(), "JSON"),
        ("3".to_owned(), "a schema is"),
        (r#""strin""#.to_owned(), "`strin`"),
        ("{}".to_owned(), "`type` is missing"),
        ("[]".to_owned(), "at least one branch"),
        (r#"["int",["null"]]"#.to_owned(), "directly in a union"),
        (r#"["int","int"]"#.to_owned(), "`int` twice"),
        (r#"{"type":"array"}"#.to_owned(), "`items` is missing"),
        (r#"{"type":"map","items":"int"}"#.to_owned(), "`values` is missing"),
        (r#"{"type":"fixed","name":"F"}"#.to_owned(), "`size`"),
        (r#"{"type":"fixed","name":"F","size":-1}"#.to_owned(), "`size`"),
        (r#"{"type":"record","fields":[]}"#.to_owned(), "`name` is missing"),
        (r#"{"type":"record","name":"R"}"#.to_owned(), "`fields`"),
        (r#"{"type":"record","name":"1R","fields":[]}"#.to_owned(), "`1R`"),
        (r#"{"type":"enum","name":"E","symbols":["A","A"]}"#.to_owned(), "`A`"),
        (r#"{"type":"enum","name":"E","symbols":["a-b"]}"#.to_owned(), "`a-b`"),
        (r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#.to_owned(), "\"B\""),
        (field(r#"{"name":"x","type":"int"},{"name":"x","type":"int"}"#), "`x` stands there twice"),
        (field(r#"{"name":"x"}"#), "/R/x"),
        (field(r#"{"name":"x","type":"int","default":"a"}"#), "/R/x"),
        (field(r#"{"name":"x","type":"int","default":2147483648}"#), "no int"),
        (field(r#"{"name":"x","type":["null","int"],"default":"a"}"#), "no branch"),
        (field(r#"{"name":"x","type":{"type":"fixed","name":"F","size":2},"default":"a"}"#), "2 bytes"),
        (field(r#"{"name":"x","type":{"type":"record","name":"R","fields":[]}}"#), "defined twice"),
        (field(r#"{"name":"x","type":"R","default":{}},{"name":"y","type":"R","default":{}}"#), "holds itself"),
    ] {
        let error = mistake_in(&text);
        assert!(error.contains(expected), "{text}: `{error}` does not say `{expected}`");
    }
}

#[test]
fn defaults_of_every_kind_become_data() {
    let field = |kind: &str, default: &str| {
        let text = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"x","type":{kind},"default":{default}}}]}}"#);
        let tree = Tree::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        match tree.kind(tree.root) {
            Kind::Record { fields, .. } => fields[0].default.clone(),
            _ => None,
        }
    };
    for (kind, default, bytes) in [
        (r#""null""#, "null", &[][..]),
        (r#""boolean""#, "true", &[1]),
        (r#""int""#, "-1", &[1]),
        (r#""long""#, "64", &[128, 1]),
        (r#""float""#, "1", &[0, 0, 128, 63]),
        (r#""double""#, "1.0", &[0, 0, 0, 0, 0, 0, 240, 63]),
        (r#""string""#, "\"é\"", &[4, 0xc3, 0xa9]),
        (r#""bytes""#, "\"\\u00ff\"", &[2, 0xff]),
        (r#"["null","int"]"#, "null", &[0]),
        (r#"["null","int"]"#, "3", &[2, 6]),
        (r#"{"type":"array","items":"int"}"#, "[]", &[0]),
        (r#"{"type":"array","items":"int"}"#, "[1,2]", &[4, 2, 4, 0]),
        (r#"{"type":"map","values":"int"}"#, r#"{"a":1}"#, &[2, 2, b'a', 2, 0]),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, "\"B\"", &[2]),
        (
            r#"{"type":"record","name":"S","fields":[{"name":"a","type":"int","default":5},{"name":"b","type":"int"}]}"#,
            r#"{"b":1}"#,
            &[10, 2],
        ),
    ] {
        assert_eq!(field(kind, default).as_deref(), Some(bytes), "{kind} {default}");
    }
}
