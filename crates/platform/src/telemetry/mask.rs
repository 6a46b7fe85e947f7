//! Personal data and secrets stay out of log lines (architecture: PII out of logs and events). Two nets, since neither is enough:
//! a field whose name says what it holds is masked whatever it holds, and in every text what looks like an e-mail address, a phone
//! number, a card number, a secret, a password in a URL, or a named value (`"phone":"…"`, `full_name=…`) is masked wherever it stands.
//!
//! What no scan can find is a name or a street in the middle of a sentence; who logs writes ids. Words are masked rather once too
//! often: a log line is not a store of data.

mod numbers;
mod words;

use std::{borrow::Cow, ops::Range};

pub use self::numbers::is_card;
pub use self::words::is_sensitive;

/// What stands in place of what was masked.
pub const MASK: &str = "[masked]";

/// The text without what nobody should read; borrowed when there was nothing.
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    if !is_suspicious(text) {
        return Cow::Borrowed(text);
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    emails(text, &mut found);
    words::find(text, &mut found);
    numbers::find(text, &mut found);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|range| (range.start, range.end));
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for range in found {
        if range.start >= end {
            out.push_str(&text[end..range.start]);
            out.push_str(MASK);
        }
        end = end.max(range.end);
    }
    out.push_str(&text[end..]);
    Cow::Owned(out)
}

/// One pass over the bytes, which is all that most texts cost.
fn is_suspicious(text: &str) -> bool {
    let (mut digits, mut marks) = (0_u32, false);
    for byte in text.bytes() {
        digits += u32::from(byte.is_ascii_digit());
        marks |= matches!(byte, b'@' | b'=' | b':' | b'_');
    }
    marks || digits >= 7 || ["earer ", "asic ", "igest ", "eyJ"].iter().any(|sign| text.contains(sign))
}

/// `local@domain.tld`; letters beyond ASCII count as parts of a name.
fn emails(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('@') {
        let local = |byte: &&u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(byte) || !byte.is_ascii();
        let mut start = at - bytes[..at].iter().rev().take_while(local).count();
        // `to=ann@example.com`: what stands before the sign is a name, unless nothing is left then.
        if let Some(sign) = text[start..at].rfind(['=', '{', '\'', '`']).filter(|sign| start + sign + 1 < at) {
            start += sign + 1;
        }
        let domain = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || !byte.is_ascii();
        let end = at + 1 + bytes[at + 1..].iter().take_while(domain).count();
        let host = text[at + 1..end].trim_end_matches(['.', '-']);
        if start < at && host.contains('.') && !host.starts_with('.') {
            found.push(start..at + 1 + host.len());
        } else if start == at && bytes[..at].last() == Some(&b'"') && host.contains('.') {
            // `"ann lee"@example.com`
            if let Some(open) = text[..at - 1].rfind('"') {
                found.push(open..at + 1 + host.len());
            }
        }
    }
}

#[cfg(test)]
mod tests;
