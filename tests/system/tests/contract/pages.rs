//! The gateway's own pages: documentation, health and metrics of all services. No page may load anything from elsewhere.

use http::Method;
use platform::testing::{Got, Stage};
use system_tests::shop;

/// Every address that a page's text would load, follow or ask.
fn addresses(page: &Got) -> Vec<String> {
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let mut found = Vec::new();
    for attribute in ["src=\"", "href=\"", "action=\"", "url(", "@import \"", "fetch(\"", "url: \""] {
        found.extend(text.split(attribute).skip(1).filter_map(|rest| rest.split(['"', ')']).next()).map(str::to_owned));
    }
    found
}

/// Reads a page and everything it names, from this system alone.
async fn read(stage: &Stage, path: &str) -> Vec<String> {
    let page = stage.get(path).await;
    assert_eq!(page.status.as_u16(), 200, "{path}");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path} {:?}", page.headers);
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{path} says what it may load: {policy}");
    assert!(!policy.contains("http") && !policy.contains('*'), "{path} may load from elsewhere: {policy}");
    let mut loaded = Vec::new();
    for address in addresses(&page) {
        assert!(!address.contains("//"), "{path} names {address}");
        let whole = match address.strip_prefix('/') {
            Some(_) => address,
            None => format!("{}/{}", path.rsplit_once('/').map_or("", |(folder, _)| folder), address.trim_start_matches("./")),
        };
        if !loaded.contains(&whole) {
            loaded.push(whole);
        }
    }
    loaded
}

#[tokio::test(start_paused = true)]
async fn every_service_has_its_documentation_on_the_gateway() {
    let stage = shop(1).await;
    let overview = read(&stage, "/docs").await;
    for name in stage.world.names() {
        assert!(overview.contains(&format!("/docs/{name}")) && overview.contains(&format!("/openapi/{name}")), "{name} in {overview:?}");
        let moved = stage.get(&format!("/docs/{name}")).await;
        let place = format!("/docs/{name}/");
        assert_eq!((moved.status.as_u16(), moved.header("location")), (308, Some(place.as_str())));
        let files = read(&stage, &place).await;
        assert!(files.iter().any(|file| file.ends_with("swagger-ui-bundle.js")), "{files:?}");
        for file in &files {
            let got = stage.get(file).await;
            assert_eq!(got.status.as_u16(), 200, "{file}");
            assert!(!got.body.is_empty());
        }
        let start = String::from_utf8(stage.get(&format!("/docs/{name}/swagger-initializer.js")).await.body.to_vec()).unwrap();
        assert!(start.contains(&format!("\"/openapi/{name}\"")) && !start.contains("http"), "{start}");
        assert!(start.contains("\"validatorUrl\": \"none\""), "no document is sent to a server on the internet: {start}");
        let document = stage.get(&format!("/openapi/{name}")).await.json();
        assert_eq!(document["info"]["title"], format!("Crashcart {name}"));
        assert!(document["info"].get("contact").is_none(), "{}", document["info"]);
    }
    assert_eq!(stage.get("/docs/nobody/").await.status.as_u16(), 404);
    assert_eq!(stage.get("/docs/order/nothing.js").await.status.as_u16(), 404);
}

#[tokio::test(start_paused = true)]
async fn every_service_has_its_documentation_on_its_own_port() {
    let stage = shop(1).await;
    for name in stage.world.names() {
        let router = stage.world.router(name).unwrap();
        let ask = async |path: &str| platform::testing::answer(router.clone(), Method::GET, path, Vec::new(), &[]).await;
        assert_eq!(ask("/docs").await.header("location"), Some("/docs/"));
        let page = ask("/docs/").await;
        assert_eq!(page.status.as_u16(), 200);
        for file in addresses(&page) {
            assert_eq!(ask(&format!("/docs/{}", file.trim_start_matches("./"))).await.status.as_u16(), 200, "{name} {file}");
        }
        let start = String::from_utf8(ask("/docs/swagger-initializer.js").await.body.to_vec()).unwrap();
        assert!(start.contains("\"/openapi.json\""), "{start}");
        assert_eq!(ask("/openapi.json").await.json()["info"]["title"], format!("Crashcart {name}"));
        assert_eq!(ask("/health").await.json()["status"], "UP");
        assert_eq!(ask("/health/ready").await.json()["status"], "UP");
        assert!(String::from_utf8_lossy(&ask("/metrics").await.body).contains("store_statements"));
    }
}

#[tokio::test(start_paused = true)]
async fn graphql_has_a_page_that_needs_nothing_else() {
    let stage = shop(1).await;
    assert_eq!(read(&stage, "/graphql").await, ["/graphql"], "it asks this system and nobody else");
}

#[tokio::test(start_paused = true)]
async fn health_and_metrics_of_all_are_on_the_gateway() {
    let stage = shop(1).await;
    let names = stage.world.names();
    for path in ["/health", "/health/ready"] {
        let health = stage.get(path).await;
        assert_eq!(health.status.as_u16(), 200);
        assert!(names.iter().all(|name| health.json()["services"][name] == "UP"), "{}", health.json());
    }
    let metrics = String::from_utf8(stage.get("/metrics").await.body.to_vec()).unwrap();
    for name in &names {
        assert!(metrics.contains(&format!("service=\"{name}\"")), "{name} has metrics");
    }
    stage.world.kill("pricing", 0);
    let health = stage.get("/health").await;
    assert_eq!((health.status.as_u16(), &health.json()["services"]["pricing"]), (503, &serde_json::json!("DOWN")));
    assert_eq!(health.json()["services"]["order"], "UP");
    assert_eq!(health.json()["reasons"], serde_json::json!({"pricing": "It does not answer."}));
}
