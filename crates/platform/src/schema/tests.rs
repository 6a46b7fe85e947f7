use super::*;

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

const X: &str = r#"{"name":"x","type":"int"}"#;
const Y: &str = r#"{"name":"y","type":"int"}"#;
const Y_DEFAULT: &str = r#"{"name":"y","type":"int","default":0}"#;

#[test]
fn the_same_schema_has_one_id_everywhere_and_a_version_per_subject() {
    let registry = Registry::in_memory();
    let first = registry.register("a", &record(X)).unwrap();
    assert_eq!((first.id, first.version), (SchemaId(1), 1));
    assert_eq!(registry.register("a", &format!(" {} ", record(X))).unwrap(), first);
    let second = registry.register("a", &record(&format!("{X},{Y_DEFAULT}"))).unwrap();
    assert_eq!((second.id, second.version), (SchemaId(2), 2));
    let elsewhere = registry.register("b", &record(&format!("{X},{Y_DEFAULT}"))).unwrap();
    assert_eq!((elsewhere.id, elsewhere.version), (SchemaId(2), 1));
    assert_eq!(registry.uses(SchemaId(2), false).unwrap(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(registry.register("a", &record(X)).unwrap(), first, "an old version again is the old version");
    assert_eq!(registry.latest("a").unwrap().version, 2);
    assert_eq!(registry.schema(SchemaId(1)).unwrap(), first.schema);
}

#[test]
fn clones_share_and_worlds_do_not() {
    let registry = Registry::in_memory();
    registry.clone().register("a", &record(X)).unwrap();
    assert_eq!(registry.subjects(), ["a"]);
    assert!(Registry::in_memory().subjects().is_empty());
}

/// Which levels let the second schema follow the first.
fn levels_that_allow(versions: &[String], new: &str) -> Vec<Level> {
    let allows = |level: &Level| {
        let registry = Registry::in_memory();
        registry.set_level(Some("a"), Level::None).unwrap();
        versions.iter().for_each(|schema| drop(registry.register("a", schema).unwrap()));
        registry.set_level(Some("a"), *level).unwrap();
        let checked = registry.check("a", new, None).unwrap().is_empty();
        assert_eq!(registry.register("a", new).is_ok(), checked, "check and registration differ");
        checked
    };
    Level::ALL.into_iter().filter(allows).collect()
}

#[test]
fn each_level_asks_for_what_it_says() {
    use Level::{Backward, BackwardTransitive, Forward, ForwardTransitive, Full, None};
    let (x, xy, xyd) = (record(X), record(&format!("{X},{Y}")), record(&format!("{X},{Y_DEFAULT}")));
    assert_eq!(levels_that_allow(std::slice::from_ref(&x), &xyd), Level::ALL, "a field with a default is added");
    assert_eq!(levels_that_allow(std::slice::from_ref(&x), &xy), [None, Forward, ForwardTransitive], "a field without a default is added");
    assert_eq!(
        levels_that_allow(std::slice::from_ref(&xy), &x),
        [None, Backward, BackwardTransitive],
        "a field without a default is removed"
    );
    // The last version has a default, the one before has none of it: the one before cannot give what the newest asks for.
    assert_eq!(
        levels_that_allow(&[x, xyd.clone()], &xy),
        [None, Backward, Forward, ForwardTransitive, Full],
        "only the last version is looked at"
    );
    assert_eq!(
        levels_that_allow(&[xy, xyd], &record(X)),
        [None, Backward, BackwardTransitive, Forward, Full],
        "only the last version is looked at"
    );
}

#[test]
fn a_refusal_says_which_field_breaks_what() {
    let registry = Registry::in_memory();
    registry.register("a", &record(X)).unwrap();
    let error = registry.register("a", &record(&format!("{X},{Y}"))).unwrap_err().to_string();
    assert!(["`a`", "BACKWARD", "version 1", "`/y`", "default"].iter().all(|word| error.contains(word)), "{error}");
    assert_eq!(registry.versions("a").unwrap(), [1], "a refused schema leaves nothing behind");
    registry.register("b", &record(&format!("{X},{Y}"))).unwrap();
}

#[test]
fn the_global_level_holds_where_there_is_no_other() {
    let registry = Registry::in_memory();
    assert_eq!(registry.level("a"), Level::Backward);
    registry.set_level(None, Level::None).unwrap();
    registry.set_level(Some("b"), Level::Full).unwrap();
    assert_eq!((registry.level("a"), registry.level("b")), (Level::None, Level::Full));
    assert_eq!(registry.reset_level(Some("b")).unwrap(), Level::Full);
    assert!(matches!(registry.reset_level(Some("b")), Err(SchemaError::NoLevel(_))));
    assert_eq!(registry.level("b"), Level::None);
    registry.reset_level(None).unwrap();
    assert_eq!(registry.level("b"), Level::Backward);
}

#[test]
fn a_deleted_version_is_neither_latest_nor_in_the_way_but_its_records_stay_readable() {
    let registry = Registry::in_memory();
    registry.register("a", &record(X)).unwrap();
    let second = registry.register("a", &record(&format!("{X},{Y_DEFAULT}"))).unwrap();
    registry.delete_version("a", 2, Deletion::Soft).unwrap();
    assert_eq!(registry.latest("a").unwrap().version, 1);
    assert!(matches!(registry.version("a", 2), Err(SchemaError::UnknownVersion { .. })));
    assert!(matches!(registry.delete_version("a", 2, Deletion::Soft), Err(SchemaError::VersionDeleted { .. })));
    assert!(matches!(registry.delete_version("a", 1, Deletion::Permanent), Err(SchemaError::VersionNotDeleted { .. })));
    assert!(registry.schema(second.id).is_ok());
    let again = registry.register("a", &second.schema).unwrap();
    assert_eq!((again.id, again.version), (second.id, 3), "the same id, and never an old version's number");
}

#[test]
fn a_permanently_deleted_schema_is_gone_and_its_id_is_never_given_to_another() {
    let registry = Registry::in_memory();
    let first = registry.register("a", &record(X)).unwrap();
    assert!(matches!(registry.delete_subject("a", Deletion::Permanent), Err(SchemaError::SubjectNotDeleted(_))));
    assert_eq!(registry.delete_subject("a", Deletion::Soft).unwrap(), [1]);
    assert!(matches!(registry.delete_subject("a", Deletion::Soft), Err(SchemaError::SubjectDeleted(_))));
    assert!(matches!(registry.versions("a"), Err(SchemaError::UnknownSubject(_))));
    assert_eq!(registry.delete_subject("a", Deletion::Permanent).unwrap(), [1]);
    assert!(matches!(registry.delete_subject("a", Deletion::Soft), Err(SchemaError::UnknownSubject(_))));
    assert!(matches!(registry.schema(first.id), Err(SchemaError::UnknownSchema)));
    assert_eq!(registry.register("b", &record(Y)).unwrap().id, SchemaId(2));
    assert_eq!(registry.register("b2", &record(X)).unwrap().id, first.id);
}

#[test]
fn a_subject_needs_a_sound_name() {
    let registry = Registry::in_memory();
    for name in ["", "a\nb", &"x".repeat(256)] {
        assert!(matches!(registry.register(name, r#""int""#), Err(SchemaError::InvalidSubject)), "{name}");
    }
}
