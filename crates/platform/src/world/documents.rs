//! The documents of a world, made from what runs in it: OpenAPI for each service, AsyncAPI for the events. The files in `docs/api` are
//! these, and a test holds them together.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::World;

impl World {
    /// The OpenAPI document of a service, as YAML.
    #[must_use]
    pub fn openapi_yaml(&self, service: &str) -> Option<String> {
        self.openapi(service)?.to_yaml().ok()
    }

    /// The AsyncAPI 3 document of every event that is published here, with its Avro schema.
    #[must_use]
    pub fn asyncapi(&self) -> Value {
        let (mut channels, mut operations) = (Map::new(), Map::new());
        let mut listeners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for standing in self.services().values() {
            for topic in standing.manifest.consumes {
                listeners.entry(topic).or_default().push(standing.manifest.name);
            }
        }
        for standing in self.services().values() {
            let service = standing.manifest.name;
            for topic in standing.manifest.publishes {
                let name = topic.replace('.', "_");
                let schema = self.registry().latest(&format!("{topic}-value")).ok();
                let schema: Value = schema.and_then(|schema| serde_json::from_str(&schema.schema).ok()).unwrap_or(Value::Null);
                let listening = listeners.get(topic).cloned().unwrap_or_default();
                channels.insert(
                    name.clone(),
                    json!({
                        "address": topic,
                        "description": format!("Published by {service}; keyed by the aggregate's id. Consumed by: {}.",
                            if listening.is_empty() { "nobody yet".to_owned() } else { listening.join(", ") }),
                        "messages": { "event": {
                            "name": topic,
                            "contentType": "application/vnd.confluent.avro",
                            "headers": {"$ref": "#/components/schemas/headers"},
                            "payload": {"schemaFormat": "application/vnd.apache.avro+json;version=1.9.0", "schema": schema},
                        }},
                    }),
                );
                operations.insert(
                    format!("{service}_publishes_{name}"),
                    json!({"action": "send", "channel": {"$ref": format!("#/channels/{name}")}, "summary": format!("{service} announces {topic}")}),
                );
            }
        }
        let text = |description: &str| json!({"type": "string", "description": description});
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": "Crashcart events",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Every event is an Avro record in the Confluent wire format with CloudEvents 1.0 attributes as headers (Kafka binding).",
                "license": {"name": "MIT OR Apache-2.0"},
            },
            "channels": channels,
            "operations": operations,
            "components": {"schemas": {"headers": {"type": "object", "properties": {
                "ce_specversion": text("1.0"),
                "ce_id": text("The event's id: consumers dedupe by it"),
                "ce_type": text("The topic"),
                "ce_source": text("/services/NAME"),
                "ce_subject": text("The key"),
                "ce_time": text("When its transaction committed, RFC 3339"),
                "ce_dataschema": text("Where the schema is registered"),
                "content-type": text("application/vnd.confluent.avro"),
                "traceparent": text("W3C trace context"),
                "correlation-id": text("What it was done for"),
            }}}},
        })
    }
}

impl World {
    /// The same as YAML.
    #[must_use]
    pub fn asyncapi_yaml(&self) -> String {
        yaml_serde::to_string(&self.asyncapi()).unwrap_or_default()
    }
}
