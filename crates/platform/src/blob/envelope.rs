//! The file of an object: its bytes, and behind them 256 that say what they are. One file, because two (the bytes and their
//! description) would be seen apart by a reader and torn apart by a crash; behind the bytes and not before, so that most programs
//! still open the file; of a fixed length, so that the size of an object follows from its file's.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Object, ObjectInfo};

pub(super) const TRAILER_BYTES: u64 = 256;
pub(super) const CONTENT_TYPE_MAX_BYTES: usize = 127;
const MARK: &str = "\ncrashcart-blob-1 ";

/// What these bytes are; nothing if that is no media type.
pub(super) fn describe(bytes: &[u8], content_type: &str) -> Option<ObjectInfo> {
    let content_type = content_type.trim();
    let printable = content_type.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let (kind, rest) = content_type.split_once('/')?;
    if !printable || kind.is_empty() || rest.is_empty() || content_type.len() > CONTENT_TYPE_MAX_BYTES {
        return None;
    }
    Some(info(bytes.len() as u64, hex::encode(Sha256::digest(bytes)), content_type))
}

pub(super) fn trailer(info: &ObjectInfo) -> Bytes {
    let text = format!("{MARK}{} {}", info.sha256, info.content_type);
    format!("{text:<width$}\n", width = TRAILER_BYTES as usize - 1).into()
}

/// The description at the end of a file of `size` bytes.
pub(super) fn read_trailer(size: u64, end: &[u8]) -> Option<ObjectInfo> {
    if end.len() as u64 != TRAILER_BYTES {
        return None;
    }
    let (sha256, content_type) = std::str::from_utf8(end).ok()?.strip_prefix(MARK)?.split_once(' ')?;
    let known = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    known.then(|| info(size - TRAILER_BYTES, sha256.to_owned(), content_type.trim_end()))
}

/// The object in a file, if its bytes are those that were described.
pub(super) fn open(file: &Bytes) -> Option<Object> {
    let at = file.len().checked_sub(TRAILER_BYTES as usize)?;
    let info = read_trailer(file.len() as u64, &file[at..])?;
    let bytes = file.slice(..at);
    (hex::encode(Sha256::digest(&bytes)) == info.sha256).then_some(Object { info, bytes })
}

/// The tag is made of the digest, so it is the same on every floor and after every restart.
pub(super) fn info(size: u64, sha256: String, content_type: &str) -> ObjectInfo {
    ObjectInfo { size, etag: format!("\"{}\"", &sha256[..32]), sha256, content_type: content_type.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &'static [u8], content_type: &str) -> Vec<u8> {
        [bytes, &trailer(&describe(bytes, content_type).unwrap())].concat()
    }

    #[test]
    fn a_file_opens_to_what_was_described() {
        let longest = format!("text/{}", "x".repeat(122));
        for (bytes, content_type) in [(&b""[..], "text/plain"), (b"hello", "text/plain; charset=\"utf-8\""), (b"\n\n", longest.as_str())] {
            let file = Bytes::from(file(bytes, content_type));
            assert_eq!(file.len(), bytes.len() + 256);
            let object = open(&file).unwrap();
            assert_eq!((&object.bytes[..], object.info.content_type.as_str()), (bytes, content_type));
            assert_eq!(object.info, describe(bytes, content_type).unwrap());
        }
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_does_not_open_as_something_else() {
        let whole = file(b"hello", "text/plain");
        for length in 0..whole.len() {
            assert_eq!(open(&Bytes::copy_from_slice(&whole[..length])), None, "cut to {length}");
        }
        for at in 0..5 + MARK.len() + 64 {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(open(&changed.into()), None, "changed at {at}");
        }
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for content_type in ["", "png", "/png", "image/", "image/p\u{e4}", "image/png\n", "a/\nb", &format!("a/{}", "x".repeat(126))] {
            let refused = describe(b"", content_type).is_none();
            assert_eq!(refused, content_type != "image/png\n", "{content_type:?}");
        }
    }
}
