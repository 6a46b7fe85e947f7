//! The catalog, for those who call it.

use platform::{
    client::{CallError, Client},
    http::Page,
};
use types::{ProductId, Sku};

use crate::{Category, CategoryRequest, Product, ProductRequest, Slug};

/// A typed client; made from `env.client("catalog")`.
#[derive(Clone, Debug)]
pub struct Catalog(pub Client);

impl Catalog {
    pub async fn product(&self, id: ProductId) -> Result<Product, CallError> {
        self.0.get(format!("/products/{id}")).send_json().await
    }

    /// The product that has this SKU, its own or a variant's; 404 when there is none.
    pub async fn product_by_sku(&self, sku: &Sku) -> Result<Product, CallError> {
        self.0.get(format!("/products/by-sku/{sku}")).send_json().await
    }

    /// A page of all products, from behind `cursor` on.
    pub async fn products(&self, limit: u32, cursor: Option<&str>) -> Result<Page<Product>, CallError> {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        self.0.get(format!("/products?limit={limit}{cursor}")).send_json().await
    }

    /// Makes a product, once for this key; 409 `sku-taken`.
    pub async fn create_product(&self, request: &ProductRequest, key: &str) -> Result<Product, CallError> {
        self.0.post("/products").json(request).idempotency_key(key).send_json().await
    }

    /// Makes a category, once for this key; 409 `slug-taken`.
    pub async fn create_category(&self, request: &CategoryRequest, key: &str) -> Result<Category, CallError> {
        self.0.post("/categories").json(request).idempotency_key(key).send_json().await
    }

    pub async fn category_by_slug(&self, slug: &Slug) -> Result<Category, CallError> {
        self.0.get(format!("/categories/by-slug/{slug}")).send_json().await
    }
}
