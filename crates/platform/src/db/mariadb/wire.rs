//! Values to MariaDB and cells from it, in its binary format: `bigint`, `varchar` and `text`, `varbinary` and `blob`, `boolean`, `binary(16)`,
//! `datetime(6)` in UTC, `json`.
//!
//! Said here and not by the driver's own conversions, since each of those would bring a crate for a type that we have already. What a column is
//! for the engine (a byte that says yes or no, sixteen bytes that are an id) is more than its type says, so the reader's type decides.

use sqlx::{
    Decode, Encode, MySql, Row, Type, TypeInfo, ValueRef,
    encode::IsNull,
    error::BoxDynError,
    mysql::{MySqlRow, MySqlTypeInfo},
};
use types::Timestamp;

use crate::db::{Cell, Kind, Value};

const DAY_MICROS: i64 = 86_400_000_000;

/// A value on its way. A NULL has its kind, too.
#[derive(Debug)]
pub(in crate::db) struct Bound<'v>(pub(in crate::db) &'v Value);

impl Type<MySql> for Bound<'_> {
    /// Each value says its own ([`Encode::produces`]).
    fn type_info() -> MySqlTypeInfo {
        <str as Type<MySql>>::type_info()
    }
}

impl Encode<'_, MySql> for Bound<'_> {
    fn encode_by_ref(&self, buffer: &mut Vec<u8>) -> Result<IsNull, BoxDynError> {
        match self.0 {
            Value::Null(_) => Ok(IsNull::Yes),
            Value::Integer(number) => Encode::<MySql>::encode_by_ref(number, buffer),
            Value::Text(text) => Encode::<MySql>::encode_by_ref(&text.as_str(), buffer),
            Value::Bytes(bytes) => Encode::<MySql>::encode_by_ref(&bytes.as_slice(), buffer),
            Value::Bool(yes) => Encode::<MySql>::encode_by_ref(yes, buffer),
            Value::Uuid(id) => Encode::<MySql>::encode_by_ref(&id.as_bytes().as_slice(), buffer),
            Value::Time(moment) => {
                let text = datetime(*moment).ok_or("the time is beyond all that MariaDB knows")?;
                Encode::<MySql>::encode_by_ref(&text.as_str(), buffer)
            }
            Value::Json(json) => Encode::<MySql>::encode_by_ref(&json.to_string().as_str(), buffer),
        }
    }

    fn produces(&self) -> Option<MySqlTypeInfo> {
        Some(match self.0.kind() {
            Kind::Integer => <i64 as Type<MySql>>::type_info(),
            Kind::Bool => <bool as Type<MySql>>::type_info(),
            Kind::Bytes | Kind::Uuid => <[u8] as Type<MySql>>::type_info(),
            // A time as text is compared as a time with whatever is one.
            Kind::Text | Kind::Json | Kind::Time => <str as Type<MySql>>::type_info(),
        })
    }
}

pub(in crate::db) fn cell_of(row: &MySqlRow, index: usize) -> Result<Cell<'_>, String> {
    let value = row.try_get_raw(index).map_err(|error| error.to_string())?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().into_owned();
    let bytes = <&[u8] as Decode<MySql>>::decode(value).map_err(|error| error.to_string())?;
    if <str as Type<MySql>>::compatible(&kind) {
        return std::str::from_utf8(bytes).map(Cell::Text).map_err(|error| error.to_string());
    }
    if <[u8] as Type<MySql>>::compatible(&kind) {
        return Ok(Cell::Bytes(bytes));
    }
    match kind.name() {
        "BIGINT" => Ok(Cell::Integer(i64::from_le_bytes(exactly(bytes)?))),
        "INT" | "MEDIUMINT" => Ok(Cell::Integer(i32::from_le_bytes(exactly(bytes)?).into())),
        "SMALLINT" => Ok(Cell::Integer(i16::from_le_bytes(exactly(bytes)?).into())),
        "TINYINT" | "BOOLEAN" => Ok(Cell::Integer(i8::from_le_bytes(exactly(bytes)?).into())),
        "BIGINT UNSIGNED" => {
            let number = u64::from_le_bytes(exactly(bytes)?);
            i64::try_from(number).map(Cell::Integer).map_err(|_| "it is no number that fits".to_owned())
        }
        // What the sum of whole numbers is: its digits.
        "DECIMAL" => {
            let whole = std::str::from_utf8(bytes).ok().and_then(|digits| digits.parse().ok());
            whole.map(Cell::Integer).ok_or_else(|| "it is no whole number that fits".to_owned())
        }
        "DATETIME" => moment(bytes).map(Cell::Time).ok_or_else(|| "it is no time".to_owned()),
        other => Err(format!("{other}, which no column of ours holds")),
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("expected {N} bytes, found {}", bytes.len()))
}

/// As MariaDB reads a time; it knows the years 1 to 9999.
fn datetime(moment: Timestamp) -> Option<String> {
    let (days, micros) = (moment.micros().div_euclid(DAY_MICROS), moment.micros().rem_euclid(DAY_MICROS));
    let (year, month, day) = date_of(days);
    let seconds = micros / 1_000_000;
    let (hour, minute, second, micros) = (seconds / 3_600, seconds / 60 % 60, seconds % 60, micros % 1_000_000);
    (1..=9_999).contains(&year).then(|| format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}"))
}

/// From the binary format: how many bytes follow, then as many of the year, the month, the day, hour, minute, second and microseconds as are
/// not nothing.
fn moment(bytes: &[u8]) -> Option<Timestamp> {
    let [_, year_low, year_high, month, day, rest @ ..] = bytes else { return None };
    let days = days_until(u16::from_le_bytes([*year_low, *year_high]).into(), (*month).into(), (*day).into());
    let (seconds, micros) = match rest {
        [] => (0, 0),
        [hour, minute, second, micros @ ..] => {
            let micros = if micros.is_empty() { 0 } else { u32::from_le_bytes(micros.try_into().ok()?) };
            ((i64::from(*hour) * 60 + i64::from(*minute)) * 60 + i64::from(*second), i64::from(micros))
        }
        _ => return None,
    };
    Some(Timestamp::from_micros(days * DAY_MICROS + seconds * 1_000_000 + micros))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March, so that the odd day is their last; 400 of them have always as
/// many days.
const fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// The date so many days after 1970-01-01.
const fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_utc_to_the_microsecond() {
        let said = |micros| datetime(Timestamp::from_micros(micros));
        assert_eq!(said(0).as_deref(), Some("1970-01-01 00:00:00.000000"));
        assert_eq!(said(-1).as_deref(), Some("1969-12-31 23:59:59.999999"));
        assert_eq!(said(1_795_253_400_000_001).as_deref(), Some("2026-11-21 09:30:00.000001"));
        assert_eq!(said(-62_135_596_800_000_000).as_deref(), Some("0001-01-01 00:00:00.000000"));
        assert_eq!(said(253_402_300_799_999_999).as_deref(), Some("9999-12-31 23:59:59.999999"));
        assert_eq!((said(-62_135_596_800_000_001), said(253_402_300_800_000_000)), (None, None));
        assert_eq!((said(i64::MIN), said(i64::MAX)), (None, None));
    }

    #[test]
    fn every_day_is_found_again() {
        for days in -719_162..2_932_897 {
            let (year, month, day) = date_of(days);
            assert_eq!(days_until(year, month, day), days, "{year}-{month}-{day}");
            assert!((1..=12).contains(&month) && (1..=31).contains(&day), "{year}-{month}-{day}");
        }
        assert_eq!((date_of(11_016), date_of(-25_509)), ((2000, 2, 29), (1900, 2, 28)));
    }

    #[test]
    fn a_time_is_read_in_each_of_its_lengths() {
        let read = |bytes: &[u8]| moment(bytes).map(Timestamp::micros);
        assert_eq!(read(&[4, 0xb2, 0x07, 1, 2]), Some(DAY_MICROS));
        assert_eq!(read(&[7, 0xb2, 0x07, 1, 1, 1, 2, 3]), Some(3_723_000_000));
        assert_eq!(read(&[11, 0xb2, 0x07, 1, 1, 0, 0, 1, 0x40, 0x42, 0x0f, 0]), Some(2_000_000));
        assert_eq!((read(&[0]), read(&[5, 0xb2, 0x07, 1, 1, 9])), (None, None));
    }
}
