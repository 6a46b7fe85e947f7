//! K-02: the catalog for a storefront.

use http::Method;
use platform::testing::Stage;
use serde_json::{Value as Json, json};

use crate::{category, create, lamp, path, refusal, stage, text, told};

async fn ask(stage: &Stage, query: &str, variables: Json) -> Json {
    let got = stage.post("/graphql", &json!({"query": query, "variables": variables})).await;
    assert_eq!((got.status.as_u16(), got.header("content-type")), (200, Some("application/json")), "{}", got.json());
    got.json()
}

async fn data(stage: &Stage, query: &str, variables: Json) -> Json {
    let answer = ask(stage, query, variables).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].clone()
}

/// The message and code of the first error.
async fn error(stage: &Stage, query: &str) -> (String, String) {
    let answer = ask(stage, query, json!({})).await;
    let error = &answer["errors"][0];
    (error["message"].as_str().unwrap_or_default().to_owned(), error["extensions"]["code"].as_str().unwrap_or_default().to_owned())
}

/// Home with lamps with desk lamps, and twelve products in them.
async fn shop(stage: &Stage) -> Vec<Json> {
    let home = category(stage, "home", None).await;
    let lamps = category(stage, "lamps", Some(&home)).await;
    let desk = category(stage, "desk-lamps", Some(&lamps)).await;
    category(stage, "garden", None).await;
    let mut all = Vec::new();
    for n in 0..12 {
        let category = if n % 2 == 0 { &desk } else { &lamps };
        let body = json!({"sku": format!("P{n:02}"), "title": format!("Lamp {n}"), "categoryId": category["id"], "attributes": {"watts": n, "on": true},
            "variants": [{"sku": format!("P{n:02}-V"), "title": "V", "attributes": {"colours": ["red", "blue"]}}]});
        all.push(create(stage, &body).await);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_product_is_asked_for_by_id_or_sku_with_all_that_belongs_to_it() {
    let stage = stage().await;
    let products = shop(&stage).await;
    let query = "query P($id: ID, $sku: String) { product(id: $id, sku: $sku) { id rev sku title description attribute(name: \"watts\")
        attributes { name value } variants { sku title attribute(name: \"colours\") } media { id }
        category { slug path parent { slug parent { slug parent { slug } } } } } }";
    let by_id = data(&stage, query, json!({"id": products[2]["id"]})).await;
    assert_eq!(
        by_id["product"],
        json!({"id": products[2]["id"], "rev": products[2]["rev"], "sku": "P02", "title": "Lamp 2", "description": null, "attribute": "2",
            "attributes": [{"name": "on", "value": "true"}, {"name": "watts", "value": "2"}],
            "variants": [{"sku": "P02-V", "title": "V", "attribute": "red, blue"}], "media": [],
            "category": {"slug": "desk-lamps", "path": ["home", "lamps", "desk-lamps"],
                "parent": {"slug": "lamps", "parent": {"slug": "home", "parent": null}}}})
    );
    assert_eq!(data(&stage, query, json!({"sku": "P02-V"})).await, by_id);
    assert_eq!(data(&stage, query, json!({"sku": "NONE"})).await["product"], Json::Null);
    assert_eq!(data(&stage, query, json!({"id": "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22"})).await["product"], Json::Null);
}

#[tokio::test(start_paused = true)]
async fn products_are_paged_as_a_connection_and_filtered() {
    let stage = stage().await;
    shop(&stage).await;
    let query = "query L($first: Int, $after: String, $filter: ProductFilter) { products(first: $first, after: $after, filter: $filter) {
        edges { cursor node { sku } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    let skus = |page: &Json| -> Vec<String> {
        page["products"]["edges"].as_array().expect("edges").iter().map(|edge| text(&edge["node"]["sku"]).to_owned()).collect()
    };
    let (mut seen, mut after) = (Vec::new(), Json::Null);
    loop {
        let page = data(&stage, query, json!({"first": 5, "after": after})).await;
        let info = &page["products"]["pageInfo"];
        assert_eq!(info["hasPreviousPage"], json!(!seen.is_empty()));
        assert_eq!(info["startCursor"], page["products"]["edges"][0]["cursor"]);
        seen.extend(skus(&page));
        after = info["endCursor"].clone();
        if info["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen, (0..12).map(|n| format!("P{n:02}")).collect::<Vec<_>>());
    assert_eq!(skus(&data(&stage, query, json!({"filter": {"category": "desk-lamps"}})).await), ["P00", "P02", "P04", "P06", "P08", "P10"]);
    assert_eq!(skus(&data(&stage, query, json!({"filter": {"category": "home", "q": "lamp 1"}, "first": 2})).await), ["P01", "P10"]);
    let none = data(&stage, query, json!({"filter": {"q": "sofa"}})).await;
    assert_eq!(
        none["products"],
        json!({"edges": [], "pageInfo": {"hasNextPage": false, "hasPreviousPage": false, "startCursor": null, "endCursor": null}})
    );
}

#[tokio::test(start_paused = true)]
async fn the_tree_of_categories_is_walked_from_the_top() {
    let stage = stage().await;
    shop(&stage).await;
    let tree = data(
        &stage,
        "{ categories { slug children(first: 5) { slug name children(first: 5) { slug children(first: 5) { slug } } } } }",
        json!({}),
    )
    .await;
    assert_eq!(
        tree["categories"],
        json!([{"slug": "home", "children": [{"slug": "lamps", "name": "lamps", "children": [{"slug": "desk-lamps", "children": []}]}]},
            {"slug": "garden", "children": []}])
    );
    let one = data(&stage, "{ category(slug: \"lamps\") { products(first: 2) { edges { node { sku } } pageInfo { hasNextPage } } } none: category(slug: \"none\") { id } }", json!({})).await;
    assert_eq!(one["category"]["products"]["edges"], json!([{"node": {"sku": "P00"}}, {"node": {"sku": "P01"}}]));
    assert_eq!((&one["category"]["products"]["pageInfo"]["hasNextPage"], &one["none"]), (&json!(true), &Json::Null));
}

#[tokio::test(start_paused = true)]
async fn what_many_ask_for_is_asked_of_the_store_once() {
    let stage = stage().await;
    shop(&stage).await;
    stage.pass(std::time::Duration::from_secs(1)).await;
    let db = stage.world.db("catalog").expect("a store");
    let statements = async |query: &str| {
        let before = db.counters().statements.load(std::sync::atomic::Ordering::Relaxed);
        data(&stage, query, json!({})).await;
        db.counters().statements.load(std::sync::atomic::Ordering::Relaxed) - before
    };
    let list =
        |first: u32| format!("{{ products(first: {first}) {{ edges {{ node {{ sku category {{ slug parent {{ slug }} }} }} }} }} }}");
    let (few, many) = (statements(&list(2)).await, statements(&list(12)).await);
    assert_eq!(few, many, "the number of statements does not grow with the list");
    assert!(many <= 4, "{many}");
    let nested = statements("{ categories(first: 5) { children(first: 5) { children(first: 5) { slug products(first: 3) { edges { node { sku } } } } products(first: 3) { edges { node { sku } } } } } }").await;
    assert!(nested <= 9, "{nested}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_an_error_in_the_answer() {
    let stage = stage().await;
    shop(&stage).await;
    let invalid = |message: &str| (message.to_owned(), "invalid".to_owned());
    assert_eq!(error(&stage, "{ product { sku } }").await, invalid("Say either `id` or `sku`."));
    assert_eq!(error(&stage, "{ product(id: \"x\") { sku } }").await, invalid("`id` is no id of a product."));
    assert_eq!(error(&stage, "{ product(sku: \"a b\") { sku } }").await.1, "invalid");
    assert_eq!(error(&stage, "{ category(slug: \"A B\") { id } }").await.1, "invalid");
    for first in ["0", "-1", "101", "2147483647"] {
        let page = format!("{{ products(first: {first}) {{ edges {{ cursor }} }} }}");
        assert_eq!(error(&stage, &page).await, invalid("`first` must be from 1 to 100."), "{first}");
    }
    assert_eq!(error(&stage, "{ products(after: \"x\") { edges { cursor } } }").await, invalid("`after` is no cursor of this list."));
    assert_eq!(
        error(&stage, "{ products(filter: {category: \"none\"}) { edges { cursor } } }").await,
        invalid("category there is no such category")
    );
    for wrong in ["", "{", "{ nothing }", "mutation { x }", "subscription { x }", "{ product(sku: 5) { sku } }", "{ ...F }"] {
        assert!(!error(&stage, wrong).await.0.is_empty(), "{wrong}");
    }
    let partly = ask(&stage, "{ good: product(sku: \"P00\") { sku } bad: product { sku } }", json!({})).await;
    assert_eq!((&partly["data"], partly["errors"][0]["path"][0].as_str()), (&json!({"good": {"sku": "P00"}, "bad": null}), Some("bad")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_an_error_without_its_innards() {
    let stage = stage().await;
    shop(&stage).await;
    stage.world.db("catalog").expect("a store").run_script("DROP TABLE product_skus").await.expect("broken");
    assert_eq!(
        error(&stage, "{ product(sku: \"P00\") { sku } }").await,
        ("Something went wrong on our side".to_owned(), "internal".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn deep_huge_and_costly_queries_are_refused_before_they_run() {
    let stage = stage().await;
    shop(&stage).await;
    stage.pass(std::time::Duration::from_secs(1)).await;
    let db = stage.world.db("catalog").expect("a store");
    let before = db.counters().statements.load(std::sync::atomic::Ordering::Relaxed);
    let deep = "{ category(slug: \"home\") { parent { parent { parent { parent { parent { parent { parent { parent { parent { slug } } } } } } } } } } }";
    assert_eq!(error(&stage, deep).await.0, "The query is 11 levels deep; it may be 10.");
    assert!(error(&stage, &"{ a ".repeat(5_000)).await.0.contains("deeper"));
    let costly = "{ products(first: 100) { edges { node { category { products(first: 100) { edges { node { sku } } } } } } } }";
    assert_eq!(error(&stage, costly).await.0, "Query is too complex.");
    let aliases: String = (0..300).map(|n| format!(" a{n}: products(first: 100) {{ edges {{ cursor }} }}")).collect();
    assert_eq!(error(&stage, &format!("{{{aliases} }}")).await.0, "Query is too complex.");
    assert!(error(&stage, &format!("{{ a # {} \n }}", "x".repeat(40_000))).await.0.contains("longer"));
    assert_eq!(db.counters().statements.load(std::sync::atomic::Ordering::Relaxed), before, "the store was never asked");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_graphql_request_is_a_problem() {
    let stage = stage().await;
    let raw = async |body: &str, content_type: &str| {
        refusal(&stage.send_bytes(Method::POST, "/graphql", body.into(), &[("content-type", content_type)]).await)
    };
    assert_eq!(raw("{", "application/json").await, told(400, "unreadable", ""));
    assert_eq!(raw("{ products }", "application/graphql").await, told(415, "unsupported-media-type", ""));
    assert_eq!(raw("[]", "application/json").await.0, 422, "no batches");
    assert_eq!(raw("{\"query\": 5}", "application/json").await, told(422, "invalid", "#/query"));
    assert_eq!(raw("{\"query\": \"{a}\", \"variables\": []}", "application/json").await, told(422, "invalid", "#/variables"));
    assert_eq!(raw("{\"query\": \"{a}\", \"id\": 1}", "application/json").await, told(422, "invalid", "#/id"));
    assert_eq!(raw(&format!("{{\"query\": \"{}\"}}", "x".repeat(2_000_000)), "application/json").await.0, 413);
    let named =
        json!({"query": "query A { a: categories { id } } query B { b: categories { id } }", "operationName": "B", "extensions": {}});
    assert_eq!(stage.post("/graphql", &named).await.json(), json!({"data": {"b": []}}));
}

#[tokio::test(start_paused = true)]
async fn the_schema_can_be_asked_for_and_there_is_a_page() {
    let stage = stage().await;
    let types =
        data(&stage, "{ __schema { types { name fields { name type { kind ofType { ofType { ofType { name } } } } } } } }", json!({}))
            .await;
    let names: Vec<&str> = types["__schema"]["types"].as_array().expect("types").iter().filter_map(|kind| kind["name"].as_str()).collect();
    for name in ["Product", "Variant", "Category", "ProductConnection", "ProductEdge", "PageInfo", "ProductFilter", "Media"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let page = stage.get("/graphql").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(String::from_utf8_lossy(&page.body).contains("/graphql"));
    insta::assert_snapshot!("schema", catalog::graphql::schema_text());
}

#[tokio::test(start_paused = true)]
async fn a_change_shows_at_once() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    stage.put(&path(&product), &json!({"sku": "A", "title": "New", "rev": product["rev"]})).await;
    let query = "{ product(sku: \"A\") { title } products { edges { node { title } } } }";
    assert_eq!(
        data(&stage, query, json!({})).await,
        json!({"product": {"title": "New"}, "products": {"edges": [{"node": {"title": "New"}}]}})
    );
}
