//! I14, the schema contract: every record in the log says by which schema it was written, that schema is registered under its topic, and whoever
//! reads the topic by a registered version can decode it, to its last byte. What cannot be decoded lies in quarantine, and nothing lies
//! there that never came in. Records are decoded here by another reader than the services'.

use std::collections::{BTreeMap, BTreeSet};

use apache_avro::{Schema, reader::datum::GenericDatumReader};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Grace, Row, outbox::DEAD};
use crate::facts::{Facts, Published};

/// The first byte of a record.
const MAGIC: u8 = 0;

pub fn are_kept(facts: &Facts, grace: &Grace) -> Vec<Row> {
    let contract = Contract::of(facts);
    let mut readers = Readers::new();
    let dead: BTreeSet<(&str, Option<&str>)> =
        facts.published.iter().filter_map(|event| Some((event.topic.strip_suffix(DEAD)?, event.id.as_deref()))).collect();
    let mut rows: Vec<Row> = Vec::new();
    let mut known: BTreeSet<(&str, Option<&str>)> = BTreeSet::new();
    for event in facts.published.iter().filter(|event| !event.topic.ends_with(DEAD)) {
        let name = (event.topic.as_str(), event.id.as_deref());
        known.insert(name);
        let is_settled = event.at.plus(grace.effects) < facts.now;
        if let Some(wrong) = contract.wrong_with(event, &mut readers).filter(|_| is_settled && !dead.contains(&name)) {
            rows.push((place(event), wrong));
        }
    }
    // The log may have forgotten what lies in quarantine for good.
    if super::outbox::horizon(&facts.published).micros() == i64::MIN {
        let lost = facts
            .published
            .iter()
            .filter(|event| event.topic.strip_suffix(DEAD).is_some_and(|topic| !known.contains(&(topic, event.id.as_deref()))));
        rows.extend(lost.map(|event| (place(event), "it lies in quarantine and never came in".to_owned())));
    }
    rows
}

fn place(event: &Published) -> String {
    event.id.clone().unwrap_or_else(|| format!("{}/{}/{}", event.topic, event.partition, event.offset))
}

/// Readers by the ids of their writer's schema and their own. Making one resolves both schemas, which costs more than to read a record.
type Readers<'c> = BTreeMap<(u32, u32), Result<GenericDatumReader<'c>, String>>;

/// The registered schemas, parsed.
struct Contract<'a> {
    by_id: BTreeMap<u32, Result<Schema, String>>,
    /// By subject, the ids of its versions.
    versions: BTreeMap<&'a str, Vec<u32>>,
}

impl<'a> Contract<'a> {
    fn of(facts: &'a Facts) -> Self {
        let (mut by_id, mut versions) = (BTreeMap::new(), BTreeMap::<&str, Vec<u32>>::new());
        for schema in &facts.schemas {
            by_id.entry(schema.id).or_insert_with(|| Schema::parse_str(&schema.schema).map_err(|error| error.to_string()));
            versions.entry(&schema.subject).or_default().push(schema.id);
        }
        Self { by_id, versions }
    }

    fn wrong_with<'c>(&'c self, event: &Published, readers: &mut Readers<'c>) -> Option<String> {
        let Ok(bytes) = STANDARD.decode(&event.value) else { return Some("its value is not base64".into()) };
        let [MAGIC, a, b, c, d, datum @ ..] = &bytes[..] else { return Some("it does not begin as a record does".into()) };
        let id = u32::from_be_bytes([*a, *b, *c, *d]);
        let versions = self.versions.get(format!("{}-value", event.topic).as_str()).map(Vec::as_slice).unwrap_or_default();
        if !versions.contains(&id) {
            return Some(format!("it was written by schema {id}, which is not registered for {}", event.topic));
        }
        let writer = match self.by_id.get(&id)? {
            Ok(schema) => schema,
            Err(error) => return Some(format!("schema {id} is none: {error}")),
        };
        versions.iter().find_map(|reader| {
            let schema = self.by_id.get(reader)?.as_ref().ok()?;
            let reading = readers
                .entry((id, *reader))
                .or_insert_with(|| GenericDatumReader::builder(writer).reader_schema(schema).build().map_err(|error| error.to_string()));
            let mut rest = datum;
            let read = reading.as_ref().map_err(Clone::clone);
            match read.and_then(|reading| reading.read_value(&mut rest).map_err(|error| error.to_string())) {
                Ok(_) if rest.is_empty() => None,
                Ok(_) => Some(format!("{} bytes are left over when schema {reader} has read it", rest.len())),
                Err(error) => Some(format!("schema {reader} cannot read it: {error}")),
            }
        })
    }
}
