//! Values to PostgreSQL and cells from it, in its binary format: `bigint`, `text`, `bytea`, `boolean`, `uuid`, `timestamptz`, `jsonb`.
//!
//! Said here and not by the driver's own conversions, since each of those would bring a crate for a type that we have already.

use sqlx::{
    Encode, Postgres, Row, Type, TypeInfo, ValueRef,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgRow, PgTypeInfo, PgValueFormat, types::Oid},
};
use types::{Timestamp, id::Uuid};

use crate::db::{Cell, Kind, Value};

/// PostgreSQL counts from the year 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Before the text of a `jsonb`: the version of its format.
const JSONB: u8 = 1;

/// A value on its way. A NULL has its kind, too.
#[derive(Debug)]
pub(in crate::db) struct Bound<'v>(pub(in crate::db) &'v Value);

/// The numbers of built-in types, which are the same everywhere.
const fn type_of(kind: Kind) -> PgTypeInfo {
    PgTypeInfo::with_oid(Oid(match kind {
        Kind::Integer => 20,
        Kind::Text => 25,
        Kind::Bytes => 17,
        Kind::Bool => 16,
        Kind::Uuid => 2950,
        Kind::Time => 1184,
        Kind::Json => 3802,
    }))
}

impl Type<Postgres> for Bound<'_> {
    /// Each value says its own ([`Encode::produces`]).
    fn type_info() -> PgTypeInfo {
        type_of(Kind::Text)
    }
}

impl Encode<'_, Postgres> for Bound<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self.0 {
            Value::Null(_) => return Ok(IsNull::Yes),
            Value::Integer(number) => buffer.extend_from_slice(&number.to_be_bytes()),
            Value::Text(text) => buffer.extend_from_slice(text.as_bytes()),
            Value::Bytes(bytes) => buffer.extend_from_slice(bytes),
            Value::Bool(yes) => buffer.push(u8::from(*yes)),
            Value::Uuid(id) => buffer.extend_from_slice(id.as_bytes()),
            Value::Time(moment) => {
                let micros = moment.micros().checked_sub(EPOCH_MICROS).ok_or("the time is before all that PostgreSQL knows")?;
                buffer.extend_from_slice(&micros.to_be_bytes());
            }
            Value::Json(json) => {
                buffer.push(JSONB);
                buffer.extend_from_slice(json.to_string().as_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(type_of(self.0.kind()))
    }
}

pub(in crate::db) fn cell_of(row: &PgRow, index: usize) -> Result<Cell<'_>, String> {
    let value = row.try_get_raw(index).map_err(|error| error.to_string())?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    if value.format() != PgValueFormat::Binary {
        return Err("it was not asked for in the binary format".into());
    }
    let bytes = value.as_bytes().map_err(|error| error.to_string())?;
    let text = |bytes| std::str::from_utf8(bytes).map(Cell::Text).map_err(|error| error.to_string());
    let kind = value.type_info();
    match kind.name() {
        "INT8" => Ok(Cell::Integer(i64::from_be_bytes(exactly(bytes)?))),
        "INT4" => Ok(Cell::Integer(i32::from_be_bytes(exactly(bytes)?).into())),
        "INT2" => Ok(Cell::Integer(i16::from_be_bytes(exactly(bytes)?).into())),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "JSON" => text(bytes),
        "JSONB" => match bytes {
            [JSONB, json @ ..] => text(json),
            _ => Err("it is JSON in a format that is not known".into()),
        },
        "BYTEA" => Ok(Cell::Bytes(bytes)),
        "BOOL" => Ok(Cell::Bool(exactly::<1>(bytes)? != [0])),
        "UUID" => Ok(Cell::Uuid(Uuid::from_bytes(exactly(bytes)?))),
        "TIMESTAMPTZ" => match i64::from_be_bytes(exactly(bytes)?).checked_add(EPOCH_MICROS) {
            Some(micros) => Ok(Cell::Time(Timestamp::from_micros(micros))),
            None => Err("the time is beyond all that we know".into()),
        },
        "NUMERIC" => whole(bytes).map(Cell::Integer),
        other => Err(format!("{other}, which no column of ours holds")),
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("expected {N} bytes, found {}", bytes.len()))
}

/// A `numeric` without a fraction, which is what the sum of a `bigint` column is: digits to the base of 10,000 behind a head of four numbers.
fn whole(bytes: &[u8]) -> Result<i64, String> {
    let unfit = || "it is no whole number that fits".to_owned();
    let numbers: Vec<i64> =
        bytes.chunks(2).map(|two| exactly::<2>(two).map(|two| i64::from(i16::from_be_bytes(two)))).collect::<Result<_, _>>()?;
    let [_, weight, sign, _, digits @ ..] = numbers.as_slice() else { return Err(unfit()) };
    if !matches!(sign, 0 | 0x4000) || (digits.len() as i64 > weight + 1) {
        return Err(unfit());
    }
    let mut sum: i64 = 0;
    for place in 0..=*weight {
        let digit = usize::try_from(place).ok().and_then(|place| digits.get(place)).copied().unwrap_or(0);
        // Downwards, where there is room for one more.
        sum = sum.checked_mul(10_000).and_then(|sum| sum.checked_sub(digit)).ok_or_else(unfit)?;
    }
    if *sign == 0 { sum.checked_neg().ok_or_else(unfit) } else { Ok(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_read_when_it_is_whole_and_fits() {
        let numeric = |numbers: &[i16]| whole(&numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>());
        assert_eq!(numeric(&[0, 0, 0, 0]), Ok(0));
        assert_eq!(numeric(&[2, 1, 0, 0, 12, 3_456]), Ok(123_456));
        assert_eq!(numeric(&[1, 2, 0, 0, 7]), Ok(700_000_000));
        assert_eq!(numeric(&[5, 4, 0x4000, 0, 922, 3_372, 368, 5_477, 5_808]), Ok(i64::MIN));
        assert_eq!(numeric(&[5, 4, 0, 0, 922, 3_372, 368, 5_477, 5_807]), Ok(i64::MAX));
        assert!(numeric(&[5, 4, 0, 0, 922, 3_372, 368, 5_477, 5_808]).is_err());
        assert!(numeric(&[1, -1, 0, 1, 5_000]).is_err(), "a half");
        assert!(numeric(&[0, 0, -16_384, 0]).is_err(), "not a number");
    }
}
