//! What a key may look like, and where its object is. A key is part of a URL and, on disk, a path; so it is made of few characters and
//! cannot lead out of its folder. Its file has an ending that no segment of a key has: `a` and `a/b` can both be objects, as in any
//! object storage, though no folder has a file and a folder of one name.

use object_store::path::Path;

use super::BlobError;

pub(super) const KEY_MAX_BYTES: usize = 512;
/// File systems allow 255; the ending and the mark of a file that is being written need some.
pub(super) const SEGMENT_MAX_BYTES: usize = 200;
const ENDING: &str = ".blob";
/// Behind a key in S3. Some stores keep objects as files too and find `a/b` no more once there is an `a`, so a name needs an end there as well;
/// this one stands before every letter that a key may have, so that names are in the order of their keys and a page can begin anywhere.
#[cfg(feature = "engines")]
const MARK: char = '!';

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it must have 1 to {KEY_MAX_BYTES} bytes")]
    Length,
    #[error("each part between slashes must have 1 to {SEGMENT_MAX_BYTES} bytes")]
    Segment,
    #[error("a part must not be `.` or `..` or begin with a dot, nor end in `{ENDING}`")]
    Dots,
    #[error("it may have letters, digits, `-`, `_`, `=` and `.` only, and slashes between its parts")]
    Character,
}

/// The file of the object with this key.
pub(super) fn path(key: &str) -> Result<Path, BlobError> {
    check(key).map_err(|source| refused(key, source))?;
    Ok(Path::from(format!("{key}{ENDING}")))
}

/// The folder of a prefix; none for all.
pub(super) fn folder(prefix: &str) -> Result<Option<Path>, BlobError> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        return Ok(None);
    }
    check(prefix).map_err(|source| refused(prefix, source))?;
    Ok(Some(Path::from(prefix)))
}

/// The key of the object in this file; none for a file that is no object.
pub(super) fn of_file(path: &Path) -> Option<&str> {
    path.as_ref().strip_suffix(ENDING).filter(|key| check(key).is_ok())
}

/// The name of the object with this key in S3.
#[cfg(feature = "engines")]
pub(super) fn name(key: &str) -> String {
    format!("{key}{MARK}")
}

/// The key of the object with this name in S3; none for what is no object of ours.
#[cfg(feature = "engines")]
pub(super) fn of_name(name: &str) -> Option<&str> {
    name.strip_suffix(MARK).filter(|key| check(key).is_ok())
}

fn check(key: &str) -> Result<(), KeyError> {
    if !(1..=KEY_MAX_BYTES).contains(&key.len()) {
        return Err(KeyError::Length);
    }
    for segment in key.split('/') {
        if !(1..=SEGMENT_MAX_BYTES).contains(&segment.len()) {
            return Err(KeyError::Segment);
        }
        if segment.starts_with('.') || segment.ends_with(ENDING) {
            return Err(KeyError::Dots);
        }
        if !segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=.".contains(&byte)) {
            return Err(KeyError::Character);
        }
    }
    Ok(())
}

fn refused(key: &str, source: KeyError) -> BlobError {
    BlobError::Key { key: key.chars().take(64).collect(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "engines")]
    #[test]
    fn names_in_s3_are_in_the_order_of_their_keys() {
        let mut keys = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "a=b", "a_b", "aA", "ab", "b"];
        keys.sort_unstable();
        let mut names = keys.map(name);
        names.sort_unstable();
        assert!(names.iter().map(|name| of_name(name).unwrap()).eq(keys));
    }

    #[test]
    fn keys_that_could_lead_astray_are_refused_with_the_reason() {
        let (long, segment) = ("a/".repeat(256) + "a", "a".repeat(201));
        for (key, error) in [
            ("", KeyError::Length),
            (long.as_str(), KeyError::Length),
            (segment.as_str(), KeyError::Segment),
            ("/a", KeyError::Segment),
            ("a/", KeyError::Segment),
            ("a//b", KeyError::Segment),
            ("..", KeyError::Dots),
            ("a/../b", KeyError::Dots),
            ("./a", KeyError::Dots),
            ("a/.hidden", KeyError::Dots),
            ("a.blob/b", KeyError::Dots),
            ("a\\b", KeyError::Character),
            ("a%2e", KeyError::Character),
            ("a b", KeyError::Character),
            ("a#1", KeyError::Character),
            ("a\0", KeyError::Character),
            ("ä", KeyError::Character),
        ] {
            assert_eq!(check(key), Err(error), "{key:?}");
        }
        for key in ["a", "support/cases/0197-a_b/photo.1.png", "day=2026-01-05/x", "a..b", &"a".repeat(200)] {
            assert_eq!(check(key), Ok(()), "{key:?}");
        }
    }
}
