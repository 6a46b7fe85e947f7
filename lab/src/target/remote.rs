//! A running system, reached over HTTP: the gateway as a user reaches it, the admin listener with its token. The clock is the wall's.

use std::time::Duration;

use futures::future::BoxFuture;
use platform::Clock;
use types::Timestamp;

use super::{ClockKind, Reply, Request, Target, TargetError};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Clone)]
pub struct Remote {
    gateway: String,
    /// What opens the gateway, where it asks for a token.
    token: Option<String>,
    admin: Option<(String, String)>,
    http: reqwest::Client,
    clock: Clock,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({})", self.gateway)
    }
}

impl Remote {
    /// A system by its gateway's URL and, where it is known, the admin listener's URL and token.
    pub fn new(gateway: &str, admin: Option<(&str, &str)>) -> Result<Self, TargetError> {
        let base = |url: &str| -> Result<String, TargetError> {
            match reqwest::Url::parse(url) {
                Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(url.trim_end_matches('/').to_owned()),
                _ => Err(TargetError::Unreachable {
                    request: format!("`{url}`"),
                    reason: "it is not a URL such as http://127.0.0.1:8080".into(),
                }),
            }
        };
        let admin = match admin {
            Some((url, token)) => Some((base(url)?, token.to_owned())),
            None => None,
        };
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| TargetError::Unreachable { request: "an HTTP client".into(), reason: error.to_string() })?;
        Ok(Self { gateway: base(gateway)?, token: None, admin, http, clock: Clock::real() })
    }

    /// With a token in every request to the gateway, for a system that asks for one.
    #[must_use]
    pub fn with_token(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    async fn send(&self, base: &str, token: Option<&str>, asked: Request) -> Result<Reply, TargetError> {
        let name = asked.name();
        let mut request = self.http.request(asked.method, format!("{base}{}", asked.path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (header, value) in asked.headers {
            request = request.header(header, value);
        }
        if let Some(body) = &asked.body {
            request = request.json(body);
        }
        let lost = |error: reqwest::Error| TargetError::Unreachable { request: name.clone(), reason: platform::with_causes(&error) };
        let response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Reply { status, headers, body: response.bytes().await.map_err(lost)? })
    }
}

impl Target for Remote {
    fn clock(&self) -> ClockKind {
        ClockKind::Wall
    }
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.clock.sleep(duration).await })
    }
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        // Who shows a token of his own is not somebody else.
        let token =
            if request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) { None } else { self.token.as_deref() };
        Box::pin(self.send(&self.gateway, token, request))
    }
    fn admin(&self, request: Request) -> BoxFuture<'_, Result<Reply, TargetError>> {
        Box::pin(async move {
            let (url, token) = self.admin.as_ref().ok_or_else(|| {
                TargetError::NoAdmin(format!(
                    "{} needs the admin listener: give its URL and token, which `crashcart up` prints and keeps in its data folder",
                    request.name()
                ))
            })?;
            self.send(url, Some(token), request).await
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, routing::get};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_running_system_is_reached_with_its_token() {
        let router = Router::new().route("/carts", get(async || Json(json!({"here": true})))).route(
            "/lab/audit",
            get(async |headers: http::HeaderMap| {
                let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
                Json(json!({"collections": [given]}))
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = axum::serve(listener, router);
        let asking = async {
            let remote = Remote::new(&url, Some((&url, "secret"))).unwrap();
            assert_eq!(remote.must(Request::get("/carts")).await.unwrap(), json!({"here": true}));
            assert_eq!(remote.collections().await.unwrap(), ["Bearer secret"]);
            let without = Remote::new(&url, None).unwrap();
            assert!(without.collections().await.unwrap_err().to_string().contains("needs the admin listener"));
        };
        futures::pin_mut!(asking);
        drop(futures::future::select(asking, std::future::IntoFuture::into_future(serving)).await);
    }

    #[tokio::test]
    async fn an_address_where_nobody_answers_is_named() {
        assert!(Remote::new("localhost", None).unwrap_err().to_string().contains("http://127.0.0.1:8080"));
        // Port 9 of loopback: discard, which nobody serves.
        let error = Remote::new("http://127.0.0.1:9", None).unwrap().call(Request::get("/health")).await.unwrap_err();
        assert!(matches!(error, TargetError::Unreachable { .. }), "{error}");
        assert!(error.to_string().starts_with("GET /health had no answer"), "{error}");
    }
}
