//! The endpoints: parse, call the application, show.
//!
//! A path's fixed words come before a SKU: `/pricing/rules` is the list of rules, so `rules`, `books` and `carts` are refused as SKUs
//! wherever a price is written.

use axum::extract::State;
use platform::{
    http::{Answer, Body, Command, IfMatch, Page, PageQuery, Path, Query},
    problem::Problem,
};
use pricing_api::{
    BookEntry, BookEntryRequest, PriceCart, PriceCartQuery, PricedCart, Promotion, PromotionRequest, Quote, QuoteQuery, Rates, Redeem,
    Rule, RuleRequest, SimulateRequest, Simulation,
};
use types::{CartId, Currency, Sku, id::PlainId};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::App;

pub fn router(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(quote))
        .routes(routes!(simulate))
        .routes(routes!(put_rule, list_rules))
        .routes(routes!(get_rule))
        .routes(routes!(get_entry, put_entry))
        .routes(routes!(list_entries))
        .routes(routes!(price_cart))
        .routes(routes!(create_promotion, list_promotions))
        .routes(routes!(get_promotion))
        .routes(routes!(redeem))
        .routes(routes!(give_back))
        .routes(routes!(rates))
        .with_state(app)
}

/// The price of a SKU
///
/// The list price comes from the currency's book, or from a fixed price without a condition that names the SKU; without either it is 404.
/// Rules apply by priority, the highest first. The quote holds until `validUntil`, and no rule for the SKU starts or ends before that.
#[utoipa::path(
    get, path = "/pricing/{sku}", tag = "prices", params(("sku" = Sku, Path, description = "The SKU"), QuoteQuery),
    responses(
        (status = 200, description = "The price", body = Quote),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn quote(State(app): State<App>, Path(sku): Path<Sku>, Query(query): Query<QuoteQuery>) -> Result<Answer, Problem> {
    Answer::ok(&app.quote(&sku, query).await?)
}

/// Try a price out
///
/// A quote for each context, with every rule that did and did not apply, and why. Draft rules are tried with those in force; nothing is kept.
#[utoipa::path(
    post, path = "/pricing/{sku}/simulate", tag = "prices",
    params(("sku" = Sku, Path, description = "The SKU"), ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = SimulateRequest,
    responses(
        (status = 200, description = "A quote for each context", body = Simulation),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn simulate(State(app): State<App>, Path(sku): Path<Sku>, command: Command<SimulateRequest>) -> Result<Answer, Problem> {
    Ok(app.simulate(sku, command.body, command.key).await?)
}

/// Write a price rule
///
/// With the `id` of a rule that is there it replaces that rule (200); otherwise it makes one (201). The same again changes nothing.
#[utoipa::path(
    post, path = "/pricing/rules", tag = "rules", params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = RuleRequest,
    responses(
        (status = 200, description = "The rule, replaced", body = Rule),
        (status = 201, description = "The rule, new", body = Rule),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_rule(State(app): State<App>, command: Command<RuleRequest>) -> Result<Answer, Problem> {
    Ok(app.put_rule(command.body, command.key).await?)
}

/// List the price rules, in the order in which they were made
#[utoipa::path(
    get, path = "/pricing/rules", tag = "rules", params(PageQuery),
    responses(
        (status = 200, description = "A page of rules", body = Page<Rule>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_rules(State(app): State<App>, Query(page): Query<PageQuery>) -> Result<Answer, Problem> {
    let limit = page.limit()?;
    let after = page.place::<i64>()?.unwrap_or(0);
    let rows = Page::cut(app.rules(after, limit + 1).await?, limit, |(seq, _)| *seq);
    Answer::ok(&Page { items: rows.items.into_iter().map(|(_, rule)| rule).collect(), next_cursor: rows.next_cursor })
}

/// Read a price rule
#[utoipa::path(
    get, path = "/pricing/rules/{id}", tag = "rules", params(("id" = PlainId, Path, description = "The rule's id")),
    responses(
        (status = 200, description = "The rule", body = Rule),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_rule(State(app): State<App>, Path(PlainId(id)): Path<PlainId>) -> Result<Answer, Problem> {
    let rule = app.rule(id).await?;
    Ok(Answer::ok(&rule)?.version(rule.version))
}

/// Read a price of a book
#[utoipa::path(
    get, path = "/pricing/books/{book}/entries/{sku}", tag = "books",
    params(("book" = String, Path, description = "standard-usd, standard-eur, standard-jpy or standard-vnd"), ("sku" = Sku, Path, description = "The SKU")),
    responses(
        (status = 200, description = "The price", body = BookEntry),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_entry(State(app): State<App>, Path((book, sku)): Path<(String, Sku)>) -> Result<Answer, Problem> {
    let entry = app.entry(&book, &sku).await?;
    Ok(Answer::ok(&entry)?.version(entry.version))
}

/// Set a price in a book
///
/// Its currency is the book's. The same price again changes nothing.
#[utoipa::path(
    put, path = "/pricing/books/{book}/entries/{sku}", tag = "books",
    params(
        ("book" = String, Path, description = "standard-usd, standard-eur, standard-jpy or standard-vnd"), ("sku" = Sku, Path, description = "The SKU"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the price that was seen"),
    ),
    request_body = BookEntryRequest,
    responses(
        (status = 200, description = "The price", body = BookEntry),
        (status = 201, description = "The price, where there was none", body = BookEntry),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_entry(
    State(app): State<App>,
    Path((book, sku)): Path<(String, Sku)>,
    seen: IfMatch,
    Body(request): Body<BookEntryRequest>,
) -> Result<Answer, Problem> {
    Ok(app.put_entry(book, sku, request, seen).await?)
}

/// List a book's prices, by SKU
#[utoipa::path(
    get, path = "/pricing/books/{book}/entries", tag = "books",
    params(("book" = String, Path, description = "standard-usd, standard-eur, standard-jpy or standard-vnd"), PageQuery),
    responses(
        (status = 200, description = "A page of prices", body = Page<BookEntry>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_entries(State(app): State<App>, Path(book): Path<String>, Query(page): Query<PageQuery>) -> Result<Answer, Problem> {
    let limit = page.limit()?;
    let after = page.place::<String>()?.unwrap_or_default();
    Answer::ok(&Page::cut(app.entries(&book, &after, limit + 1).await?, limit, |entry| entry.sku.clone()))
}

/// Price a whole cart (for services)
///
/// Nothing is used up by this. A SKU without a price is 422 at its line, a coupon that is unknown, does not hold now or is used up is 422 at
/// `#/coupon`; one whose condition this cart does not fulfil takes nothing off.
#[utoipa::path(
    post, path = "/pricing/carts/price", tag = "internal",
    params(PriceCartQuery, ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = PriceCart,
    responses(
        (status = 200, description = "The cart, priced", body = PricedCart),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn price_cart(State(app): State<App>, Query(query): Query<PriceCartQuery>, command: Command<PriceCart>) -> Result<Answer, Problem> {
    Ok(app.price_cart(command.body, query.cart_id, command.key).await?)
}

/// Make a promotion
///
/// With a code it is a coupon; without one it is taken off every cart that fulfils its condition.
#[utoipa::path(
    post, path = "/promotions", tag = "promotions", params(("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = PromotionRequest,
    responses(
        (status = 201, description = "The promotion", body = Promotion),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create_promotion(State(app): State<App>, command: Command<PromotionRequest>) -> Result<Answer, Problem> {
    Ok(app.create_promotion(command.body, command.key).await?)
}

/// List the promotions, in the order in which they were made
#[utoipa::path(
    get, path = "/promotions", tag = "promotions", params(PageQuery),
    responses(
        (status = 200, description = "A page of promotions", body = Page<Promotion>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_promotions(State(app): State<App>, Query(page): Query<PageQuery>) -> Result<Answer, Problem> {
    let limit = page.limit()?;
    let after = page.place::<i64>()?.unwrap_or(0);
    let rows = Page::cut(app.promotions(after, limit + 1).await?, limit, |(seq, _)| *seq);
    Answer::ok(&Page { items: rows.items.into_iter().map(|(_, promotion)| promotion).collect(), next_cursor: rows.next_cursor })
}

/// Read a promotion by its code or its id
#[utoipa::path(
    get, path = "/promotions/{name}", tag = "promotions", params(("name" = Sku, Path, description = "The promotion's code or id")),
    responses(
        (status = 200, description = "The promotion", body = Promotion),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get_promotion(State(app): State<App>, Path(name): Path<Sku>) -> Result<Answer, Problem> {
    Answer::ok(&app.promotion(&name).await?)
}

/// Use a coupon up for a cart (for services)
///
/// A cart uses it once, however often this is said. 409 where the limit is reached or the promotion does not hold now.
#[utoipa::path(
    post, path = "/promotions/{code}/redemptions", tag = "internal",
    params(("code" = Sku, Path, description = "The coupon"), ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Redeem,
    responses(
        (status = 200, description = "The promotion", body = Promotion),
        (status = "4XX", description = "Refused; nothing has changed", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn redeem(State(app): State<App>, Path(code): Path<Sku>, command: Command<Redeem>) -> Result<Answer, Problem> {
    Ok(app.redeem(code, command.body.cart_id, command.key).await?)
}

/// Give a cart's use of a coupon back (for services)
///
/// Nothing happens when there is none.
#[utoipa::path(
    delete, path = "/promotions/{code}/redemptions/{cart}", tag = "internal",
    params(("code" = Sku, Path, description = "The coupon"), ("cart" = CartId, Path, description = "The cart's id")),
    responses(
        (status = 204, description = "The cart has not used it"),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn give_back(State(app): State<App>, Path((code, cart)): Path<(Sku, CartId)>) -> Result<Answer, Problem> {
    Ok(app.give_back(code, cart).await?)
}

/// What one unit of a currency is in the others
#[utoipa::path(
    get, path = "/fx/{base}", tag = "fx", params(("base" = Currency, Path, description = "The currency of which one unit is told")),
    responses(
        (status = 200, description = "The rates", body = Rates),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn rates(State(app): State<App>, Path(base): Path<Currency>) -> Result<Answer, Problem> {
    Answer::ok(&app.rates(base).await?)
}
