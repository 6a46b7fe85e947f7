//! A running system, as a command reaches it: its gateway, and, for the commands that need it, its admin listener with the token that it
//! left in its data folder.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use http::Method;
use lab::target::Remote;
use platform::{auth::Role, world::folder};
use seed::{HttpShop, SeedError};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{
    cli::Common,
    commands::token,
    host::{ADDRESS_FILE, Addresses, GATEWAY_PORT},
    output::Failure,
};

/// Where the system is.
#[derive(Args, Clone, Debug)]
pub struct Where {
    /// The gateway of the system; that of the one in --data when left out.
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// What opens the gateway where it asks for a token; for the system in --data one is made.
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The data folder of the system, where it says where it listens.
    #[arg(long, value_name = "DIR", default_value = "crashcart-data")]
    pub data: PathBuf,
    /// The admin listener, when it is not the one that --data names.
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// The admin token, when it is not the one in --data.
    #[arg(long, value_name = "TOKEN")]
    pub admin_token: Option<String>,
}

impl Where {
    pub fn gateway(&self, common: &Common) -> Gateway {
        let url = self.target.as_deref().map(|url| url.trim_end_matches('/'));
        // Nobody else's system is shown a token that was not given for it.
        let known = running(&self.data).filter(|addresses| url.is_none_or(|url| addresses.gateway.as_deref() == Some(url)));
        let own = || {
            let (roles, life) = (BTreeSet::from([Role::Operator]), Duration::from_secs(24 * 3_600));
            known.as_ref().and_then(|_| token::issue(common, &self.data, "crashcart", roles, life).ok())
        };
        let token = self.token.clone().or_else(own);
        let known = known.and_then(|addresses| addresses.gateway);
        let url = url.map(str::to_owned).or(known).unwrap_or_else(|| format!("http://127.0.0.1:{GATEWAY_PORT}"));
        Gateway { url, token }
    }

    /// The admin listener and its token.
    pub fn admin(&self) -> Result<(String, String), Failure> {
        let known = running(&self.data);
        let url = self.admin.clone().or_else(|| known.as_ref().map(|addresses| addresses.admin.clone()));
        let token = self.admin_token.clone().or_else(|| known.map(|addresses| addresses.admin_token));
        match (url, token) {
            (Some(url), Some(token)) => Ok((url.trim_end_matches('/').to_owned(), token)),
            _ => Err(Failure::usage(format!(
                "no running system is known in {}; start one with `crashcart up`, or name it with --admin URL and --admin-token TOKEN",
                self.data.display()
            ))),
        }
    }

    /// One call of the admin listener.
    pub async fn ask_admin(&self, method: Method, path: &str, body: Option<&Json>) -> Result<Answer, Failure> {
        let (url, token) = self.admin()?;
        let mut request = reqwest::Client::new().request(method, format!("{url}{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response =
            request.send().await.map_err(|error| Failure::failed(format!("the admin listener at {url} does not answer: {error}")))?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(|error| Failure::failed(format!("the admin listener at {url} broke off: {error}")))?;
        if status >= 400 {
            let problem: Option<platform::problem::Problem> = serde_json::from_str(&text).ok();
            let told = problem.map_or(text, |problem| problem.to_string());
            return Err(if status == 422 || status == 404 { Failure::usage(told) } else { Failure::failed(told) });
        }
        Ok(Answer(text))
    }
}

/// The door of a system, and what opens it.
#[derive(Clone)]
pub struct Gateway {
    pub url: String,
    pub token: Option<String>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gateway({})", self.url)
    }
}

impl Gateway {
    /// As those see it who buy and who fill the shelves.
    pub fn shop(&self) -> Result<HttpShop, Failure> {
        let shop = HttpShop::new(&self.url).map_err(Failure::usage)?;
        match &self.token {
            Some(token) => shop.with_token(token).map_err(Failure::usage),
            None => Ok(shop),
        }
    }

    /// As the lab sees it, with the admin listener and its token.
    pub fn target(&self, (admin, token): (&str, &str)) -> Result<Remote, Failure> {
        Ok(Remote::new(&self.url, Some((admin, token))).map_err(Failure::usage)?.with_token(self.token.clone()))
    }
}

/// Why a system was not filled, and what to do about it.
pub fn not_seeded(error: SeedError) -> Failure {
    match error {
        SeedError::Refused { status: 401 | 403, .. } => Failure::failed(format!(
            "{error}\nThe system asks for a token: give one that its operator may have, with --token (`crashcart token --role OPERATOR` makes it)"
        )),
        other => Failure::failed(other),
    }
}

/// What the admin listener said.
pub struct Answer(pub String);

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.0)
            .map_err(|error| Failure::failed(format!("the admin listener's answer is not what was agreed: {error}")))
    }
}

/// Where the system of a data folder listens, if one runs there. One that was killed left its addresses behind.
pub fn running(data: &Path) -> Option<Addresses> {
    if !folder::is_held(data) {
        return None;
    }
    serde_json::from_slice(&std::fs::read(data.join(ADDRESS_FILE)).ok()?).ok()
}
