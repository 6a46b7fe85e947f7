//! An event's headers as they lie in the store. They are read when somebody asks for one, so handing an event on, to each of its
//! consumers and back into a batch, copies none of them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Names and values in the order in which they were given; a name may come twice.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// For each header the length of its name, its name, the length of its value, its value; checked when they were read.
    bytes: Bytes,
}

impl Headers {
    /// Takes `count` headers from the front of what was stored; nothing if that is not what lies there.
    pub(super) fn take(stored: &mut Bytes, count: u32) -> Option<Self> {
        let whole = stored.clone();
        for _ in 0..count.checked_mul(2)? {
            let length = usize::try_from(stored.try_get_u32().ok()?).ok()?;
            std::str::from_utf8(stored.get(..length)?).ok()?;
            stored.advance(length);
        }
        Some(Self { bytes: whole.slice(..whole.len() - stored.len()) })
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.bytes.as_ref();
        std::iter::from_fn(move || Some((next(&mut rest)?, next(&mut rest)?)))
    }

    /// The value of the last header of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().filter(|(found, _)| *found == name).last().map(|(_, value)| value)
    }

    /// As they are published.
    #[must_use]
    pub fn to_vec(&self) -> Vec<(String, String)> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

/// Writes headers as [`Headers::take`] reads them.
pub(super) fn write(bytes: &mut BytesMut, headers: &[(String, String)]) {
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        // An event is checked to be far below 4 GiB before it comes here.
        bytes.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        bytes.put_slice(text.as_bytes());
    }
}

impl From<Vec<(String, String)>> for Headers {
    fn from(headers: Vec<(String, String)>) -> Self {
        let mut bytes = BytesMut::new();
        write(&mut bytes, &headers);
        Self { bytes: bytes.freeze() }
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_the_rest_is_left() {
        let headers = vec![("a".to_owned(), "1".to_owned()), (String::new(), "ü".to_owned()), ("a".to_owned(), "2".to_owned())];
        let mut bytes = BytesMut::new();
        write(&mut bytes, &headers);
        bytes.put_slice(b"rest");
        let mut stored = bytes.freeze();
        let read = Headers::take(&mut stored, 3).unwrap();
        assert_eq!((read.to_vec(), stored.as_ref()), (headers.clone(), &b"rest"[..]));
        assert_eq!((read.get("a"), read.get("b")), (Some("2"), None));
        assert_eq!(read, headers.into());
    }

    #[test]
    fn what_cannot_be_headers_is_none() {
        for stored in [&b"\0\0\0\x05a"[..], b"\0\0\0\x01\xff\0\0\0\0", b"\0\0", b"\xff\xff\xff\xff"] {
            assert_eq!(Headers::take(&mut Bytes::from_static(stored), 1), None);
        }
        assert_eq!(Headers::take(&mut Bytes::new(), u32::MAX), None);
    }
}
