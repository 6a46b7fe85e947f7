//! K-01: products with revisions.

use http::Method;
use serde_json::{Value as Json, json};

use crate::{category, create, lamp, path, put_if_match, refusal, skus, stage, text, told};

#[tokio::test(start_paused = true)]
async fn a_product_is_made_read_changed_and_deleted() {
    let stage = stage().await;
    let category = category(&stage, "lamps", None).await;
    let body = json!({"sku": "LAMP", "title": "Lamp", "description": "It shines.", "categoryId": category["id"],
        "attributes": {"watts": 7, "dimmable": true, "colours": ["red", "blue"]},
        "variants": [{"sku": "LAMP-RED", "title": "Red", "attributes": {"colour": "red"}}], "media": []});
    let made = stage.post("/products", &body).await;
    assert_eq!(made.status, 201);
    let product = made.json();
    assert_eq!(made.header("location"), Some(path(&product).as_str()));
    let rev = text(&product["rev"]);
    assert!(rev.starts_with("1-") && rev.len() == 34, "{rev}");
    assert_eq!(made.header("etag"), Some(format!("\"{rev}\"").as_str()));
    for field in ["sku", "title", "description", "categoryId", "attributes", "variants", "media"] {
        assert_eq!(product[field], body[field], "{field}");
    }
    let read = stage.get(&path(&product)).await;
    assert_eq!((read.status.as_u16(), read.json(), read.header("etag")), (200, product.clone(), made.header("etag")));
    for sku in ["LAMP", "LAMP-RED"] {
        assert_eq!(stage.get(&format!("/products/by-sku/{sku}")).await.json(), product);
    }

    let changed = stage.put(&path(&product), &json!({"sku": "LAMP", "title": "Better lamp", "rev": rev})).await;
    assert_eq!(changed.status, 200, "{}", changed.json());
    assert!(text(&changed.json()["rev"]).starts_with("2-"));
    assert_eq!(changed.json()["attributes"], json!({}), "what is left out is taken away");
    assert_eq!(changed.json()["createdAt"], product["createdAt"]);
    assert_eq!(stage.get("/products/by-sku/LAMP-RED").await.status, 404, "the variant is gone");

    let gone = stage.send(Method::DELETE, &path(&product), None::<&Json>, &[("if-match", changed.header("etag").expect("a tag"))]).await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    assert_eq!(refusal(&stage.get(&path(&product)).await), told(404, "not-found", ""));
    assert_eq!(stage.get("/products/by-sku/LAMP").await.status, 404);
    assert!(skus(&stage.get("/products").await.json()).is_empty());
    assert!(stage.facts("products").await.is_empty());
    create(&stage, &lamp("LAMP")).await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_revision_is_refused_and_changes_nothing() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    let (path, first) = (path(&product), text(&product["rev"]).to_owned());
    let second = stage.put(&path, &json!({"sku": "A", "title": "B", "rev": first})).await.json();
    let (stale, current) = (format!("\"{first}\""), format!("\"{}\"", text(&second["rev"])));

    let body = json!({"sku": "A", "title": "C", "rev": first});
    let refused = stage.put(&path, &body).await;
    assert_eq!(refusal(&refused), told(409, "stale-revision", "#/rev"));
    assert_eq!(refused.json()["rev"], second["rev"], "it says what stands there");
    let plain = json!({"sku": "A", "title": "C"});
    assert_eq!(refusal(&put_if_match(&stage, &path, &plain, &stale).await), told(412, "stale-version", ""));
    assert_eq!(refusal(&put_if_match(&stage, &path, &body, &current).await), told(409, "stale-revision", "#/rev"), "both must hold");
    assert_eq!(refusal(&put_if_match(&stage, &path, &plain, "W/\"1\"").await).0, 400);
    assert_eq!(refusal(&stage.put(&path, &plain).await), told(422, "invalid", "#/rev"), "without a revision nothing is changed");
    assert_eq!(refusal(&stage.delete(&path).await), told(422, "invalid", "#/rev"));
    assert_eq!(refusal(&stage.delete(&format!("{path}?rev={first}")).await), told(409, "stale-revision", "#/rev"));
    let tag = [("if-match", stale.as_str())];
    assert_eq!(refusal(&stage.send(Method::DELETE, &path, None::<&Json>, &tag).await), told(412, "stale-version", ""));
    assert_eq!(stage.get(&path).await.json(), second);

    assert_eq!(put_if_match(&stage, &path, &plain, "*").await.status, 200, "any revision will do");
    assert_eq!(put_if_match(&stage, &path, &plain, &current).await.status, 412);
    let now = stage.get(&path).await.json();
    assert_eq!(stage.delete(&format!("{path}?rev={}", text(&now["rev"]))).await.status, 204);
    assert_eq!(stage.delete(&format!("{path}?rev={}", text(&now["rev"]))).await.status, 404);
    assert_eq!(stage.put(&path, &json!({"sku": "A", "title": "C", "rev": now["rev"]})).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn of_many_changes_of_one_revision_one_wins() {
    let stage = stage().await;
    stage.world.start(&catalog::MANIFEST, 1).await.expect("a second instance");
    let product = create(&stage, &lamp("A")).await;
    let bodies: Vec<Json> = (0..20).map(|n| json!({"sku": "A", "title": format!("T{n}"), "rev": product["rev"]})).collect();
    let path = path(&product);
    let all = futures::future::join_all(bodies.iter().map(|body| stage.put(&path, body))).await;
    let count = |status| all.iter().filter(|got| got.status.as_u16() == status).count();
    assert_eq!((count(200), count(409)), (1, 19));
    let won = all.iter().find(|got| got.status == 200).expect("one").json();
    assert_eq!(stage.get(&path).await.json(), won);
    assert!(text(&won["rev"]).starts_with("2-"));
}

#[tokio::test(start_paused = true)]
async fn a_sku_is_had_by_one_product_or_variant() {
    let stage = stage().await;
    let with = |sku: &str, variant: &str| json!({"sku": sku, "title": sku, "variants": [{"sku": variant, "title": variant}]});
    let first = create(&stage, &with("A", "A-1")).await;
    for (body, pointer) in
        [(lamp("A"), "#/sku"), (lamp("A-1"), "#/sku"), (with("B", "A"), "#/variants/0/sku"), (with("B", "A-1"), "#/variants/0/sku")]
    {
        let got = stage.post("/products", &body).await;
        assert_eq!(refusal(&got), told(409, "sku-taken", pointer));
        assert_eq!(got.json()["productId"], first["id"]);
    }
    let second = create(&stage, &lamp("B")).await;
    let taken = json!({"sku": "B", "title": "B", "rev": second["rev"], "variants": [{"sku": "A-1", "title": "x"}]});
    assert_eq!(refusal(&stage.put(&path(&second), &taken).await), told(409, "sku-taken", "#/variants/0/sku"));
    assert_eq!(skus(&stage.get("/products").await.json()), ["A", "B"], "what was refused left nothing");

    let bodies: Vec<Json> = (0..20).map(|n| with("SAME", &format!("V{n}"))).collect();
    let all = futures::future::join_all(bodies.iter().map(|body| stage.post("/products", body))).await;
    assert_eq!(all.iter().filter(|got| got.status == 201).count(), 1, "of many at once one has it");
    assert!(all.iter().all(|got| got.status == 201 || got.slug() == "sku-taken"));
}

#[tokio::test(start_paused = true)]
async fn a_sku_that_was_given_up_is_free_once_its_claim_has_lapsed_and_never_had_twice() {
    let stage = stage().await;
    let first = create(&stage, &lamp("OLD")).await;
    let renamed = stage.put(&path(&first), &json!({"sku": "NEW", "title": "x", "rev": first["rev"]})).await;
    assert_eq!(renamed.status, 200);
    assert_eq!(stage.get("/products/by-sku/OLD").await.status, 404);
    assert_eq!(stage.post("/products", &lamp("OLD")).await.slug(), "sku-taken", "it was in use just now");
    stage.pass(std::time::Duration::from_secs(61)).await;
    create(&stage, &lamp("OLD")).await;
    let back = json!({"sku": "OLD", "title": "x", "rev": renamed.json()["rev"]});
    assert_eq!(refusal(&stage.put(&path(&first), &back).await), told(409, "sku-taken", "#/sku"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_said_again_is_answered_again() {
    let stage = stage().await;
    let first = stage.post_with_key("/products", &lamp("A"), "k1").await;
    let again = stage.post_with_key("/products", &lamp("A"), "k1").await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (201, None));
    assert_eq!((again.status, again.body.clone()), (first.status, first.body.clone()));
    for name in ["location", "etag"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(refusal(&stage.post_with_key("/products", &lamp("B"), "k1").await), told(422, "idempotency-key-reused", ""));
    assert_eq!(stage.post_with_key("/products", &lamp("A"), "k2").await.slug(), "sku-taken");
    let mended = stage.post_with_key("/products", &lamp("C"), "k2").await;
    assert_eq!(mended.status, 201, "a refused request leaves its key free");
    let body = lamp("D");
    let both = futures::join!(stage.post_with_key("/products", &body, "k3"), stage.post_with_key("/products", &body, "k3"));
    let made = [both.0, both.1].iter().filter(|got| got.status == 201 && got.header("idempotency-replayed").is_none()).count();
    assert_eq!(made, 1);
    assert_eq!(skus(&stage.get("/products").await.json()), ["A", "C", "D"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_told_with_its_place() {
    let stage = stage().await;
    let cases = [
        (json!({"title": "x"}), 422, "#"),
        (json!({"sku": "a b", "title": "x"}), 422, "#/sku"),
        (json!({"sku": "A", "title": ""}), 422, "#/title"),
        (json!({"sku": "A", "title": "x", "price": 3}), 422, "#/price"),
        (json!({"sku": "A", "title": "x", "rev": "1-a"}), 422, "#/rev"),
        (json!({"sku": "A", "title": "x", "attributes": {"a": null}}), 422, "#/attributes/a"),
        (json!({"sku": "A", "title": "x", "attributes": {"a": {"b": 1}}}), 422, "#/attributes/a"),
        (json!({"sku": "A", "title": "x", "variants": [{"sku": "A", "title": "x"}]}), 422, "#/variants/0/sku"),
        (json!({"sku": "A", "title": "x", "categoryId": "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22"}), 422, "#/categoryId"),
        (json!({"sku": "A", "title": "x", "media": [{"mediaId": "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22"}]}), 422, "#/media/0/mediaId"),
    ];
    for (body, status, pointer) in cases {
        let got = stage.post("/products", &body).await;
        assert_eq!(
            (got.status.as_u16(), got.json()["errors"][0]["pointer"].as_str().unwrap_or("")),
            (status, pointer),
            "{body} {}",
            got.json()
        );
    }
    let raw = async |body: &str, content_type: &str| {
        stage.send_bytes(Method::POST, "/products", body.into(), &[("content-type", content_type)]).await.status.as_u16()
    };
    assert_eq!(raw("{", "application/json").await, 400);
    assert_eq!(raw("{}", "text/plain").await, 415);
    assert_eq!(raw(&"x".repeat(1 << 21), "application/json").await, 413);
    assert_eq!(stage.get("/products/nothing").await.status, 404);
    assert_eq!(stage.get("/products?limit=0").await.status, 422);
    assert_eq!(stage.get("/products?cursor=x").await.status, 422);
    assert_eq!(stage.get("/products?colour=red").await.status, 422);
    assert_eq!(refusal(&stage.get("/products?category=nowhere").await), told(422, "invalid", "#/category"));
    assert_eq!(refusal(&stage.get("/products?q=a+b+c+d+e+f+g+h+i").await), told(422, "invalid", "#/q"));
    assert_eq!(stage.send(Method::PATCH, "/products", Some(&json!({})), &[]).await.status, 405);
    assert!(stage.facts("products").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn lists_are_paged_whole_while_products_come_and_go() {
    let stage = stage().await;
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(create(&stage, &lamp(&format!("S{n}"))).await);
    }
    let first = stage.get("/products?limit=3").await.json();
    assert_eq!(skus(&first), ["S0", "S1", "S2"]);
    let gone = &made[1];
    assert_eq!(stage.delete(&format!("{}?rev={}", path(gone), text(&gone["rev"]))).await.status, 204);
    create(&stage, &lamp("S7")).await;
    let second = stage.get(&format!("/products?limit=3&cursor={}", text(&first["nextCursor"]))).await.json();
    assert_eq!(skus(&second), ["S3", "S4", "S5"]);
    let third = stage.get(&format!("/products?limit=3&cursor={}", text(&second["nextCursor"]))).await.json();
    assert_eq!((skus(&third), &third["nextCursor"]), (vec!["S6".to_owned(), "S7".to_owned()], &Json::Null));
}

#[tokio::test(start_paused = true)]
async fn products_are_found_by_the_beginnings_of_their_words_and_by_category() {
    let stage = stage().await;
    let home = category(&stage, "home", None).await;
    let lamps = category(&stage, "lamps", Some(&home)).await;
    let desk = category(&stage, "desk-lamps", Some(&lamps)).await;
    let garden = category(&stage, "garden", None).await;
    let product = |sku: &str, title: &str, category: &Json, colour: &str| {
        json!({"sku": sku, "title": title, "categoryId": category["id"], "attributes": {"colour": colour},
            "variants": [{"sku": format!("{sku}-XL"), "title": "Extra groß"}]})
    };
    create(&stage, &product("L-1", "Desk Lamp", &desk, "red")).await;
    create(&stage, &product("L-2", "Floor lamp", &lamps, "deep blue")).await;
    let hose = create(&stage, &product("H-1", "Garden hose", &garden, "red")).await;
    let found = async |query: &str| skus(&stage.get(&format!("/products?{query}")).await.json());
    assert_eq!(found("q=lamp").await, ["L-1", "L-2"]);
    assert_eq!(found("q=LAM+de").await, ["L-1", "L-2"], "desk and deep");
    assert_eq!(found("q=lamp+red").await, ["L-1"]);
    assert_eq!(found("q=red").await, ["L-1", "H-1"]);
    assert_eq!(found("q=h-1").await, ["H-1"]);
    assert_eq!(found("q=gro%C3%9F").await, ["L-1", "L-2", "H-1"], "of a variant");
    assert_eq!(found("q=amp").await, Vec::<String>::new(), "not in the middle of a word");
    assert_eq!(found("q=%25").await, ["L-1", "L-2", "H-1"], "no words ask for nothing");
    assert_eq!(found("category=home").await, ["L-1", "L-2"], "what is below counts");
    assert_eq!(found("category=desk-lamps").await, ["L-1"]);
    assert_eq!(found(&format!("category={}", text(&lamps["id"]))).await, ["L-1", "L-2"]);
    assert_eq!(found("category=garden&q=red").await, ["H-1"]);
    assert_eq!(found("category=home&q=hose").await, Vec::<String>::new());

    let moved = json!({"sku": "H-1", "title": "Hose lamp", "categoryId": home["id"], "rev": hose["rev"]});
    assert_eq!(stage.put(&path(&hose), &moved).await.status, 200);
    assert_eq!(found("q=lamp").await, ["L-1", "L-2", "H-1"]);
    assert_eq!(found("q=red").await, ["L-1"], "words that are gone do not find it");
    assert_eq!(found("category=garden").await, Vec::<String>::new());
    assert_eq!(found("category=home").await, ["L-1", "L-2", "H-1"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_there_after_a_kill() {
    let stage = stage().await;
    let product = create(&stage, &lamp("A")).await;
    stage.world.kill("catalog", 0);
    assert_eq!(stage.get(&path(&product)).await.status, 503);
    stage.world.start(&catalog::MANIFEST, 0).await.expect("started");
    assert_eq!(stage.get(&path(&product)).await.json(), product);
    assert_eq!(skus(&stage.get("/products").await.json()), ["A"]);
    let facts = stage.facts("products").await;
    assert_eq!(facts.len(), 1);
    for (field, value) in [("kind", json!("product")), ("id", product["id"].clone()), ("sku", json!("A")), ("rev", product["rev"].clone())]
    {
        assert_eq!(facts[0][field], value, "{field}");
    }
}
