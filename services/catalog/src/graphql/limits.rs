//! What a GraphQL query may be before anything is done about it. A few bytes can ask for very much: fields within fields, fragments that
//! stand for two others each, introspection that goes around in circles. Each is bounded here, over the text and the parsed document,
//! before the engine walks it. The price of lists is bounded by the engine itself (complexity).

use std::collections::BTreeMap;

use async_graphql::parser::{
    parse_query,
    types::{ExecutableDocument, Selection, SelectionSet},
};

/// The longest text of a query.
const QUERY_MAX_BYTES: usize = 32 * 1024;
/// How deep brackets may stand in each other: the parser goes down with them.
const NESTING_MAX: usize = 64;
/// How many fields a query may have once every fragment stands in its place.
const FIELDS_MAX: usize = 2_000;
/// How many of the lists of the introspection may stand in each other, as types lead to fields and fields to types.
const INTROSPECTION_LISTS_MAX: usize = 2;
const INTROSPECTION_LISTS: &[&str] = &["fields", "inputFields", "interfaces", "possibleTypes"];

/// Parses a query that keeps to the limits; else says what is wrong with it.
pub fn read(query: &str, max_depth: usize) -> Result<ExecutableDocument, String> {
    if query.len() > QUERY_MAX_BYTES {
        return Err(format!("The query is longer than {QUERY_MAX_BYTES} bytes."));
    }
    if nesting(query) > NESTING_MAX {
        return Err(format!("The query is deeper than {max_depth} levels."));
    }
    let document = parse_query(query).map_err(|error| error.to_string())?;
    let mut measures = Measures { document: &document, fragments: BTreeMap::new() };
    let mut fields = 0_usize;
    for (_, operation) in document.operations.iter() {
        let measure = measures.of(&operation.node.selection_set.node)?;
        if measure.depth > max_depth {
            return Err(format!("The query is {} levels deep; it may be {max_depth}.", measure.depth));
        }
        if measure.introspection_lists > INTROSPECTION_LISTS_MAX {
            return Err("The query leads the introspection around in circles.".to_owned());
        }
        fields = fields.saturating_add(measure.fields);
    }
    if fields > FIELDS_MAX {
        return Err(format!("The query has more than {FIELDS_MAX} fields."));
    }
    Ok(document)
}

/// The deepest nesting of brackets, outside of strings and comments.
fn nesting(query: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = query.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => rest = skip_while(rest, |byte| byte != b'\n' && byte != b'\r'),
            b'"' => rest = behind_string(rest),
            _ => {}
        }
    }
    deepest
}

fn skip_while(text: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !skipped(*byte)).unwrap_or(text.len());
    &text[end..]
}

/// What follows a string whose first quote has been read.
fn behind_string(text: &[u8]) -> &[u8] {
    if let Some(mut block) = text.strip_prefix(b"\"\"") {
        loop {
            if let Some(behind) = block.strip_prefix(b"\\\"\"\"") {
                block = behind;
            } else if let Some(behind) = block.strip_prefix(b"\"\"\"") {
                return behind;
            } else if let Some((_, behind)) = block.split_first() {
                block = behind;
            } else {
                return block;
            }
        }
    }
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'\\' => rest = rest.split_first().map_or(rest, |(_, behind)| behind),
            // A string ends at its line, though without a quote it is none.
            b'"' | b'\n' | b'\r' => break,
            _ => {}
        }
    }
    rest
}

/// How much a selection is.
#[derive(Clone, Copy, Debug, Default)]
struct Measure {
    depth: usize,
    fields: usize,
    introspection_lists: usize,
}

/// Measures selections, each fragment once.
struct Measures<'d> {
    document: &'d ExecutableDocument,
    /// Nothing for a fragment that is being measured.
    fragments: BTreeMap<&'d str, Option<Measure>>,
}

impl<'d> Measures<'d> {
    fn of(&mut self, set: &'d SelectionSet) -> Result<Measure, String> {
        let mut all = Measure::default();
        for selection in &set.items {
            let one = match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.name.node.as_str();
                    let below = self.of(&field.node.selection_set.node)?;
                    // The introspection is deeper than any query of ours and has a bound of its own.
                    let depth = if name.starts_with("__") { 1 } else { below.depth.saturating_add(1) };
                    let lists = usize::from(INTROSPECTION_LISTS.contains(&name));
                    Measure { depth, fields: below.fields, introspection_lists: below.introspection_lists.saturating_add(lists) }
                }
                Selection::InlineFragment(fragment) => self.of(&fragment.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => self.of_fragment(spread.node.fragment_name.node.as_str())?,
            };
            all.depth = all.depth.max(one.depth);
            all.introspection_lists = all.introspection_lists.max(one.introspection_lists);
            all.fields = all.fields.saturating_add(one.fields).saturating_add(1);
        }
        Ok(all)
    }

    fn of_fragment(&mut self, name: &'d str) -> Result<Measure, String> {
        match self.fragments.get(name) {
            Some(Some(measure)) => return Ok(*measure),
            Some(None) => return Err(format!("The fragment `{name}` contains itself.")),
            None => {}
        }
        // One that is not there is told by the engine, which knows where it was named.
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else { return Ok(Measure::default()) };
        self.fragments.insert(name.as_str(), None);
        let measure = self.of(&fragment.node.selection_set.node)?;
        self.fragments.insert(name.as_str(), Some(measure));
        Ok(measure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        read(query, 10).err().unwrap_or_else(|| panic!("it was taken: {query}"))
    }

    fn nested(levels: usize) -> String {
        format!("{}x{}", "{ x ".repeat(levels - 1) + "{ ", " }".repeat(levels))
    }

    #[test]
    fn depth_is_bounded_through_fields_and_fragments() {
        assert!(read(&nested(10), 10).is_ok());
        assert_eq!(refused(&nested(11)), "The query is 11 levels deep; it may be 10.");
        let fragments = "query { a { ...F } } fragment F on P { b { c { d { e { ... on P { f { g { h { i { j { k } } } } } } } } } } }";
        assert_eq!(refused(fragments), "The query is 11 levels deep; it may be 10.");
        assert!(refused(&nested(5_000)).contains("deeper"), "without going down with it");
        assert!(refused(&format!("{{ x(y: {}1{}) }}", "[".repeat(5_000), "]".repeat(5_000))).contains("deeper"));
    }

    #[test]
    fn brackets_in_strings_and_comments_are_no_nesting_and_hide_none() {
        assert_eq!(nesting(r#"{ a(b: "{{{{", c: """ {{ \""" {{ """) } # {{{"#), 2);
        assert_eq!(nesting("{ a(b: \"}}}}\") { c(d: \"\\\"}}}}\") { e } } }"), 3);
        assert_eq!(nesting("# \"\n{ a { b } }"), 2, "a quote in a comment begins no string");
        assert_eq!(nesting("{ a(b: \"x\n) { c } }"), 2, "a string ends at its line");
    }

    #[test]
    fn fragments_that_double_are_counted_and_not_walked() {
        let mut query = "query { ...F0 }".to_owned();
        for n in 0..200 {
            query.push_str(&format!(" fragment F{n} on Q {{ ...F{} ...F{} }}", n + 1, n + 1));
        }
        query.push_str(" fragment F200 on Q { __typename }");
        assert_eq!(refused(&query), "The query has more than 2000 fields.");
    }

    #[test]
    fn circles_are_refused() {
        assert_eq!(refused("query { ...A } fragment A on Q { ...B } fragment B on Q { x { ...A } }"), "The fragment `A` contains itself.");
        let circle = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
        assert_eq!(refused(circle), "The query leads the introspection around in circles.");
    }

    #[test]
    fn the_introspection_of_tools_passes() {
        let tools = "query I { __schema { queryType { name } types { ...T } } }
            fragment T on __Type { kind fields(includeDeprecated: true) { args { type { ...R } } type { ...R } } inputFields { type { ...R } } }
            fragment R on __Type { kind name ofType { name ofType { name ofType { name ofType { name ofType { name ofType { name ofType { name } } } } } } } }";
        assert!(read(tools, 10).is_ok());
    }

    #[test]
    fn what_is_too_long_or_no_query_is_refused() {
        assert!(refused(&"#".repeat(QUERY_MAX_BYTES + 1)).contains("longer"));
        assert!(!refused("{ a ").is_empty());
        assert!(!refused("").is_empty());
    }
}
