//! How the bus lies in its store: which key holds what, and the bytes of an event. Numbers in keys are big-endian, so that keys sort
//! by topic, partition, offset.
//!
//! | key | value |
//! | --- | --- |
//! | `t` topic | [`TopicRecord`] |
//! | `s` topic id, partition | the first offset that is still kept |
//! | `e` topic id, partition, offset | an event |
//! | `o` group, 0, topic id, partition | the next offset that the group wants |
//! | `p` group, 0, topic id, key | [`Parked`] |

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use types::Timestamp;

use super::{
    BusError, Outgoing,
    headers::{self, Headers},
};

/// A partition: the topic's number and the partition's.
pub(super) type Place = (u32, u32);

/// The first byte of an event, so that another layout can come later.
const EVENT_LAYOUT: u8 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TopicRecord {
    pub id: u32,
    pub partitions: u32,
    pub retention_micros: Option<u64>,
}

/// A key whose events a group no longer tries, because one of them could not be handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parked {
    pub since_micros: i64,
    pub error: String,
    /// The offsets, in the dead-letter topic, of the first and the last event that waits.
    pub first: u64,
    pub last: u64,
    pub waiting: u64,
}

pub(super) fn topic_key(name: &str) -> Vec<u8> {
    [b"t", name.as_bytes()].concat()
}

pub(super) fn start_key(place: Place) -> Vec<u8> {
    placed(b"s", place)
}

pub(super) fn partition_prefix(place: Place) -> Vec<u8> {
    placed(b"e", place)
}

pub(super) fn event_key(place: Place, offset: u64) -> Vec<u8> {
    let mut key = placed(b"e", place);
    key.extend(offset.to_be_bytes());
    key
}

pub(super) fn offset_key(group: &str, place: Place) -> Vec<u8> {
    let mut key = [b"o", group.as_bytes(), b"\0"].concat();
    key.extend(place.0.to_be_bytes());
    key.extend(place.1.to_be_bytes());
    key
}

pub(super) fn parked_key(group: &str, topic: u32, key: &str) -> Vec<u8> {
    let mut bytes = [b"p", group.as_bytes(), b"\0"].concat();
    bytes.extend(topic.to_be_bytes());
    bytes.extend(key.as_bytes());
    bytes
}

fn placed(kind: &[u8], place: Place) -> Vec<u8> {
    let mut key = kind.to_vec();
    key.extend(place.0.to_be_bytes());
    key.extend(place.1.to_be_bytes());
    key
}

/// The place behind the one-letter kind of a key.
pub(super) fn read_place(key: &[u8]) -> Option<Place> {
    let mut rest = key.get(1..)?;
    Some((rest.try_get_u32().ok()?, rest.try_get_u32().ok()?))
}

/// Group and place of an `o` key.
pub(super) fn read_offset_key(key: &[u8]) -> Option<(String, Place)> {
    let (group, mut rest) = split_group(key)?;
    Some((group, (rest.try_get_u32().ok()?, rest.try_get_u32().ok()?)))
}

/// Group, topic and key of a `p` key.
pub(super) fn read_parked_key(key: &[u8]) -> Option<(String, u32, String)> {
    let (group, mut rest) = split_group(key)?;
    let topic = rest.try_get_u32().ok()?;
    Some((group, topic, String::from_utf8(rest.to_vec()).ok()?))
}

fn split_group(key: &[u8]) -> Option<(String, &[u8])> {
    let rest = key.get(1..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some((String::from_utf8(rest.get(..end)?.to_vec()).ok()?, rest.get(end + 1..)?))
}

pub(super) fn read_number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

pub(super) fn number(value: u64) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

pub(super) fn unreadable(what: &str) -> BusError {
    BusError::Unreadable(what.to_owned())
}

/// An event without its place, which its key tells.
#[derive(Debug)]
pub(super) struct Stored {
    pub timestamp: Timestamp,
    pub key: String,
    pub headers: Headers,
    pub value: Bytes,
}

/// The bytes that an event takes in the store; more than its value by its key, its headers and their lengths.
pub(super) fn event_size(event: &Outgoing) -> usize {
    17 + event.key.len() + event.headers.iter().map(|(name, value)| 8 + name.len() + value.len()).sum::<usize>() + event.value.len()
}

pub(super) fn write_event(event: &Outgoing, timestamp: Timestamp) -> Bytes {
    let mut bytes = BytesMut::with_capacity(event_size(event));
    let text = |bytes: &mut BytesMut, text: &str| {
        // An event is checked to be far below 4 GiB before it comes here.
        bytes.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        bytes.put_slice(text.as_bytes());
    };
    bytes.put_u8(EVENT_LAYOUT);
    bytes.put_i64(timestamp.micros());
    text(&mut bytes, &event.key);
    bytes.put_u32(u32::try_from(event.headers.len()).unwrap_or(u32::MAX));
    headers::write(&mut bytes, &event.headers);
    bytes.put_slice(&event.value);
    bytes.freeze()
}

pub(super) fn read_event(mut bytes: Bytes) -> Option<Stored> {
    let text = |bytes: &mut Bytes| {
        let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        (length <= bytes.len()).then(|| String::from_utf8(bytes.split_to(length).to_vec()).ok())?
    };
    if bytes.try_get_u8().ok()? != EVENT_LAYOUT {
        return None;
    }
    let timestamp = Timestamp::from_micros(bytes.try_get_i64().ok()?);
    let key = text(&mut bytes)?;
    let count = bytes.try_get_u32().ok()?;
    let headers = Headers::take(&mut bytes, count)?;
    Some(Stored { timestamp, key, headers, value: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_was_and_a_torn_one_is_refused() {
        let headers = vec![("ce_type".to_owned(), "order.created.v1".to_owned()), (String::new(), "ü".to_owned())];
        let event = Outgoing { topic: "t".into(), key: "k-1".into(), value: Bytes::from_static(b"\x00value"), headers };
        let bytes = write_event(&event, Timestamp::from_micros(7));
        assert_eq!(bytes.len(), event_size(&event));
        let stored = read_event(bytes.clone()).unwrap();
        assert_eq!((stored.timestamp.micros(), stored.key.as_str(), stored.value), (7, "k-1", event.value.clone()));
        assert_eq!(stored.headers.to_vec(), event.headers);
        for length in 0..bytes.len() - event.value.len() {
            assert!(read_event(bytes.slice(..length)).is_none(), "{length} bytes");
        }
        assert!(read_event(Bytes::from_static(b"\x09rubbish-of-another-layout")).is_none());
    }

    #[test]
    fn keys_sort_by_offset_and_tell_what_they_hold() {
        assert!(event_key((1, 2), 255) < event_key((1, 2), 256));
        assert!(event_key((1, 2), u64::MAX) < event_key((1, 3), 0));
        assert_eq!(read_offset_key(&offset_key("order", (3, 4))), Some(("order".to_owned(), (3, 4))));
        assert_eq!(read_parked_key(&parked_key("order", 3, "k")), Some(("order".to_owned(), 3, "k".to_owned())));
        assert_eq!(read_place(&start_key((5, 6))), Some((5, 6)));
    }
}
