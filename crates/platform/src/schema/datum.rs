//! Avro's binary encoding, read with suspicion. Before the library may build a value from bytes, [`check`] has walked them: no
//! length that exceeds what is left, no nesting without end, no block of a billion nothings, and the last byte is the last byte.
//! The library alone would allocate what a length claims and recurse as deep as the bytes say.

use serde_json::{Map, Value};
use types::Timestamp;

use super::tree::{Kind, NodeId, Tree};

/// How deep values may nest. A recursive schema with deeper data is refused rather than overflow the stack.
pub(crate) const MOST_DEPTH: u32 = 64;

/// How many values without a single byte (nulls, empty records) a datum may hold.
const MOST_EMPTY_VALUES: usize = 65_536;

/// The bytes are no datum of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {mistake}")]
pub struct DatumError {
    /// Of the datum, without the five bytes before it.
    pub offset: usize,
    pub mistake: String,
}

/// The bytes and how far they are read.
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    position: usize,
    values_left: usize,
}

impl<'a> Input<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, values_left: MOST_EMPTY_VALUES + bytes.len().saturating_mul(MOST_DEPTH as usize) }
    }

    pub const fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    #[cold]
    pub fn wrong(&self, mistake: impl Into<String>) -> DatumError {
        DatumError { offset: self.position, mistake: mistake.into() }
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DatumError> {
        if count > self.left() {
            return Err(self.wrong(format!("{count} bytes are due, and only {} are left", self.left())));
        }
        let taken = &self.bytes[self.position..self.position + count];
        self.position += count;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DatumError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn long(&mut self) -> Result<i64, DatumError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.bytes.get(self.position) else {
                return Err(self.wrong("the bytes end within a number"));
            };
            if shift == 63 && byte > 1 {
                break;
            }
            self.position += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(self.wrong("a number is longer than 64 bits"))
    }

    pub fn int(&mut self) -> Result<i32, DatumError> {
        let value = self.long()?;
        i32::try_from(value).map_err(|_| self.wrong(format!("{value} does not fit an int")))
    }

    pub fn boolean(&mut self) -> Result<bool, DatumError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.wrong(format!("{other} is no boolean"))),
        }
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self) -> Result<&'a [u8], DatumError> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| self.wrong(format!("{length} is no length")))?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<&'a str, DatumError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("a text is not UTF-8"))
    }

    /// A position in a list of `count` branches or symbols.
    pub fn index(&mut self, count: usize) -> Result<usize, DatumError> {
        let index = self.long()?;
        usize::try_from(index)
            .ok()
            .filter(|index| *index < count)
            .ok_or_else(|| self.wrong(format!("{index} is out of range: there are {count} to choose from")))
    }

    /// Reads the blocks of an array or a map, one call of `item` for each item.
    pub fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), DatumError>) -> Result<(), DatumError> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            let end = if count < 0 {
                let size = self.long()?;
                let size = usize::try_from(size).ok().filter(|size| *size <= self.left());
                Some(self.position + size.ok_or_else(|| self.wrong("a block is longer than what is left"))?)
            } else {
                None
            };
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
            if end.is_some_and(|end| end != self.position) {
                return Err(self.wrong("a block does not end where it says"));
            }
        }
    }
}

/// Deeper by one, or an error. Also counts values, so that a few bytes cannot stand for billions of them.
pub(crate) fn deeper(depth: u32, input: &mut Input<'_>) -> Result<u32, DatumError> {
    input.values_left = input.values_left.checked_sub(1).ok_or_else(|| input.wrong("too many values that hold nothing"))?;
    if depth < MOST_DEPTH { Ok(depth + 1) } else { Err(input.wrong(format!("the values nest deeper than {MOST_DEPTH}"))) }
}

/// Walks over one value. Whether texts are UTF-8 is left to whoever reads them.
pub(crate) fn check(tree: &Tree, node: NodeId, input: &mut Input<'_>, depth: u32) -> Result<(), DatumError> {
    let depth = deeper(depth, input)?;
    match tree.kind(node) {
        Kind::Null => {}
        Kind::Boolean => drop(input.boolean()?),
        Kind::Int => drop(input.int()?),
        Kind::Long => drop(input.long()?),
        Kind::Float => drop(input.take(4)?),
        Kind::Double => drop(input.take(8)?),
        Kind::Bytes | Kind::String => drop(input.bytes()?),
        Kind::Fixed { size, .. } => drop(input.take(*size)?),
        Kind::Enum { symbols, .. } => drop(input.index(symbols.len())?),
        Kind::Array(item) => input.blocks(|input| check(tree, *item, input, depth))?,
        Kind::Map(item) => input.blocks(|input| {
            input.bytes()?;
            check(tree, *item, input, depth)
        })?,
        Kind::Union(branches) => {
            let index = input.index(branches.len())?;
            check(tree, branches[index], input, depth)?;
        }
        Kind::Record { fields, .. } => {
            for field in fields {
                check(tree, field.node, input, depth)?;
            }
        }
    }
    Ok(())
}

/// One value as people read it: unions without their branch, moments as RFC 3339, bytes in hexadecimal.
pub(crate) fn to_json(tree: &Tree, node: NodeId, input: &mut Input<'_>, depth: u32) -> Result<Value, DatumError> {
    let depth = deeper(depth, input)?;
    Ok(match tree.kind(node) {
        Kind::Null => Value::Null,
        Kind::Boolean => input.boolean()?.into(),
        Kind::Int => input.int()?.into(),
        Kind::Long => {
            let number = input.long()?;
            match tree.logical(node).map(|logical| logical.name.as_str()) {
                Some("timestamp-micros") => Timestamp::from_micros(number).to_string().into(),
                Some("timestamp-millis") => Timestamp::from_micros(number.saturating_mul(1_000)).to_string().into(),
                _ => number.into(),
            }
        }
        Kind::Float => number(f64::from(f32::from_le_bytes(input.array()?))),
        Kind::Double => number(f64::from_le_bytes(input.array()?)),
        Kind::Bytes => hex::encode(input.bytes()?).into(),
        Kind::String => input.text()?.into(),
        Kind::Fixed { size, .. } => hex::encode(input.take(*size)?).into(),
        Kind::Enum { symbols, .. } => symbols[input.index(symbols.len())?].clone().into(),
        Kind::Array(item) => {
            let mut items = Vec::new();
            input.blocks(|input| {
                items.push(to_json(tree, *item, input, depth)?);
                Ok(())
            })?;
            items.into()
        }
        Kind::Map(item) => {
            let mut entries = Map::new();
            input.blocks(|input| {
                let key = input.text()?.to_owned();
                entries.insert(key, to_json(tree, *item, input, depth)?);
                Ok(())
            })?;
            entries.into()
        }
        Kind::Union(branches) => {
            let index = input.index(branches.len())?;
            to_json(tree, branches[index], input, depth)?
        }
        Kind::Record { fields, .. } => {
            let mut entries = Map::new();
            for field in fields {
                entries.insert(field.name.clone(), to_json(tree, field.node, input, depth)?);
            }
            entries.into()
        }
    })
}

/// JSON knows no infinity and no NaN; they become text.
fn number(value: f64) -> Value {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

pub(crate) fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut left = (value << 1 ^ value >> 63).cast_unsigned();
    while left > 0x7f {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_long(out, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_overlong_ones_are_refused() {
        for number in [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            write_long(&mut bytes, number);
            assert_eq!(Input::new(&bytes).long(), Ok(number));
        }
        assert!(Input::new(&[0xff; 9]).long().is_err());
        assert!(Input::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).long().is_err());
        assert!(Input::new(&[0xff; 11]).long().is_err());
    }

    fn check_all(schema: &str, bytes: &[u8]) -> Result<usize, DatumError> {
        let tree = Tree::parse(schema).expect("the test's schema is good");
        let mut input = Input::new(bytes);
        check(&tree, tree.root, &mut input, 0).map(|()| input.left())
    }

    #[test]
    fn a_length_never_exceeds_what_is_left() {
        let mut bytes = Vec::new();
        write_long(&mut bytes, 400_000_000);
        bytes.extend(b"abc");
        assert!(check_all(r#""bytes""#, &bytes).is_err());
        assert!(check_all(r#""string""#, &[1]).is_err(), "a length of -1 was taken");
    }

    #[test]
    fn a_block_of_a_billion_nulls_is_refused_and_a_few_are_not() {
        let mut bytes = Vec::new();
        write_long(&mut bytes, 1_000_000_000);
        bytes.push(0);
        assert!(check_all(r#"{"type":"array","items":"null"}"#, &bytes).is_err());
        assert_eq!(check_all(r#"{"type":"array","items":"null"}"#, &[6, 0]), Ok(0));
    }

    #[test]
    fn endless_nesting_is_refused() {
        let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
        let mut bytes = vec![2; 1_000_000];
        bytes.push(0);
        assert!(check_all(list, &bytes).is_err_and(|error| error.mistake.contains("deeper")));
        assert_eq!(check_all(list, &[2, 2, 0]), Ok(0));
        let loop_of_records = r#"{"type":"record","name":"L","fields":[{"name":"next","type":"L"}]}"#;
        assert!(check_all(loop_of_records, &[]).is_err());
    }

    #[test]
    fn a_block_must_end_where_it_says() {
        let ints = r#"{"type":"array","items":"int"}"#;
        assert_eq!(check_all(ints, &[3, 4, 2, 4, 0]), Ok(0)); // two items in two bytes
        assert!(check_all(ints, &[3, 6, 2, 4, 0]).is_err());
        assert!(check_all(ints, &[3, 1, 2, 4, 0]).is_err());
    }
}
