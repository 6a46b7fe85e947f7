//! Who is asking, and may they: tokens (JWT) between callers and services, and signatures on callbacks from outside. A library checks
//! the token's signature; the times in it are checked here, on the platform's clock, because that library reads the machine's own,
//! which a simulation cannot move. There is one algorithm, so a token cannot choose a weaker one. What a role may do stands in [`access`],
//! whose things a caller may touch in [`caller`]. Not here: where the secret comes from (settings).

pub mod access;
pub mod caller;
mod hs256;
mod secret;
mod signature;

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
pub use caller::{Caller, session_digest};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
pub use secret::{EmptySecret, Secret};
use serde::{Deserialize, Serialize};
pub(crate) use signature::mac;
pub use signature::{Signature, SignatureError};
use types::Timestamp;
use utoipa::ToSchema;

use crate::clock::Clock;

/// Whom a token must be meant for.
pub const AUDIENCE: &str = "crashcart";

/// How far the clocks of two machines may differ before a token is refused for its times.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// A key shorter than the hash weakens it (RFC 7518, 3.2).
const SECRET_MIN_BYTES: usize = 32;

/// What is longer is not read at all.
const TOKEN_MAX_BYTES: usize = 8 * 1024;

const SUBJECT_MAX_BYTES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    Customer,
    Agent,
    Supervisor,
    Analyst,
    Operator,
    Service,
}

/// What a token that passed every check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub subject: String,
    pub roles: BTreeSet<Role>,
    /// Left out by some issuers.
    pub issued_at: Option<Timestamp>,
    pub expires_at: Timestamp,
}

impl Claims {
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// Why there is no token, or why one is refused. To a caller all but the first two are a 401.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the token secret has {0} bytes; give it {SECRET_MIN_BYTES} or more")]
    WeakSecret(usize),
    #[error("a token needs a subject of 1 to {SUBJECT_MAX_BYTES} bytes and a life that ends within time")]
    Issue,
    #[error("this is no readable token")]
    Malformed(#[source] Option<jsonwebtoken::errors::Error>),
    #[error("tokens are signed with HS256, this one says `{0}`")]
    Algorithm(String),
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is not meant for {AUDIENCE}")]
    Audience,
    #[error("the token expired at {0}; get a new one")]
    Expired(Timestamp),
    #[error("the token is not valid before {0}")]
    NotYet(Timestamp),
}

/// Issues and verifies tokens under one secret.
#[derive(Clone)]
pub struct Keys {
    clock: Clock,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    sub: String,
    #[serde(default)]
    roles: BTreeSet<Role>,
    /// Written as one text; read by the library, which knows the other forms too.
    #[serde(skip_deserializing, default = "audience")]
    aud: &'static str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    exp: i64,
}

const fn audience() -> &'static str {
    AUDIENCE
}

/// The parts of a header that decide whether the rest is read.
#[derive(Deserialize)]
struct Peek {
    alg: String,
    crit: Option<serde::de::IgnoredAny>,
}

impl Keys {
    /// # Errors
    /// [`AuthError::WeakSecret`] for a secret of fewer than 32 bytes.
    pub fn new(secret: &Secret, clock: Clock) -> Result<Self, AuthError> {
        let secret = secret.expose().as_bytes();
        if secret.len() < SECRET_MIN_BYTES {
            return Err(AuthError::WeakSecret(secret.len()));
        }
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["aud", "exp", "sub"]);
        Ok(Self { clock, encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret), validation })
    }

    /// A token that is valid from now on for `valid_for`, rounded up to a whole second.
    pub fn issue(&self, subject: &str, roles: BTreeSet<Role>, valid_for: Duration) -> Result<String, AuthError> {
        let now = self.clock.now();
        let seconds = valid_for.as_secs().saturating_add(u64::from(valid_for.subsec_nanos() > 0));
        let expires = i64::try_from(seconds).ok().and_then(|seconds| now.seconds().checked_add(seconds));
        let (Some(exp), true) = (expires, is_subject(subject)) else {
            return Err(AuthError::Issue);
        };
        let wire = Wire { sub: subject.to_owned(), roles, aud: AUDIENCE, iat: Some(now.seconds()), nbf: Some(now.seconds()), exp };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &wire, &self.encoding).map_err(|source| AuthError::Malformed(Some(source)))
    }

    /// What the token says, if every check passes: form, algorithm, signature, audience, times.
    pub fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        let peek = peek(token).ok_or(AuthError::Malformed(None))?;
        if peek.alg != "HS256" {
            return Err(AuthError::Algorithm(peek.alg.chars().take(16).collect()));
        }
        // An extension that the issuer calls critical must be understood or the token refused (RFC 7515, 4.1.11); none is.
        if peek.crit.is_some() {
            return Err(AuthError::Malformed(None));
        }
        let wire = jsonwebtoken::decode::<Wire>(token, &self.decoding, &self.validation).map_err(refusal)?.claims;
        if !is_subject(&wire.sub) {
            return Err(AuthError::Malformed(None));
        }
        let now = self.clock.now();
        let expires_at = Timestamp::from_seconds(wire.exp);
        if now >= expires_at.plus(LEEWAY) {
            return Err(AuthError::Expired(expires_at));
        }
        for begins in [wire.nbf, wire.iat].into_iter().flatten().map(Timestamp::from_seconds) {
            if begins > now.plus(LEEWAY) {
                return Err(AuthError::NotYet(begins));
            }
        }
        Ok(Claims { subject: wire.sub, roles: wire.roles, issued_at: wire.iat.map(Timestamp::from_seconds), expires_at })
    }
}

/// Shows nothing: what is in it signs tokens.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

fn is_subject(subject: &str) -> bool {
    (1..=SUBJECT_MAX_BYTES).contains(&subject.len())
}

fn peek(token: &str) -> Option<Peek> {
    if token.len() > TOKEN_MAX_BYTES {
        return None;
    }
    let (header, _) = token.split_once('.')?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()
}

fn refusal(error: jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidSignature => AuthError::Signature,
        ErrorKind::InvalidAudience => AuthError::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => AuthError::Audience,
        _ => AuthError::Malformed(Some(error)),
    }
}

#[cfg(test)]
mod tests;
