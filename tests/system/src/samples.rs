//! Bodies made from a document: the smallest one that an operation takes, for tests that then make exactly one thing wrong with it.

use serde_json::{Map, Value as Json, json};

/// An operation of a document.
#[derive(Clone, Debug)]
pub struct Operation {
    pub service: &'static str,
    /// In capitals.
    pub method: String,
    /// As the document has it: `/orders/{id}`.
    pub route: String,
    /// The schema of its JSON body, when it takes one.
    pub body: Option<Json>,
    /// Whether it takes an `Idempotency-Key`.
    pub takes_key: bool,
    /// Whether it takes a query.
    pub has_query: bool,
    components: Json,
    parameters: Json,
}

/// Every operation of a document, in its order.
#[must_use]
pub fn operations(service: &'static str, document: &Json) -> Vec<Operation> {
    let mut all = Vec::new();
    for (route, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let content = &operation["requestBody"]["content"];
            let body = content.as_object().and_then(|kinds| kinds.get("application/json")).map(|kind| kind["schema"].clone());
            let parameters = operation["parameters"].clone();
            let any = |test: fn(&Json) -> bool| parameters.as_array().is_some_and(|all| all.iter().any(test));
            all.push(Operation {
                service,
                method: method.to_uppercase(),
                route: route.clone(),
                body,
                takes_key: any(|one| one["name"] == "Idempotency-Key"),
                has_query: any(|one| one["in"] == "query"),
                components: document["components"].clone(),
                parameters,
            });
        }
    }
    all
}

impl Operation {
    /// The route with something that could be there in the place of each parameter, and the query that it needs.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = self.route.clone();
        let mut query = Vec::new();
        for parameter in self.parameters.as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = match self.sample(&parameter["schema"]) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
                Some("query") if parameter["required"] == true => query.push(format!("{name}={value}")),
                _ => {}
            }
        }
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// The smallest body that the document takes.
    #[must_use]
    pub fn sample_body(&self) -> Json {
        self.body.as_ref().map_or(Json::Null, |schema| self.sample(schema))
    }

    /// The schema of the body, without references at its top.
    #[must_use]
    pub fn body_schema(&self) -> Json {
        self.body.as_ref().map_or(Json::Null, |schema| self.resolved(schema).1)
    }

    /// A value that a schema of this document takes.
    #[must_use]
    pub fn sample_of(&self, schema: &Json) -> Json {
        self.sample(schema)
    }

    /// The least that a number of this schema may be.
    #[must_use]
    pub fn minimum(&self, schema: &Json) -> Option<i64> {
        self.resolved(schema).1["minimum"].as_i64()
    }

    fn resolved(&self, schema: &Json) -> (String, Json) {
        match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/")) {
            Some(name) => (name.to_owned(), self.resolved(&self.components["schemas"][name]).1),
            None => (String::new(), schema.clone()),
        }
    }

    fn sample(&self, schema: &Json) -> Json {
        let (name, schema) = self.resolved(schema);
        // What a type asks for beyond its shape.
        match name.as_str() {
            "Sku" => return json!("LAMP-RED-L"),
            "Email" => return json!("somebody@example.com"),
            "Country" => return json!("VN"),
            "Timestamp" => return json!("2030-01-01T00:00:00Z"),
            "Slug" => return json!("lamps"),
            // It contains itself.
            "Expression" => return json!({"eq": ["region", "US"]}),
            "Locale" => return json!("en-US"),
            _ => {}
        }
        if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)) {
            return example.clone();
        }
        if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return value.clone();
        }
        if let Some(choice) = schema["oneOf"].get(0).or_else(|| schema["anyOf"].get(0)) {
            return self.sample(choice);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in parts {
                if let Json::Object(fields) = self.sample(part) {
                    whole.extend(fields);
                }
            }
            return Json::Object(whole);
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"].get(0).and_then(Json::as_str)).unwrap_or("object");
        match kind {
            "string" => match schema["format"].as_str() {
                Some("uuid") => json!("0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22"),
                Some("date-time") => json!("2030-01-01T00:00:00Z"),
                _ => json!("x".repeat(schema["minLength"].as_u64().unwrap_or(1).max(1).try_into().unwrap_or(1))),
            },
            "integer" | "number" => json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
            "boolean" => json!(true),
            "array" => {
                let count = schema["minItems"].as_u64().unwrap_or(1).max(1);
                (0..count).map(|_| self.sample(&schema["items"])).collect()
            }
            _ => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
                let fields = required.map(|field| (field.to_owned(), self.sample(&schema["properties"][field])));
                Json::Object(fields.collect())
            }
        }
    }
}
