//! A schema that somebody registers, and a record that somebody wrote: neither may be more than refused. What is read can be written, and is read
//! again as the same. Where the registry promised that our reader reads what a schema writes, it does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use order_api::events::OrderCreated;
use platform::schema::{Codec, CodecError, Level, Registry, SchemaId, decode_json};

const SUBJECT: &str = "order.created.v1-value";

/// In the registry's wire format.
fn framed(id: SchemaId, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.0.to_be_bytes(), datum].concat()
}

fn reads(codec: &Codec<OrderCreated>, record: &[u8]) -> Result<(), CodecError> {
    let event = codec.decode(record)?;
    let written = codec.encode(&event).expect("what was read can be written");
    assert_eq!(codec.decode(&written).expect("what was written can be read"), event);
    assert_eq!(codec.encode(&event).expect("it could be written before"), written, "a value has one form");
    Ok(())
}

// The schema; behind a zero byte the record.
fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (schema, record) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let registry = Registry::in_memory();
    let codec = Codec::<OrderCreated>::register(&registry, SUBJECT).expect("our own schema is one");
    drop(reads(&codec, record));
    let ours = framed(codec.id(), record);
    if reads(&codec, &ours).is_ok() {
        decode_json(&registry, &ours).expect("what is an event can be shown");
    }
    let Ok(schema) = std::str::from_utf8(schema) else { return };
    let Ok(registered) = registry.register("anything-value", schema) else { return };
    let again = registry.register("anything-value", schema).expect("what was taken is taken again");
    assert_eq!((again.id, again.version), (registered.id, registered.version), "as the same");
    let canonical = registry.register("anything-value", &registered.schema).expect("so is its canonical text");
    assert_eq!(canonical.id, registered.id, "which is the same schema");

    let theirs = framed(registered.id, record);
    let is_record = decode_json(&registry, &theirs).is_ok();
    let read = reads(&codec, &theirs);
    registry.set_level(Some(SUBJECT), Level::Forward).expect("the subject is there");
    // What our types ask for beyond the schema (an id is a UUID) is none of the registry's promise.
    if is_record && registry.register(SUBJECT, schema).is_ok() {
        assert!(matches!(read, Ok(()) | Err(CodecError::Decode { .. })), "{read:?}");
    }
});
