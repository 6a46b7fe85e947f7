//! What a product is: the document, what makes one from a request, and what makes a stored one strange. Pure.

use std::collections::BTreeSet;

use catalog_api::{Attributes, Product, ProductMedia, ProductRequest, Variant};
use platform::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use types::{CategoryId, MediaId, ProductId, ShortText, Sku, Timestamp};

const DESCRIPTION_MAX: usize = 10_000;
const ATTRIBUTES_MAX: usize = 64;
const VARIANTS_MAX: usize = 100;
/// How many media a product may have.
pub const MEDIA_MAX: usize = 50;

/// A product as it is stored, without its id and revision, which the store keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    pub sku: Sku,
    pub title: ShortText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<CategoryId>,
    #[serde(default)]
    pub attributes: Attributes,
    #[serde(default)]
    pub variants: Vec<Variant>,
    #[serde(default)]
    pub media: Vec<ProductMedia>,
    /// The `Idempotency-Key` of the request that made it: a repeat after a crash finds its own product by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The names of a document's fields, at the top.
const FIELDS: &[&str] =
    &["sku", "title", "description", "categoryId", "attributes", "variants", "media", "requestKey", "createdAt", "updatedAt"];

/// How a stored document differs from what this service writes. It can only come from outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Drift {
    #[error("unknown fields: {}", .0.join(", "))]
    UnknownFields(Vec<String>),
    #[error("{pointer}: {reason}")]
    WrongShape { pointer: String, reason: String },
}

impl Document {
    /// Reads a stored document and holds it to the shape that this service writes.
    pub fn check(json: &Json) -> Result<Self, Drift> {
        let unknown: Vec<String> = unknown_fields(json).map(str::to_owned).collect();
        if unknown.is_empty() { Self::read(json) } else { Err(Drift::UnknownFields(unknown)) }
    }

    /// Reads what is known of a stored document; fields that are not known do not show.
    pub fn read(json: &Json) -> Result<Self, Drift> {
        let mut known = json.clone();
        if let Some(fields) = known.as_object_mut() {
            fields.retain(|name, _| FIELDS.contains(&name.as_str()));
        }
        serde_path_to_error::deserialize(known).map_err(|error| {
            let path = error.path().to_string();
            Drift::WrongShape { pointer: if path == "." { "the document".into() } else { path }, reason: error.into_inner().to_string() }
        })
    }

    /// A new product.
    pub fn new(request: ProductRequest, request_key: Option<String>, now: Timestamp) -> Result<Self, Problem> {
        judge(&request)?;
        if request.media.as_ref().is_some_and(|media| !media.is_empty()) {
            return Err(Problem::invalid("#/media/0/mediaId", "a new product has no media yet; make it, then upload them"));
        }
        Ok(Self {
            sku: request.sku,
            title: request.title,
            description: request.description,
            category_id: request.category_id,
            attributes: request.attributes,
            variants: request.variants,
            media: Vec::new(),
            request_key,
            created_at: now,
            updated_at: now,
        })
    }

    /// This product as the request wants it.
    pub fn replaced(self, request: ProductRequest, now: Timestamp) -> Result<Self, Problem> {
        judge(&request)?;
        let media = match &request.media {
            None => self.media,
            Some(wanted) => {
                let mut kept = Vec::with_capacity(wanted.len());
                for (index, reference) in wanted.iter().enumerate() {
                    let pointer = format!("#/media/{index}/mediaId");
                    if kept.iter().any(|media: &ProductMedia| media.media_id == reference.media_id) {
                        return Err(Problem::invalid(pointer, "is named twice"));
                    }
                    let found = self.media.iter().find(|media| media.media_id == reference.media_id);
                    kept.push(found.cloned().ok_or_else(|| Problem::invalid(pointer, "is no medium of this product"))?);
                }
                kept
            }
        };
        Ok(Self {
            sku: request.sku,
            title: request.title,
            description: request.description,
            category_id: request.category_id,
            attributes: request.attributes,
            variants: request.variants,
            media,
            request_key: self.request_key,
            created_at: self.created_at,
            updated_at: now,
        })
    }

    #[must_use]
    pub fn has_media(&self, id: MediaId) -> bool {
        self.media.iter().any(|media| media.media_id == id)
    }

    /// Every SKU it has, its own first.
    pub fn skus(&self) -> impl Iterator<Item = &Sku> {
        std::iter::once(&self.sku).chain(self.variants.iter().map(|variant| &variant.sku))
    }

    #[must_use]
    pub fn view(self, id: ProductId, rev: String) -> Product {
        Product {
            id,
            rev,
            sku: self.sku,
            title: self.title,
            description: self.description,
            category_id: self.category_id,
            attributes: self.attributes,
            variants: self.variants,
            media: self.media,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

fn unknown_fields(json: &Json) -> impl Iterator<Item = &str> {
    json.as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str)).filter(|name| !FIELDS.contains(name))
}

/// What the types of a request cannot say.
fn judge(request: &ProductRequest) -> Result<(), Problem> {
    if request.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
        return Err(Problem::invalid("#/description", format!("must be at most {DESCRIPTION_MAX} characters long")));
    }
    if request.attributes.len() > ATTRIBUTES_MAX {
        return Err(Problem::invalid("#/attributes", format!("must be at most {ATTRIBUTES_MAX}")));
    }
    if request.variants.len() > VARIANTS_MAX {
        return Err(Problem::invalid("#/variants", format!("must be at most {VARIANTS_MAX}")));
    }
    let mut skus = BTreeSet::from([&request.sku]);
    for (index, variant) in request.variants.iter().enumerate() {
        if !skus.insert(&variant.sku) {
            return Err(Problem::invalid(format!("#/variants/{index}/sku"), "stands twice in this product"));
        }
        if variant.attributes.len() > ATTRIBUTES_MAX {
            return Err(Problem::invalid(format!("#/variants/{index}/attributes"), format!("must be at most {ATTRIBUTES_MAX}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(more: Json) -> ProductRequest {
        let mut base = json!({"sku": "LAMP", "title": "Lamp"});
        base.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        serde_json::from_value(base).expect("a request")
    }

    fn lamp() -> Document {
        Document::new(request(json!({"attributes": {"colour": "red"}})), None, Timestamp::from_seconds(1)).expect("a product")
    }

    fn pointer(problem: &Problem) -> &str {
        problem.errors.first().map_or("", |error| error.pointer.as_str())
    }

    #[test]
    fn what_a_request_cannot_be_is_told_with_its_place() {
        let refused = |more| Document::new(request(more), None, Timestamp::from_seconds(1)).expect_err("it was taken");
        assert_eq!(pointer(&refused(json!({"variants": [{"sku": "LAMP", "title": "x"}]}))), "#/variants/0/sku");
        assert_eq!(pointer(&refused(json!({"description": "x".repeat(10_001)}))), "#/description");
        let many: Vec<Json> = (0..101).map(|n| json!({"sku": format!("V{n}"), "title": "x"})).collect();
        assert_eq!(pointer(&refused(json!({"variants": many}))), "#/variants");
        let attributes: serde_json::Map<_, _> = (0..65).map(|n| (format!("a{n}"), json!(n))).collect();
        assert_eq!(pointer(&refused(json!({"attributes": attributes}))), "#/attributes");
        assert_eq!(pointer(&refused(json!({"media": [{"mediaId": "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22"}]}))), "#/media/0/mediaId");
    }

    #[test]
    fn a_replacement_keeps_what_it_may_not_name_and_refuses_strange_media() {
        let media = ProductMedia {
            media_id: "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22".parse().expect("an id"),
            file_name: "a.png".into(),
            content_type: "image/png".into(),
            size: 1,
            sha256: "00".into(),
            width: 1,
            height: 1,
        };
        let old = Document { media: vec![media.clone()], request_key: Some("k".into()), ..lamp() };
        let now = Timestamp::from_seconds(2);
        let kept = old.clone().replaced(request(json!({"title": "Lamp 2"})), now).expect("replaced");
        assert_eq!((kept.media.len(), kept.request_key.as_deref(), kept.created_at, kept.updated_at), (1, Some("k"), old.created_at, now));
        assert!(kept.attributes.is_empty(), "what is left out is taken away");
        let emptied = old.clone().replaced(request(json!({"media": []})), now).expect("replaced");
        assert!(emptied.media.is_empty());
        let twice = json!({"media": [{"mediaId": media.media_id}, {"mediaId": media.media_id}]});
        assert_eq!(pointer(&old.clone().replaced(request(twice), now).expect_err("twice")), "#/media/1/mediaId");
        let strange = json!({"media": [{"mediaId": "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e23"}]});
        assert_eq!(pointer(&old.replaced(request(strange), now).expect_err("strange")), "#/media/0/mediaId");
    }

    #[test]
    fn drift_is_seen_and_named() {
        let mut json = serde_json::to_value(lamp()).expect("JSON");
        assert_eq!(Document::check(&json), Ok(lamp()));
        json["colour"] = json!("red");
        assert_eq!(Document::check(&json), Err(Drift::UnknownFields(vec!["colour".into()])));
        assert_eq!(Document::read(&json), Ok(lamp()), "the known part can still be read");
        json["title"] = json!(7);
        let Err(Drift::WrongShape { pointer, reason }) = Document::read(&json) else { panic!("it was read") };
        assert_eq!(pointer, "title");
        assert!(reason.contains("invalid type"), "{reason}");
        assert!(Document::read(&json!([])).is_err());
        assert!(Document::read(&json!({"variants": [{"sku": "A", "title": "A", "weight": 1}]})).is_err(), "also below the top");
    }

    /// The list of fields is what the struct writes and reads.
    #[test]
    fn every_field_is_listed() {
        let full = Document {
            description: Some("d".into()),
            category_id: Some(CategoryId(types::id::Uuid::nil())),
            request_key: Some("k".into()),
            ..lamp()
        };
        let json = serde_json::to_value(full).expect("JSON");
        let mut names: Vec<&str> = json.as_object().expect("fields").keys().map(String::as_str).collect();
        let mut listed = FIELDS.to_vec();
        names.sort_unstable();
        listed.sort_unstable();
        assert_eq!(names, listed);
    }
}
