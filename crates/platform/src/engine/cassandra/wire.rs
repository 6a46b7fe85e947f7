//! Values and rows in the driver's words, and the authority that is trusted.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use scylla::{
    cluster::metadata::{ColumnType, NativeType},
    serialize::{
        SerializationError,
        value::SerializeValue,
        writers::{CellWriter, WrittenCellProof},
    },
    value::{CqlValue, Row as Found},
};

use crate::db::{Cell, DbError, FromRow, Row, Value};

/// A value on its way. Moments are numbers of microseconds there, and JSON is text: Cassandra's own moments end at the millisecond.
pub(super) struct Bound<'v>(pub &'v Value);

impl SerializeValue for Bound<'_> {
    fn serialize<'b>(&self, of: &ColumnType<'_>, writer: CellWriter<'b>) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self.0 {
            Value::Null(_) => Ok(writer.set_null()),
            // What a TTL is: `USING TTL ?`.
            Value::Integer(number) if matches!(of, ColumnType::Native(NativeType::Int)) => {
                i32::try_from(*number).map_err(SerializationError::new)?.serialize(of, writer)
            }
            Value::Integer(number) => number.serialize(of, writer),
            Value::Text(text) => text.serialize(of, writer),
            Value::Bytes(bytes) => bytes.serialize(of, writer),
            Value::Bool(yes) => yes.serialize(of, writer),
            Value::Uuid(id) => id.serialize(of, writer),
            Value::Time(moment) => moment.micros().serialize(of, writer),
            Value::Json(json) => json.to_string().serialize(of, writer),
        }
    }
}

/// A row as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WideRow<'r> {
    pub names: &'r [String],
    pub row: &'r Found,
}

impl<'r> WideRow<'r> {
    pub(crate) fn cell(&self, index: usize) -> Result<Cell<'r>, String> {
        Ok(match self.row.columns.get(index).ok_or_else(|| format!("there is no column {index}"))? {
            None => Cell::Null,
            Some(CqlValue::BigInt(number)) => Cell::Integer(*number),
            Some(CqlValue::Int(number)) => Cell::Integer((*number).into()),
            Some(CqlValue::Text(text) | CqlValue::Ascii(text)) => Cell::Text(text),
            Some(CqlValue::Blob(bytes)) => Cell::Bytes(bytes),
            Some(CqlValue::Boolean(yes)) => Cell::Bool(*yes),
            Some(CqlValue::Uuid(id)) => Cell::Uuid(*id),
            Some(other) => return Err(format!("a value of a kind that no column of ours holds: {other:?}")),
        })
    }

    pub(crate) fn index_of(&self, next: usize, column: &str) -> Result<usize, String> {
        name_index(self.names, next, column)
    }
}

/// Where a column stands; most likely at `next`.
fn name_index(names: &[String], next: usize, column: &str) -> Result<usize, String> {
    match names.get(next) {
        Some(name) if name == column => Ok(next),
        _ => names.iter().position(|name| name == column).ok_or_else(|| "is not in the answer".to_owned()),
    }
}

/// What a conditional write answers first.
pub(super) struct Applied(pub bool);

impl FromRow for Applied {
    fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
        row.get("[applied]").map(Self)
    }
}

/// A client that trusts these authorities alone.
pub(super) fn trusting(pem: &[u8]) -> Result<Arc<rustls::ClientConfig>, String> {
    let mut authorities = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        authorities.add(certificate.map_err(|error| format!("{error:?}"))?).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.map_err(|error| error.to_string())?.with_root_certificates(authorities).with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::name_index;

    #[test]
    fn the_names_of_columns_are_found_in_order_and_out_of_it() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!((name_index(&names, 1, "b"), name_index(&names, 2, "a")), (Ok(1), Ok(0)));
        assert!(name_index(&names, 0, "c").is_err());
    }
}
