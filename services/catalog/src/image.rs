//! What an image says of itself in its first bytes: its kind and its size. A file whose name and media type say one thing and whose
//! bytes another is not shown to anybody. Left out: whether the rest can be drawn. Pure.

/// The kinds of image that a product may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Png,
    Jpeg,
    Gif,
    Webp,
}

/// What a file begins like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    pub kind: Kind,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

impl Kind {
    pub const ALL: &[Self] = &[Self::Png, Self::Jpeg, Self::Gif, Self::Webp];

    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// The kind of this media type, whatever its parameters and case.
    #[must_use]
    pub fn of_media_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or("").trim();
        Self::ALL.iter().copied().find(|kind| kind.media_type().eq_ignore_ascii_case(essence))
    }
}

/// The media types that are taken, for people.
#[must_use]
pub fn media_types() -> String {
    Kind::ALL.iter().map(|kind| kind.media_type()).collect::<Vec<_>>().join(", ")
}

/// Looks at the first bytes; nothing when they are of no image that we know, or end within its header.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Option<Image> {
    let (kind, width, height) = png(bytes).or_else(|| gif(bytes)).or_else(|| webp(bytes)).or_else(|| jpeg(bytes))?;
    (width > 0 && height > 0).then_some(Image { kind, width, height })
}

type Found = (Kind, u32, u32);

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn png(bytes: &[u8]) -> Option<Found> {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n").then_some(())?;
    (part(bytes, 12)? == *b"IHDR").then_some(())?;
    Some((Kind::Png, u32::from_be_bytes(part(bytes, 16)?), u32::from_be_bytes(part(bytes, 20)?)))
}

fn gif(bytes: &[u8]) -> Option<Found> {
    (bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a")).then_some(())?;
    Some((Kind::Gif, u16::from_le_bytes(part(bytes, 6)?).into(), u16::from_le_bytes(part(bytes, 8)?).into()))
}

fn webp(bytes: &[u8]) -> Option<Found> {
    (bytes.starts_with(b"RIFF") && part(bytes, 8)? == *b"WEBP").then_some(())?;
    let (width, height) = match &part::<4>(bytes, 12)? {
        b"VP8X" => (1 + u24(part(bytes, 24)?), 1 + u24(part(bytes, 27)?)),
        b"VP8L" => {
            (*bytes.get(20)? == 0x2f).then_some(())?;
            let bits = u32::from_le_bytes(part(bytes, 21)?);
            (1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff))
        }
        b"VP8 " => {
            (part(bytes, 23)? == [0x9d, 0x01, 0x2a]).then_some(())?;
            let side = |at| Some(u32::from(u16::from_le_bytes(part(bytes, at)?) & 0x3fff));
            (side(26)?, side(28)?)
        }
        _ => return None,
    };
    Some((Kind::Webp, width, height))
}

fn u24([low, middle, high]: [u8; 3]) -> u32 {
    u32::from_le_bytes([low, middle, high, 0])
}

/// A JPEG's size stands in its first frame header, behind any number of other segments.
fn jpeg(bytes: &[u8]) -> Option<Found> {
    bytes.starts_with(&[0xff, 0xd8, 0xff]).then_some(())?;
    let mut at = 2;
    loop {
        (*bytes.get(at)? == 0xff).then_some(())?;
        match *bytes.get(at + 1)? {
            // Any number of 0xff may stand before a marker.
            0xff => at += 1,
            // These have no length: what stands alone.
            0x01 | 0xd0..=0xd8 => at += 2,
            // The frame headers; the three that are left out are tables.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let height = u16::from_be_bytes(part(bytes, at + 5)?);
                let width = u16::from_be_bytes(part(bytes, at + 7)?);
                return Some((Kind::Jpeg, width.into(), height.into()));
            }
            // The picture begins, or the file ends, without a frame header.
            0xd9 | 0xda => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes(part(bytes, at + 2)?));
                (length >= 2).then_some(())?;
                at += 2 + length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat()
    }

    #[test]
    fn each_kind_is_known_by_its_header() {
        let image = |kind, width, height| Some(Image { kind, width, height });
        assert_eq!(sniff(&png(640, 480)), image(Kind::Png, 640, 480));
        assert_eq!(sniff(b"GIF89a\x40\x01\xf0\x00\0\0\0"), image(Kind::Gif, 320, 240));
        let jpeg = [&[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2][..], &[0xff, 0xff, 0xc0, 0, 17, 8, 0, 240, 1, 64, 3]].concat();
        assert_eq!(sniff(&jpeg), image(Kind::Jpeg, 320, 240));
        let vp8x = [b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".as_slice(), &[0x3f, 1, 0], &[0xef, 0, 0]].concat();
        assert_eq!(sniff(&vp8x), image(Kind::Webp, 320, 240));
        let vp8 = [b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a".as_slice(), &[0x40, 1, 0xf0, 0]].concat();
        assert_eq!(sniff(&vp8), image(Kind::Webp, 320, 240));
        let bits = (320_u32 - 1) | (240 - 1) << 14;
        let vp8l = [b"RIFF\0\0\0\0WEBPVP8L\x0a\0\0\0\x2f".as_slice(), &bits.to_le_bytes()].concat();
        assert_eq!(sniff(&vp8l), image(Kind::Webp, 320, 240));
    }

    #[test]
    fn what_is_no_image_or_has_no_size_is_none() {
        for bytes in [
            b"".as_slice(),
            b"<html>",
            b"%PDF-1.7",
            b"RIFF\0\0\0\0WAVEfmt ",
            &[0xff, 0xd8, 0xff, 0xda, 0, 2],
            &[0xff, 0xd8, 0xff, 0xe0, 0, 0],
        ] {
            assert_eq!(sniff(bytes), None, "{bytes:?}");
        }
        assert_eq!(sniff(&png(0, 10)), None);
        assert_eq!(sniff(&png(10, 10)[..20]), None, "cut");
    }

    #[test]
    fn media_types_are_read_without_their_parameters() {
        assert_eq!(Kind::of_media_type("Image/PNG; q=1"), Some(Kind::Png));
        assert_eq!(Kind::of_media_type("image/svg+xml"), None);
        assert_eq!(media_types(), "image/png, image/jpeg, image/gif, image/webp");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_stumble(head in 0_usize..4, rest in prop::collection::vec(any::<u8>(), 0..64)) {
            let heads: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", &[0xff, 0xd8, 0xff]];
            let _ = sniff(&[heads[head], &rest].concat());
        }
    }
}
