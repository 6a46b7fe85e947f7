//! W3C Trace Context (Recommendation of 2021, with the random flag of level 2), read strictly: a value that is not exactly right is no
//! value, since half a trace is worse than a new one.

use std::fmt;

pub(super) const SAMPLED: u8 = 1;
/// Flags that are passed on; the others are for later versions and are cleared.
const KNOWN_FLAGS: u8 = 3;
const MAX_MEMBERS: usize = 32;
/// What everybody must be able to pass on; beyond it, long members go first, then the last ones.
const MAX_STATE: usize = 512;
const LONG_MEMBER: usize = 128;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            pub(super) const ONE: Self = Self({
                let mut bytes = [0; $bytes];
                bytes[$bytes - 1] = 1;
                bytes
            });

            /// Nothing for zero, which is not an id.
            pub(super) fn new(bytes: [u8; $bytes]) -> Option<Self> {
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            #[must_use]
            pub const fn bytes(self) -> [u8; $bytes] {
                self.0
            }

            fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0; $bytes];
                if !is_lower_hex(text) {
                    return None;
                }
                hex::decode_to_slice(text, &mut bytes).ok()?;
                Self::new(bytes)
            }
        }

        /// Lower-case hexadecimal.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; $bytes * 2];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }
    };
}

id!(
    /// Sixteen bytes, not all zero.
    TraceId,
    16
);
id!(
    /// Eight bytes, not all zero.
    SpanId,
    8
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) flags: u8,
}

/// `version-trace-span-flags`. A version after ours may have more behind it, which is not read.
pub(super) fn parse_traceparent(text: &str) -> Option<Parent> {
    let mut parts = text.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let rest = parts.next();
    let two = |text: &str| (text.len() == 2 && is_lower_hex(text)).then(|| u8::from_str_radix(text, 16).ok()).flatten();
    match two(version)? {
        0 if rest.is_some() => return None,
        0xff => return None,
        _ => {}
    }
    Some(Parent { trace: TraceId::parse(trace)?, span: SpanId::parse(span)?, flags: two(flags)? & KNOWN_FLAGS })
}

/// The list in its order, without empty members; nothing when any member is wrong or a key comes twice.
pub(super) fn parse_state(text: &str) -> Option<String> {
    let mut members: Vec<&str> = Vec::new();
    for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=')?;
        let twice = members.iter().any(|known| known.split_once('=').is_some_and(|(known, _)| known == key));
        if twice || !is_key(key) || !is_value(value) {
            return None;
        }
        members.push(member);
    }
    if members.len() > MAX_MEMBERS {
        return None;
    }
    let length = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1);
    while length(&members) > MAX_STATE {
        let long = members.iter().rposition(|member| member.len() > LONG_MEMBER);
        members.remove(long.unwrap_or(members.len() - 1));
    }
    (!members.is_empty()).then(|| members.join(","))
}

fn is_key(key: &str) -> bool {
    let letters = |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'));
    let starts =
        |text: &str, digits: bool| text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || digits && byte.is_ascii_digit());
    match key.split_once('@') {
        Some((tenant, system)) => {
            tenant.len() <= 241 && system.len() <= 14 && starts(tenant, true) && starts(system, false) && letters(tenant) && letters(system)
        }
        None => key.len() <= 256 && starts(key, false) && letters(key),
    }
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=')
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_is_read_strictly() {
        let read = |text: String| parse_traceparent(&text).map(|parent| (parent.trace.to_string(), parent.span.to_string(), parent.flags));
        let right = |flags| Some((TRACE.to_owned(), SPAN.to_owned(), flags));
        assert_eq!(read(format!("00-{TRACE}-{SPAN}-01")), right(1));
        assert_eq!(read(format!("00-{TRACE}-{SPAN}-ff")), right(3));
        assert_eq!(read(format!("cc-{TRACE}-{SPAN}-00-what-the-future-holds")), right(0));
        assert_eq!(read(format!("cc-{TRACE}-{SPAN}-00")), right(0));
        for wrong in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-00.more"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{}é-01", &SPAN[2..]),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn a_tracestate_keeps_its_order_or_is_dropped() {
        let read = |text: &str| parse_state(text);
        assert_eq!(read("a=1, b@c=x y ,,\td=e").as_deref(), Some("a=1,b@c=x y,d=e"));
        assert_eq!(read("1t@sys=1").as_deref(), Some("1t@sys=1"));
        for wrong in ["a", "A=1", "a=", "a=1,a=2", "1a=1", "a=b=c", "a@1b=1", "a=\u{7f}", "a=é", "a b=1", " ,", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        assert_eq!(read(&many.join(",")), None);
        assert!(read(&many[..32].join(",")).is_some());
    }

    #[test]
    fn a_long_tracestate_loses_long_members_first() {
        let (long, short) = (format!("long={}", "x".repeat(200)), format!("first={}", "y".repeat(100)));
        let text = format!("{short},{long},b={},c=1,d={}", "z".repeat(120), "z".repeat(120));
        let kept = parse_state(&text).unwrap();
        assert!(kept.starts_with(&short) && !kept.contains("long") && kept.contains(",c=1,d="), "{kept}");
    }
}
