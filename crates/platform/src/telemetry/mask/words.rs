//! What is told by the word before it: fields by their name, values behind a name in a text (`phone=…`, `"email":"…"`, the `Debug` of
//! a struct), and secrets that carry their kind in front (`tok_…`, `Bearer …`, a password in a URL).

use std::ops::Range;

/// Parts of a name that say: this is somebody's, or a secret. Sorted, for the search.
const SENSITIVE: [&str; 42] = [
    "address",
    "apikey",
    "auth",
    "authorization",
    "birth",
    "birthdate",
    "birthday",
    "card",
    "city",
    "cookie",
    "credential",
    "credentials",
    "cvc",
    "cvv",
    "dob",
    "email",
    "emails",
    "firstname",
    "fullname",
    "iban",
    "jwt",
    "lastname",
    "line1",
    "line2",
    "mail",
    "mobile",
    "msisdn",
    "pan",
    "passphrase",
    "passwd",
    "password",
    "phone",
    "phones",
    "postcode",
    "recipient",
    "secret",
    "secrets",
    "street",
    "surname",
    "telephone",
    "token",
    "zip",
];
/// Two parts that say so together.
const PAIRS: [(&str, &str); 9] = [
    ("full", "name"),
    ("first", "name"),
    ("last", "name"),
    ("family", "name"),
    ("given", "name"),
    ("api", "key"),
    ("private", "key"),
    ("postal", "code"),
    ("signing", "key"),
];
/// Endings that say: this only counts or describes it.
const HARMLESS: [&str; 10] = ["bytes", "count", "id", "kind", "len", "micros", "ms", "seconds", "status", "version"];
/// What secrets begin with.
const PREFIXES: [&str; 7] = ["tok_", "sk_", "whsec_", "rk_", "ghp_", "eyJ", "pm_"];
/// The shortest end of a secret behind its prefix; below it is a word such as `tok_of`.
const SHORTEST: usize = 4;

/// Whether a field of this name is masked whatever it holds.
#[must_use]
pub fn is_sensitive(name: &str) -> bool {
    if name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        return are_sensitive(name.split('_'));
    }
    // Other spellings (`fullName`, `x-api-key`, `Shipping.Address`) in the usual one.
    let (mut usual, mut lower_before) = (String::with_capacity(name.len() + 4), false);
    for letter in name.chars() {
        if letter.is_uppercase() && lower_before {
            usual.push('_');
        }
        if letter.is_alphanumeric() {
            usual.extend(letter.to_lowercase())
        } else {
            usual.push('_')
        }
        lower_before = letter.is_lowercase() || letter.is_numeric();
    }
    are_sensitive(usual.split('_'))
}

fn are_sensitive<'a>(parts: impl Iterator<Item = &'a str> + Clone) -> bool {
    if let Some(last) = parts.clone().last().filter(|last| HARMLESS.contains(last)) {
        // An id of a card or a token may be used as one; of the others it only points to one.
        return last == "id" && parts.clone().any(|part| matches!(part, "token" | "secret" | "card" | "password"));
    }
    let mut before = "";
    parts.into_iter().any(|part| {
        let pair = (std::mem::replace(&mut before, part), part);
        SENSITIVE.binary_search(&part).is_ok() || PAIRS.contains(&pair)
    })
}

pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"://") {
            url_password(text, at + 3, found);
            at += 3;
            continue;
        }
        if !is_name(bytes[at]) {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|byte| is_name(**byte)).count();
        let word = &text[at..end];
        at = word_at(text, at..end, word, found);
    }
}

/// Looks at one word and says where to go on.
fn word_at(text: &str, range: Range<usize>, word: &str, found: &mut Vec<Range<usize>>) -> usize {
    if let Some(prefix) = PREFIXES.iter().find(|prefix| word.starts_with(**prefix))
        && word.len() >= prefix.len() + SHORTEST
    {
        // A signed token has dots in it.
        let end = range.end + text[range.end..].bytes().take_while(|byte| is_name(*byte) || *byte == b'.').count();
        found.push(range.start..range.start + text[range.start..end].trim_end_matches('.').len());
        return end;
    }
    if is_scheme(word) && text[range.end..].starts_with(' ') {
        let start = range.end + 1;
        let end = start + text[start..].bytes().take_while(|byte| !byte.is_ascii_whitespace() && !b"\"',;)}]".contains(byte)).count();
        let secret = &text[start..end];
        if secret.len() >= 8 && (secret.len() >= 16 || secret.bytes().any(|byte| byte.is_ascii_digit())) {
            found.push(start..end);
            return end;
        }
    }
    // Most words name nothing, which is seen at once; so the question for the name comes last.
    if let Some(value) = value_behind(text, range.end)
        && is_sensitive(word)
    {
        let end = value.end;
        found.push(value);
        return end;
    }
    range.end
}

/// The value that `name` at the left of `at` gives a name to.
fn value_behind(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    // Behind a name in quotes, which may themselves be escaped in a text within a text.
    let mut at = at;
    while matches!(bytes.get(at), Some(b'\\' | b'"' | b'\'')) {
        at += 1;
    }
    let blanks = |at: usize| at + bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let sign = blanks(at);
    let equal = match bytes.get(sign)? {
        b'=' => true,
        b':' if bytes.get(sign + 1) != Some(&b':') => false,
        _ => return None,
    };
    let start = blanks(sign + 1);
    let opens = |byte: u8| matches!(byte, b'"' | b'\'' | b'\\' | b'{' | b'[' | b'(');
    let first = *bytes.get(start)?;
    let word_end = start + bytes[start..].iter().take_while(|byte| is_name(**byte)).count();
    // `Some("…")`, `Address { … }`
    let shaped = bytes.get(blanks(word_end)).is_some_and(|byte| matches!(byte, b'{' | b'(' | b'['));
    let end = if opens(first) || shaped {
        value_end(bytes, start, true)
    } else if equal {
        value_end(bytes, start, false)
    } else {
        // `token: expired` is a sentence, `token: 8f3a…` and `phone: 030…` are not.
        let end = value_end(bytes, start, false);
        let value = &text[start..end];
        if !(value.len() >= 16 && !value.contains(' ') || value.bytes().any(|byte| byte.is_ascii_digit())) {
            return None;
        }
        end
    };
    (end > start && &text[start..end] != super::MASK).then_some(start..end)
}

/// Where a value ends: behind its closing quote or bracket, or before the sign that begins the next one.
fn value_end(bytes: &[u8], start: usize, shaped: bool) -> usize {
    let (mut at, mut depth) = (start, 0_u32);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' if *byte == b'"' || at == start || depth > 0 => {
                at = quote_end(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'\\' if matches!(bytes.get(at + 1), Some(b'"')) => {
                // A quote within a text within a text ends with its like.
                let rest = &bytes[at + 2..];
                let length = rest.windows(2).position(|pair| pair == b"\\\"").map_or(rest.len(), |end| end + 2);
                at += 2 + length;
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' if depth == 0 => return at,
            b'}' | b']' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' | b';' | b'&' | b'\n' | b'\r' if depth == 0 => return at,
            // A name or a street has blanks in it: go on, unless the next word begins something else.
            b' ' | b'\t' if depth == 0 && !shaped && next_is_named(bytes, at + 1) => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn next_is_named(bytes: &[u8], at: usize) -> bool {
    let length = bytes[at..].iter().take_while(|byte| is_name(**byte) || **byte == b'.').count();
    length > 0 && matches!(bytes.get(at + length), Some(b'=' | b':'))
}

fn quote_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            byte if *byte == bytes[open] => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// `user:password@` behind the scheme of a URL.
fn url_password(text: &str, start: usize, found: &mut Vec<Range<usize>>) {
    let rest = &text[start..];
    let rest = &rest[..rest.find([' ', '"', '\'', '\n', '\t', '>']).unwrap_or(rest.len())];
    if let Some(at) = rest.rfind('@')
        && let Some(colon) = rest[..at].find(':')
    {
        found.push(start + colon + 1..start + at);
    }
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "digest"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Letters beyond ASCII are letters, so a range never ends within one.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_sorted_as_the_search_wants_them() {
        assert!(SENSITIVE.is_sorted());
        assert!(SENSITIVE.iter().all(|word| is_sensitive(word)));
    }
}
