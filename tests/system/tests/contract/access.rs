//! Who may call what, where `auth = "jwt"`: every endpoint of every service with every role and with none. The expectation is read from
//! `config/access.toml` by itself, the answers come from the running services.

use std::{collections::BTreeSet, time::Duration};

use platform::{
    Settings,
    auth::{Role, access::TABLE},
    testing::Stage,
};
use system_tests::{contract, samples::operations};

const ROLES: [Role; 6] = [Role::Customer, Role::Agent, Role::Supervisor, Role::Analyst, Role::Operator, Role::Service];

fn with_tokens(settings: Settings) -> Settings {
    settings.with("platform.auth", "jwt").unwrap()
}

/// What the file says, read without the code that enforces it.
fn may(table: &toml::Table, endpoint: &str, role: Role) -> bool {
    let name = serde_json::to_value(role).unwrap();
    match &table[endpoint] {
        toml::Value::String(word) => matches!(word.as_str(), "open" | "any"),
        toml::Value::Array(roles) => {
            matches!(role, Role::Operator | Role::Service) || roles.iter().any(|known| known.as_str() == name.as_str())
        }
        other => panic!("{endpoint} = {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_endpoint_is_open_to_whom_the_table_says_and_to_nobody_else() {
    let stage = Stage::of(contract::watched(), 1, with_tokens).await;
    let table: toml::Table = TABLE.parse().unwrap();
    let token = |role| {
        let life = Duration::from_secs(3_600);
        format!("Bearer {}", stage.world.keys().issue("0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22", BTreeSet::from([role]), life).unwrap())
    };
    let tokens: Vec<(Role, String)> = ROLES.into_iter().map(|role| (role, token(role))).collect();
    let mut findings = Vec::new();
    let mut tried = 0;
    for name in stage.world.names() {
        let document = serde_json::to_value(stage.world.openapi(name).unwrap()).unwrap();
        for operation in operations(name, &document) {
            let endpoint = format!("{} {}", operation.method, operation.route);
            let lists = |who: &str| table[endpoint.as_str()].as_array().is_some_and(|all| all.iter().any(|one| one.as_str() == Some(who)));
            let open = table[endpoint.as_str()].as_str() == Some("open") || lists("GUEST");
            let ask = async |authorization: Option<&str>| {
                let mut headers = vec![("content-type", "application/json")];
                headers.extend(authorization.map(|value| ("authorization", value)));
                let mut body = operation.sample_body();
                if endpoint == "POST /inventory/release" {
                    // Without its token a hold is let go by an operator only: that is the service's own rule.
                    body["fencingToken"] = 1.into();
                }
                let body = body.to_string().into_bytes();
                let got = stage.send_bytes(operation.method.parse().unwrap(), &operation.path(), body, &headers).await;
                (got.status.as_u16(), got.slug())
            };
            let asked = |(status, slug): &(u16, String)| (*status, slug.as_str()) != (401, "unauthenticated") && *status != 403;
            let mut expect = |who: String, got: (u16, String), allowed: bool, refusal: u16| {
                tried += 1;
                if asked(&got) != allowed || (!allowed && got.0 != refusal) || got.0 >= 500 {
                    findings.push(format!("{endpoint} by {who}: {} {}; the table says {allowed}", got.0, got.1));
                }
            };
            expect("nobody".into(), ask(None).await, open, 401);
            expect("a forger".into(), ask(Some("Bearer e30.e30.e30")).await, false, 401);
            for (role, token) in &tokens {
                expect(format!("{role:?}"), ask(Some(token)).await, may(&table, &endpoint, *role), 403);
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert_eq!(tried, table.len() * (ROLES.len() + 2), "every endpoint of the table was asked");
}

#[tokio::test(start_paused = true)]
async fn what_operates_a_system_needs_no_token_and_a_token_that_ran_out_is_none() {
    let stage = Stage::of(contract::watched(), 1, with_tokens).await;
    for path in ["/health", "/health/ready", "/metrics", "/docs", "/docs/order/", "/openapi/order"] {
        assert_eq!(stage.get(path).await.status.as_u16(), 200, "{path}");
    }
    let life = Duration::from_secs(60);
    let token = stage.world.keys().issue("somebody", BTreeSet::from([Role::Operator]), life).unwrap();
    let header = format!("Bearer {token}");
    let ask = async || {
        let got = stage.send_bytes(http::Method::GET, "/inventory", Vec::new(), &[("authorization", &header)]).await;
        (got.status.as_u16(), got.slug())
    };
    assert_eq!(ask().await.0, 200);
    stage.pass(Duration::from_secs(60 + 31)).await;
    assert_eq!(ask().await, (401, "unauthenticated".to_owned()));
}
