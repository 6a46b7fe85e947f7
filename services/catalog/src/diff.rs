//! What changed between two documents, place by place. Objects and lists are gone into; what is a value on either side is told whole.
//! Pure.

use catalog_api::events::FieldChange;
use serde_json::Value as Json;

/// Fields that say nothing of the product: they change with each revision, or nobody outside knows them.
const SILENT: &[&str] = &["updatedAt", "requestKey"];

/// The changes from `before` to `after`, in the order of their paths; `null` stands for no document.
#[must_use]
pub fn diff(before: &Json, after: &Json) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    for name in names(before, after) {
        if !SILENT.contains(&name.as_str()) {
            compare(format!("/{}", escaped(&name)), before.get(&name), after.get(&name), &mut changes);
        }
    }
    changes
}

fn compare(path: String, before: Option<&Json>, after: Option<&Json>, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let is_object = |json: Option<&Json>| json.is_none_or(Json::is_object);
    let is_list = |json: Option<&Json>| json.is_none_or(Json::is_array);
    // An empty object or list has no places of its own, so it is told as the value that it is.
    let is_empty = |json: Option<&Json>| match json {
        Some(Json::Object(fields)) => fields.is_empty(),
        Some(Json::Array(items)) => items.is_empty(),
        _ => false,
    };
    if is_empty(before) && after.is_none() || is_empty(after) && before.is_none() {
        changes.push(told(path, before, after));
    } else if is_object(before) && is_object(after) {
        let empty = Json::Null;
        for name in names(before.unwrap_or(&empty), after.unwrap_or(&empty)) {
            let (before, after) = (before.and_then(|json| json.get(&name)), after.and_then(|json| json.get(&name)));
            compare(format!("{path}/{}", escaped(&name)), before, after, changes);
        }
    } else if is_list(before) && is_list(after) {
        let length = |json: Option<&Json>| json.and_then(Json::as_array).map_or(0, Vec::len);
        for index in 0..length(before).max(length(after)) {
            let (before, after) = (before.and_then(|json| json.get(index)), after.and_then(|json| json.get(index)));
            compare(format!("{path}/{index}"), before, after, changes);
        }
    } else {
        changes.push(told(path, before, after));
    }
}

fn told(path: String, before: Option<&Json>, after: Option<&Json>) -> FieldChange {
    FieldChange { path, before: before.map(Json::to_string), after: after.map(Json::to_string) }
}

/// The names on either side, each once, in order.
fn names(before: &Json, after: &Json) -> Vec<String> {
    let mut names: Vec<String> =
        [before, after].into_iter().filter_map(Json::as_object).flat_map(|fields| fields.keys().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A name as a part of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lines(before: &Json, after: &Json) -> Vec<String> {
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        diff(before, after).into_iter().map(|change| format!("{} {} {}", change.path, text(change.before), text(change.after))).collect()
    }

    #[test]
    fn each_changed_place_is_told_once() {
        let before = json!({"sku": "A", "title": "Lamp", "attributes": {"a/b": 1, "gone": true}, "variants": [{"sku": "V", "title": "v"}],
            "updatedAt": 1});
        let after = json!({"sku": "A", "title": "Lamp 2", "attributes": {"a/b": 2, "new": [1]}, "variants": [{"sku": "V", "title": "v"}, {"sku": "W"}],
            "updatedAt": 2});
        assert_eq!(
            lines(&before, &after),
            [
                "/attributes/a~1b 1 2",
                "/attributes/gone true -",
                "/attributes/new/0 - 1",
                "/title \"Lamp\" \"Lamp 2\"",
                "/variants/1/sku - \"W\""
            ]
        );
    }

    #[test]
    fn a_new_and_a_deleted_document_are_told_whole() {
        let document = json!({"sku": "A", "attributes": {}, "variants": [{"sku": "V"}]});
        assert_eq!(lines(&Json::Null, &document), ["/attributes - {}", "/sku - \"A\"", "/variants/0/sku - \"V\""]);
        assert_eq!(lines(&document, &Json::Null), ["/attributes {} -", "/sku \"A\" -", "/variants/0/sku \"V\" -"]);
    }

    #[test]
    fn a_value_that_becomes_another_kind_is_told_whole() {
        assert_eq!(lines(&json!({"a": {"b": 1}}), &json!({"a": [1]})), ["/a {\"b\":1} [1]"]);
        assert_eq!(lines(&json!({"a": null}), &json!({"a": {"b": 1}})), ["/a null {\"b\":1}"]);
        assert_eq!(lines(&json!({"a": null}), &json!({})), ["/a null -"]);
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i8>().prop_map(Json::from),
            "[a~/]{0,2}".prop_map(Json::from)
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
                prop::collection::btree_map("[ab~/]{1,2}", inner, 0..3).prop_map(|fields| Json::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_is_told_of_what_is_equal_and_something_of_what_is_not(a in any_json(), b in any_json()) {
            let (before, after) = (json!({"x": a}), json!({"x": b}));
            prop_assert_eq!(diff(&before, &after).is_empty(), before == after);
            for change in diff(&before, &after) {
                let at = |document: &Json| document.pointer(&change.path).map(Json::to_string);
                prop_assert_eq!(&change.before, &at(&before), "the path leads to what is told");
                prop_assert_eq!(&change.after, &at(&after));
            }
        }
    }
}
