//! An event as bytes and back, in Confluent's wire format: a zero byte, the schema's id (four bytes, big-endian), the Avro datum.
//! The reader takes the writer's schema from the registry by that id and resolves it to its own, so an old consumer reads new
//! events and a new one old events, as far as the registry let the schemas change.
//!
//! Bytes come from a network and a disk and may be anything. They are walked before a value is built from them (see `datum`); each
//! way to be wrong has its own error, and none is a panic.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use apache_avro::{AvroSchema, SpecificSingleObjectWriter, headers::HeaderBuilder, reader::datum::SpecificDatumReader};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Announced, Registry, SchemaError, SchemaId,
    compatibility::Plan,
    datum::{self, DatumError, Input},
    tree::Tree,
};

const MAGIC: u8 = 0;

/// The bytes are no event, or the value cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("{length} bytes are too few: a record begins with a zero byte and a schema id of four bytes")]
    TooShort { length: usize },
    #[error("the record begins with the byte {byte}, not with 0: it was not written in the registry's wire format")]
    Magic { byte: u8 },
    #[error("the record was written with schema {id}, which the registry does not know")]
    UnknownSchema { id: SchemaId },
    #[error("{bytes} bytes are left over after the value; it was written with another schema than {id}")]
    Trailing { id: SchemaId, bytes: usize },
    #[error("the record cannot be read with schema {id}: {mistake}")]
    Malformed { id: SchemaId, mistake: DatumError },
    #[error("the record, written with schema {id}, is no value of the type")]
    Decode { id: SchemaId, source: Box<apache_avro::Error> },
    #[error("the value does not fit its schema")]
    Encode { source: Box<apache_avro::Error> },
    #[error("the schema of {kind} has no number yet: the registry has not been asked for it")]
    Unconfirmed { kind: &'static str },
    #[error("schema {id} cannot be looked up")]
    LookUp { id: SchemaId, source: Box<SchemaError> },
}

/// Writes and reads one event type. Made once; clones share the schemas that were looked up.
pub struct Codec<T: AvroSchema> {
    inner: Arc<Inner<T>>,
}

/// What stands before the datum is written by the codec: its number may be known later than the writer is made.
struct NoHeader;

impl HeaderBuilder for NoHeader {
    fn build_header(&self) -> Vec<u8> {
        Vec::new()
    }
}

struct Inner<T: AvroSchema> {
    registry: Registry,
    id: Arc<OnceLock<SchemaId>>,
    tree: Arc<Tree>,
    writer: SpecificSingleObjectWriter<T>,
    reader: SpecificDatumReader<T>,
    /// How records of other schemas become ours. Ids never change their meaning, so nothing here grows old.
    plans: RwLock<BTreeMap<SchemaId, Arc<Plan>>>,
}

impl<T: AvroSchema> Clone for Codec<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: AvroSchema> std::fmt::Debug for Codec<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codec").field("type", &std::any::type_name::<T>()).field("id", &self.inner.id.get()).finish_non_exhaustive()
    }
}

impl<T: Serialize + DeserializeOwned + AvroSchema> Codec<T> {
    /// Registers the type's schema under the subject (`<topic>-value`). An error here should stop the start: the message says which
    /// field breaks which version. With a registry elsewhere it is registered, or refused, by [`Registry::confirm`].
    pub fn register(registry: &Registry, subject: &str) -> Result<Self, SchemaError> {
        let unusable = |error: &dyn std::fmt::Display| SchemaError::Type { kind: std::any::type_name::<T>(), mistake: error.to_string() };
        let schema = T::get_schema();
        let text = serde_json::to_string(&schema).map_err(|error| unusable(&error))?;
        let Announced { tree, id, .. } = registry.announce(subject, &text)?;
        // Not human-readable: moments are numbers then. Said here, because the library's own default is a process-wide switch.
        let writer = SpecificSingleObjectWriter::builder().resolved(schema).map_err(|error| unusable(&error))?;
        let writer = writer.header(NoHeader).human_readable(false).build();
        let reader = SpecificDatumReader::builder().human_readable(false).build().map_err(|error| unusable(&error))?;
        let inner = Inner { registry: registry.clone(), id, tree, writer, reader, plans: RwLock::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The id that stands in front of everything this codec writes, once the registry has given it.
    #[must_use]
    pub fn id(&self) -> Option<SchemaId> {
        self.inner.id.get().copied()
    }

    pub fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        let id = self.id().ok_or(CodecError::Unconfirmed { kind: std::any::type_name::<T>() })?;
        let mut out = Vec::with_capacity(256);
        out.push(MAGIC);
        out.extend(id.0.to_be_bytes());
        self.inner.writer.write_ref(value, &mut out).map_err(|source| CodecError::Encode { source: Box::new(source) })?;
        Ok(out.into())
    }

    pub fn decode(&self, record: &[u8]) -> Result<T, CodecError> {
        let (id, datum) = split(record)?;
        if Some(id) == self.id() {
            let mut input = Input::new(datum);
            datum::check(&self.inner.tree, self.inner.tree.root, &mut input, 0).map_err(|mistake| CodecError::Malformed { id, mistake })?;
            no_more(id, input.left())?;
            return self.read(id, datum);
        }
        let (converted, left) = self.inner.plan(id)?.convert(datum).map_err(|mistake| CodecError::Malformed { id, mistake })?;
        no_more(id, left)?;
        self.read(id, &converted)
    }

    /// [`Codec::decode`], which asks the registry for a schema that this process has not met.
    pub async fn receive(&self, record: &[u8]) -> Result<T, CodecError> {
        match self.decode(record) {
            Err(CodecError::UnknownSchema { id }) => match self.inner.registry.learn(id).await {
                Ok(true) => self.decode(record),
                Ok(false) => Err(CodecError::UnknownSchema { id }),
                Err(error) => Err(CodecError::LookUp { id, source: Box::new(error) }),
            },
            other => other,
        }
    }

    fn read(&self, id: SchemaId, mut datum: &[u8]) -> Result<T, CodecError> {
        let value = self.inner.reader.read(&mut datum).map_err(|source| CodecError::Decode { id, source: Box::new(source) })?;
        // The walk found the end of the schema's value; a type that reads less than its schema shows here.
        no_more(id, datum.len()).map(|()| value)
    }
}

impl<T: AvroSchema> Inner<T> {
    fn plan(&self, id: SchemaId) -> Result<Arc<Plan>, CodecError> {
        if let Some(plan) = self.plans.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(plan));
        }
        let writer = self.registry.tree(id).ok_or(CodecError::UnknownSchema { id })?;
        let plan = Arc::new(Plan::new(writer, Arc::clone(&self.tree)));
        self.plans.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&plan));
        Ok(plan)
    }
}

/// A record of any schema the registry knows, as JSON that people read: moments in RFC 3339, bytes in hexadecimal, unions without
/// the name of their branch.
pub fn decode_json(registry: &Registry, record: &[u8]) -> Result<serde_json::Value, CodecError> {
    let (id, datum) = split(record)?;
    let tree = registry.tree(id).ok_or(CodecError::UnknownSchema { id })?;
    let mut input = Input::new(datum);
    let value = datum::to_json(&tree, tree.root, &mut input, 0).map_err(|mistake| CodecError::Malformed { id, mistake })?;
    no_more(id, input.left()).map(|()| value)
}

const fn no_more(id: SchemaId, bytes: usize) -> Result<(), CodecError> {
    if bytes == 0 { Ok(()) } else { Err(CodecError::Trailing { id, bytes }) }
}

fn split(record: &[u8]) -> Result<(SchemaId, &[u8]), CodecError> {
    match record {
        [MAGIC, a, b, c, d, datum @ ..] => Ok((SchemaId(u32::from_be_bytes([*a, *b, *c, *d])), datum)),
        [byte, ..] if *byte != MAGIC => Err(CodecError::Magic { byte: *byte }),
        _ => Err(CodecError::TooShort { length: record.len() }),
    }
}

#[cfg(test)]
mod tests;
