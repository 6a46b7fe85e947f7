//! Categories and products, by the contract's JSON.

use serde_json::{Value, json};

use super::{
    Effect, Row, Run,
    ask::{For, SeedError},
};
use crate::{
    manifest::Kind,
    plan::{Category, Product},
    shop::{Call, Shop},
};

/// Which categories there are: one list, asked for once.
pub(super) async fn look_around<S: Shop>(run: &Run<'_, S>) -> Result<(), SeedError> {
    let asker = For { kind: Kind::Categories, row: "all" };
    for category in run.list(asker, "/categories").await? {
        if let (Some(slug), Some(Ok(id))) = (category["slug"].as_str(), category["id"].as_str().map(str::parse)) {
            run.known().categories.insert(slug.to_owned(), id);
        }
    }
    Ok(())
}

impl Row for Category {
    const KIND: Kind = Kind::Categories;

    async fn place<S: Shop>(&self, run: &Run<'_, S>, _: bool) -> Result<Effect, SeedError> {
        if run.known().categories.contains_key(&self.slug) {
            return Ok(Effect::Found);
        }
        let mut body = json!({"slug": self.slug, "name": self.name});
        let parent = self.parent.as_ref().and_then(|parent| run.known().categories.get(parent).copied());
        if let Some(parent) = parent {
            body["parentId"] = json!(parent);
        }
        let asker = For { kind: Self::KIND, row: &self.slug };
        let told = run.ask(asker, Call::post("/categories", &body), &[]).await?;
        let id = told.field("id")?;
        run.known().categories.insert(self.slug.clone(), id);
        Ok(Effect::Created)
    }
}

impl Row for Product {
    const KIND: Kind = Kind::Products;

    async fn place<S: Shop>(&self, run: &Run<'_, S>, look: bool) -> Result<Effect, SeedError> {
        let asker = For { kind: Self::KIND, row: self.sku.as_str() };
        if look && run.find(asker, format!("/products/by-sku/{}", self.sku)).await?.is_some() {
            return Ok(Effect::Found);
        }
        // A taken SKU is a conflict: somebody was faster.
        let told = run.ask(asker, Call::post("/products", &self.body(run)), &[409]).await?;
        if told.answer.status.is_success() {
            return Ok(Effect::Created);
        }
        match run.find(asker, format!("/products/by-sku/{}", self.sku)).await? {
            Some(_) => Ok(Effect::Found),
            None => Err(told.refused()),
        }
    }
}

impl Product {
    fn body<S: Shop>(&self, run: &Run<'_, S>) -> Value {
        json!({
            "sku": self.sku,
            "title": self.title,
            "description": self.description,
            "categoryId": run.known().categories.get(&self.category),
            "attributes": self.attributes,
            "variants": self.variants,
        })
    }
}
