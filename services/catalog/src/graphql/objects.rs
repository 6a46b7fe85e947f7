//! The objects of the graph.

use async_graphql::{Context, Error, ErrorExtensions, ID, InputObject, Object, Result, SimpleObject, connection::PageInfo};
use catalog_api::{Attributes, Category, Product, ProductMedia, Variant};
use platform::{
    http::Cursor,
    problem::{Problem, kinds},
};

use types::CategoryId;

use super::loader::Loader;
use crate::{app::categories::DEPTH_MAX, store::index::Question};

/// How many items a page has at most, and when nobody says.
const PAGE_MAX: i32 = 100;
const PAGE: i32 = 20;

/// A problem as a GraphQL error: its sentence, and its slug as `code`.
#[must_use]
pub fn told(problem: &Problem) -> Error {
    let place = problem.errors.first();
    let text = match (&problem.detail, place) {
        (Some(detail), _) => detail.clone(),
        (None, Some(place)) => format!("{} {}", place.pointer.trim_start_matches("#/"), place.detail),
        (None, None) => problem.title.clone(),
    };
    Error::new(text).extend_with(|_, more| {
        more.set("code", problem.slug());
        more.set("status", i32::from(problem.status));
    })
}

pub fn refused(what: &str) -> Error {
    told(&Problem::new(&kinds::INVALID).detail(what))
}

/// The size of a page as it was asked for.
pub fn page_size(first: Option<i32>) -> Result<u32> {
    match first.unwrap_or(PAGE) {
        size @ 1..=PAGE_MAX => Ok(size.unsigned_abs()),
        _ => Err(refused("`first` must be from 1 to 100.")),
    }
}

/// What a list costs: each of its items costs what is asked of one. A size that will be refused costs nothing more.
pub fn list_cost(first: Option<i32>, one: usize) -> usize {
    let items = usize::try_from(first.unwrap_or(PAGE).clamp(1, PAGE_MAX)).unwrap_or(1);
    items.saturating_mul(one).saturating_add(1)
}

/// What was found, or null with the error beside it: what a query asked for elsewhere is answered all the same. (The engine itself would
/// leave the field out.)
pub fn or_null<T>(ctx: &Context<'_>, found: Result<Option<T>>) -> Option<T> {
    found.unwrap_or_else(|error| {
        ctx.add_error(ctx.set_error_path(error.into_server_error(ctx.item.pos)));
        None
    })
}

fn loader<'c>(ctx: &Context<'c>) -> Result<&'c Loader> {
    ctx.data::<Loader>()
}

/// A page of products for a question whose limit is still open.
pub async fn connection(ctx: &Context<'_>, question: Question, first: Option<i32>, after: Option<String>) -> Result<ProductConnection> {
    let size = page_size(first)?;
    let behind = match &after {
        None => 0,
        Some(cursor) => Cursor::read::<i64>(cursor).map_err(|_| refused("`after` is no cursor of this list."))?,
    };
    let mut rows = loader(ctx)?.products(Question { behind, limit: size + 1, ..question }).await.map_err(|problem| told(&problem))?;
    let has_next_page = rows.len() > size as usize;
    rows.truncate(size as usize);
    let edges: Vec<ProductEdge> =
        rows.into_iter().map(|(place, product)| ProductEdge { node: ProductNode(product), cursor: Cursor::write(&place) }).collect();
    let page_info = PageInfo {
        has_previous_page: after.is_some(),
        has_next_page,
        start_cursor: edges.first().map(|edge| edge.cursor.clone()),
        end_cursor: edges.last().map(|edge| edge.cursor.clone()),
    };
    Ok(ProductConnection { edges, page_info })
}

/// Which products are meant; all that is said must hold.
#[derive(Debug, Default, InputObject)]
pub struct ProductFilter {
    /// A category's slug or id; what is below it counts too.
    pub category: Option<String>,
    /// Words; a product has, for each, one that begins like it.
    pub q: Option<String>,
}

/// A page of products, the oldest first.
#[derive(SimpleObject)]
pub struct ProductConnection {
    pub edges: Vec<ProductEdge>,
    pub page_info: PageInfo,
}

#[derive(SimpleObject)]
pub struct ProductEdge {
    pub node: ProductNode,
    /// Its place in the list, for `after`.
    pub cursor: String,
}

pub struct ProductNode(pub Product);

/// What is sold, in one form or several.
#[Object(name = "Product")]
impl ProductNode {
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }
    async fn rev(&self) -> &str {
        &self.0.rev
    }
    async fn sku(&self) -> &str {
        self.0.sku.as_str()
    }
    async fn title(&self) -> &str {
        self.0.title.as_str()
    }
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }
    async fn category(&self, ctx: &Context<'_>) -> Option<CategoryNode> {
        or_null(ctx, category(ctx, self.0.category_id).await).map(CategoryNode)
    }
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn attributes(&self) -> Vec<Attribute> {
        attributes(&self.0.attributes)
    }
    /// The value of one attribute, as text.
    async fn attribute(&self, name: String) -> Option<String> {
        attribute(&self.0.attributes, &name)
    }
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn variants(&self) -> Vec<VariantNode<'_>> {
        self.0.variants.iter().map(VariantNode).collect()
    }
    /// What is there and checked; `GET /products/{id}/media/{mediaId}` gives a URL to fetch it.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn media(&self) -> Vec<MediaNode<'_>> {
        self.0.media.iter().map(MediaNode).collect()
    }
    /// RFC 3339.
    async fn created_at(&self) -> String {
        self.0.created_at.to_string()
    }
    /// RFC 3339.
    async fn updated_at(&self) -> String {
        self.0.updated_at.to_string()
    }
}

pub struct VariantNode<'p>(&'p Variant);

/// One form of a product: a colour, a size.
#[Object(name = "Variant")]
impl VariantNode<'_> {
    async fn sku(&self) -> &str {
        self.0.sku.as_str()
    }
    async fn title(&self) -> &str {
        self.0.title.as_str()
    }
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn attributes(&self) -> Vec<Attribute> {
        attributes(&self.0.attributes)
    }
    /// The value of one attribute, as text.
    async fn attribute(&self, name: String) -> Option<String> {
        attribute(&self.0.attributes, &name)
    }
}

/// What something is described by.
#[derive(SimpleObject)]
pub struct Attribute {
    name: String,
    /// As text, whatever it is.
    value: String,
}

fn attributes(all: &Attributes) -> Vec<Attribute> {
    all.iter().map(|(name, value)| Attribute { name: name.as_str().to_owned(), value: value.text() }).collect()
}

fn attribute(all: &Attributes, wanted: &str) -> Option<String> {
    all.iter().find(|(name, _)| name.as_str() == wanted).map(|(_, value)| value.text())
}

pub struct MediaNode<'p>(&'p ProductMedia);

/// An image of a product.
#[Object(name = "Media")]
impl MediaNode<'_> {
    async fn id(&self) -> ID {
        ID(self.0.media_id.to_string())
    }
    async fn file_name(&self) -> &str {
        &self.0.file_name
    }
    async fn content_type(&self) -> &str {
        &self.0.content_type
    }
    /// In bytes.
    async fn size(&self) -> u64 {
        self.0.size
    }
    async fn sha256(&self) -> &str {
        &self.0.sha256
    }
    /// In pixels.
    async fn width(&self) -> u32 {
        self.0.width
    }
    /// In pixels.
    async fn height(&self) -> u32 {
        self.0.height
    }
}

pub struct CategoryNode(pub Category);

/// A place in the tree of what is sold.
#[Object(name = "Category")]
impl CategoryNode {
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }
    async fn slug(&self) -> &str {
        self.0.slug.as_str()
    }
    async fn name(&self) -> &str {
        self.0.name.as_str()
    }
    async fn parent(&self, ctx: &Context<'_>) -> Option<Self> {
        or_null(ctx, category(ctx, self.0.parent_id).await).map(CategoryNode)
    }
    /// The slugs from the top down to this one.
    #[graphql(complexity = 8)]
    async fn path(&self, ctx: &Context<'_>) -> Option<Vec<String>> {
        or_null(ctx, path(ctx, &self.0).await.map(Some))
    }
    /// The categories directly below, the oldest first.
    #[graphql(complexity = "list_cost(first, child_complexity)")]
    async fn children(&self, ctx: &Context<'_>, first: Option<i32>) -> Option<Vec<Self>> {
        or_null(ctx, children(ctx, self.0.id, first).await.map(Some))
    }
    /// The products in this category and below it.
    #[graphql(complexity = "list_cost(first, child_complexity)")]
    async fn products(&self, ctx: &Context<'_>, first: Option<i32>, after: Option<String>) -> Option<ProductConnection> {
        let question = Question { category: Some(self.0.id), ..Question::default() };
        or_null(ctx, connection(ctx, question, first, after).await.map(Some))
    }
}

async fn category(ctx: &Context<'_>, id: Option<CategoryId>) -> Result<Option<Category>> {
    let Some(id) = id else { return Ok(None) };
    loader(ctx)?.category(id).await.map_err(|problem| told(&problem))
}

async fn children(ctx: &Context<'_>, id: CategoryId, first: Option<i32>) -> Result<Vec<CategoryNode>> {
    let size = page_size(first)?;
    let found = loader(ctx)?.children(id).await.map_err(|problem| told(&problem))?;
    Ok(found.into_iter().take(size as usize).map(CategoryNode).collect())
}

async fn path(ctx: &Context<'_>, of: &Category) -> Result<Vec<String>> {
    let (mut path, mut above) = (vec![of.slug.to_string()], of.parent_id);
    while path.len() < DEPTH_MAX
        && let Some(parent) = category(ctx, above).await?
    {
        path.push(parent.slug.to_string());
        above = parent.parent_id;
    }
    path.reverse();
    Ok(path)
}
