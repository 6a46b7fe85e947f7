//! Where a query begins.

use async_graphql::{Context, ID, Object, Result};
use catalog_api::{Category, slug::SlugError};
use platform::problem::Problem;
use types::{ProductId, Sku};

use super::objects::{
    CategoryNode, ProductConnection, ProductFilter, ProductNode, connection, list_cost, or_null, page_size, refused, told,
};
use crate::{
    app::{App, Filter},
    error::CatalogError,
};

pub struct Query;

fn app<'c>(ctx: &Context<'c>) -> Result<&'c App> {
    ctx.data::<App>()
}

fn failed(error: CatalogError) -> async_graphql::Error {
    told(&Problem::from(error))
}

/// The catalog.
#[Object]
impl Query {
    /// One product, by its id or by a SKU (its own or a variant's); null when there is none.
    async fn product(&self, ctx: &Context<'_>, id: Option<ID>, sku: Option<String>) -> Option<ProductNode> {
        or_null(ctx, product(ctx, id, sku).await)
    }

    /// Products, the oldest first: at most 100 at a time, 20 when nothing is said.
    #[graphql(complexity = "list_cost(first, child_complexity)")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        filter: Option<ProductFilter>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Option<ProductConnection> {
        or_null(ctx, products(ctx, filter.unwrap_or_default(), first, after).await.map(Some))
    }

    /// One category by its slug; null when there is none.
    async fn category(&self, ctx: &Context<'_>, slug: String) -> Option<CategoryNode> {
        or_null(ctx, category(ctx, &slug).await).map(CategoryNode)
    }

    /// The categories at the top, the oldest first; their `children` lead on.
    #[graphql(complexity = "list_cost(first, child_complexity)")]
    async fn categories(&self, ctx: &Context<'_>, first: Option<i32>) -> Option<Vec<CategoryNode>> {
        or_null(ctx, categories(ctx, first).await.map(Some))
    }
}

async fn product(ctx: &Context<'_>, id: Option<ID>, sku: Option<String>) -> Result<Option<ProductNode>> {
    let found = match (id, sku) {
        (Some(id), None) => {
            let id: ProductId = id.parse().map_err(|_| refused("`id` is no id of a product."))?;
            app(ctx)?.get(id).await
        }
        (None, Some(sku)) => {
            let sku = Sku::new(sku).map_err(|error| refused(&format!("`sku` {error}.")))?;
            app(ctx)?.by_sku(&sku).await
        }
        _ => return Err(refused("Say either `id` or `sku`.")),
    };
    match found {
        Ok(product) => Ok(Some(ProductNode(product))),
        Err(CatalogError::UnknownProduct(_) | CatalogError::UnknownSku(_)) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

async fn products(ctx: &Context<'_>, filter: ProductFilter, first: Option<i32>, after: Option<String>) -> Result<ProductConnection> {
    let filter = Filter { category: filter.category, q: filter.q };
    let question = app(ctx)?.question(&filter, 0, 0).await.map_err(failed)?;
    connection(ctx, question, first, after).await
}

async fn category(ctx: &Context<'_>, slug: &str) -> Result<Option<Category>> {
    let slug = slug.parse().map_err(|error: SlugError| refused(&format!("`slug` {error}.")))?;
    app(ctx)?.category_by_slug(&slug).await.map_err(failed)
}

async fn categories(ctx: &Context<'_>, first: Option<i32>) -> Result<Vec<CategoryNode>> {
    let size = page_size(first)?;
    let roots = app(ctx)?.top_categories(size).await.map_err(failed)?;
    Ok(roots.into_iter().map(CategoryNode).collect())
}
