//! K-03: the taxonomy.

use serde_json::{Value as Json, json};

use crate::{category, put_if_match, refusal, stage, text, told};

fn path(category: &Json) -> String {
    format!("/categories/{}", text(&category["id"]))
}

#[tokio::test(start_paused = true)]
async fn a_category_is_made_read_and_changed() {
    let stage = stage().await;
    let body = json!({"slug": "lamps", "name": "Lamps"});
    let made = stage.post_with_key("/categories", &body, "k").await;
    let lamps = made.json();
    assert_eq!((made.status.as_u16(), made.header("location"), made.header("etag")), (201, Some(path(&lamps).as_str()), Some("\"1\"")));
    let again = stage.post_with_key("/categories", &body, "k").await;
    assert_eq!((again.body.clone(), again.header("idempotency-replayed")), (made.body, Some("true")));
    assert_eq!(stage.get(&path(&lamps)).await.json(), lamps);
    assert_eq!(stage.get("/categories/by-slug/lamps").await.json(), lamps);
    let home = category(&stage, "home", None).await;
    let changed = put_if_match(&stage, &path(&lamps), &json!({"slug": "lights", "name": "Lights", "parentId": home["id"]}), "\"1\"").await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, Some("\"2\"")));
    assert_eq!(changed.json()["parentId"], home["id"]);
    assert_eq!(stage.get("/categories/by-slug/lamps").await.status, 404);
    let page = stage.get("/categories?limit=1").await.json();
    assert_eq!(page["items"], json!([changed.json()]));
    let rest = stage.get(&format!("/categories?cursor={}", text(&page["nextCursor"]))).await.json();
    assert_eq!(rest, json!({"items": [home], "nextCursor": null}));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_refused_and_changes_nothing() {
    let stage = stage().await;
    let (lamps, home) = (category(&stage, "lamps", None).await, category(&stage, "home", None).await);
    let nowhere = "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22";
    let body = |slug: &str, parent: &str| json!({"slug": slug, "name": "x", "parentId": parent});
    assert_eq!(refusal(&stage.post("/categories", &json!({"slug": "lamps", "name": "x"})).await), told(409, "slug-taken", "#/slug"));
    assert_eq!(refusal(&stage.post("/categories", &json!({"slug": "La mps", "name": "x"})).await), told(422, "invalid", "#/slug"));
    assert_eq!(refusal(&stage.post("/categories", &body("x", nowhere)).await), told(422, "invalid", "#/parentId"));
    assert_eq!(refusal(&stage.put(&path(&home), &json!({"slug": "lamps", "name": "x"})).await), told(409, "slug-taken", "#/slug"));
    assert_eq!(refusal(&stage.put(&path(&home), &body("home", nowhere)).await), told(422, "invalid", "#/parentId"));
    let stale = put_if_match(&stage, &path(&home), &json!({"slug": "home", "name": "x"}), "\"7\"").await;
    assert_eq!(refusal(&stale), told(412, "stale-version", ""));
    assert_eq!(stage.put(&format!("/categories/{nowhere}"), &json!({"slug": "y", "name": "x"})).await.status, 404);
    assert_eq!(stage.get(&format!("/categories/{nowhere}")).await.status, 404);
    assert_eq!(stage.get("/categories").await.json()["items"], json!([lamps, home]));
}

#[tokio::test(start_paused = true)]
async fn the_tree_has_no_circle_and_at_most_eight_levels() {
    let stage = stage().await;
    let mut line = vec![category(&stage, "l1", None).await];
    for level in 2..=8 {
        line.push(category(&stage, &format!("l{level}"), line.last()).await);
    }
    let below = |parent: &Json, slug: &str| json!({"slug": slug, "name": slug, "parentId": parent["id"]});
    assert_eq!(refusal(&stage.post("/categories", &below(&line[7], "l9")).await), told(422, "invalid", "#/parentId"));
    for (moved, parent) in [(0, 0), (0, 1), (0, 7), (3, 5)] {
        let got = stage.put(&path(&line[moved]), &below(&line[parent], &format!("l{}", moved + 1))).await;
        assert_eq!(refusal(&got), told(422, "invalid", "#/parentId"), "{moved} below {parent}");
        assert_eq!(got.json()["errors"][0]["detail"], "is the category itself or below it");
    }
    let other = category(&stage, "other", None).await;
    let too_deep = stage.put(&path(&line[0]), &below(&other, "l1")).await;
    assert_eq!(refusal(&too_deep), told(422, "invalid", "#/parentId"), "eight levels below another are nine");
    assert_eq!(stage.put(&path(&line[1]), &below(&other, "l2")).await.status, 200, "seven are eight");
    assert_eq!(stage.put(&path(&line[1]), &json!({"slug": "l2", "name": "x"})).await.status, 200, "and to the top");
}

#[tokio::test(start_paused = true)]
async fn two_moves_at_once_make_no_circle() {
    let stage = stage().await;
    let (a, b) = (category(&stage, "a", None).await, category(&stage, "b", None).await);
    let below = |slug: &str, parent: &Json| json!({"slug": slug, "name": slug, "parentId": parent["id"]});
    let (to_b, to_a) = (below("a", &b), below("b", &a));
    let (path_a, path_b) = (path(&a), path(&b));
    let (first, second) = futures::join!(stage.put(&path_a, &to_b), stage.put(&path_b, &to_a));
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 422]);
}

#[tokio::test(start_paused = true)]
async fn migrations_go_down_and_up_again() {
    let stage = stage().await;
    category(&stage, "lamps", None).await;
    let db = stage.world.db("catalog").expect("a store");
    stage.world.kill("catalog", 0);
    let all = platform::world::all_migrations(&catalog::MANIFEST);
    db.migrate_down(&all, 0).await.expect("down");
    assert!(db.run_script("SELECT * FROM categories").await.is_err());
    db.migrate(&all).await.expect("up");
    stage.world.start(&catalog::MANIFEST, 0).await.expect("started");
    category(&stage, "lamps", None).await;
}
