use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use super::*;
use crate::clock::Lag;

const SECRET: &str = "a secret of thirty-two bytes or more";

fn keys(clock: Clock) -> Keys {
    Keys::new(&Secret::new(SECRET).unwrap(), clock).unwrap()
}

fn roles(roles: &[Role]) -> BTreeSet<Role> {
    roles.iter().copied().collect()
}

/// A token of any shape, signed with the right secret.
fn signed(claims: &Value) -> String {
    hs256::install();
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// The same under another algorithm of its family, as it should be.
fn signed_under<H: Mac + KeyInit>(algorithm: &str, claims: &Value) -> String {
    let text = format!("{}.{}", part(&json!({"alg": algorithm, "typ": "JWT"})), part(claims));
    let signature = <H as KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&text).finalize().into_bytes();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn claims(clock: Clock) -> Value {
    let now = clock.now().seconds();
    json!({"sub": "mai", "aud": "crashcart", "roles": ["AGENT"], "iat": now, "nbf": now, "exp": now + 60})
}

fn with(clock: Clock, name: &str, value: Value) -> String {
    let mut claims = claims(clock);
    claims[name] = value;
    signed(&claims)
}

#[tokio::test(start_paused = true)]
async fn what_is_issued_verifies_and_says_who_and_what() {
    let clock = Clock::simulated();
    let token = keys(clock).issue("mai", roles(&[Role::Agent, Role::Supervisor]), Duration::from_secs(60)).unwrap();
    let claims = keys(clock).verify(&token).unwrap();
    assert_eq!(claims.subject, "mai");
    assert!(claims.has(Role::Agent) && claims.has(Role::Supervisor) && !claims.has(Role::Operator));
    assert_eq!(claims.issued_at, Some(clock.now()));
    assert_eq!(claims.expires_at, clock.now().plus(Duration::from_secs(60)));
}

#[test]
fn roles_have_the_names_of_the_contract() {
    let all = [Role::Customer, Role::Agent, Role::Supervisor, Role::Analyst, Role::Operator, Role::Service];
    assert_eq!(serde_json::to_value(all).unwrap(), json!(["CUSTOMER", "AGENT", "SUPERVISOR", "ANALYST", "OPERATOR", "SERVICE"]));
}

#[tokio::test(start_paused = true)]
async fn a_token_lives_until_thirty_seconds_after_its_expiry_on_the_platforms_clock() {
    let clock = Clock::simulated();
    let token = keys(clock).issue("mai", roles(&[]), Duration::from_secs(60)).unwrap();
    let expires = clock.now().plus(Duration::from_secs(60));
    clock.sleep(Duration::from_micros(89_999_999)).await;
    assert!(keys(clock).verify(&token).is_ok());
    clock.sleep(Duration::from_micros(1)).await;
    assert_eq!(keys(clock).verify(&token), Err(AuthError::Expired(expires)));
}

#[tokio::test(start_paused = true)]
async fn a_token_from_a_clock_that_is_ahead_is_taken_within_the_leeway_only() {
    let clock = Clock::simulated();
    let ahead = |seconds: i64| {
        let lag = Lag::leaked();
        lag.set(-seconds * 1_000_000, None);
        clock.lagging(lag)
    };
    let issue = |seconds: i64| keys(ahead(seconds)).issue("mai", roles(&[]), Duration::from_secs(60)).unwrap();
    assert!(keys(clock).verify(&issue(30)).is_ok());
    let begins = clock.now().plus(Duration::from_secs(31));
    assert_eq!(keys(clock).verify(&issue(31)), Err(AuthError::NotYet(begins)));
    for name in ["nbf", "iat"] {
        assert_eq!(keys(clock).verify(&with(clock, name, json!(begins.seconds()))), Err(AuthError::NotYet(begins)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_signature_or_under_another_algorithm_is_refused() {
    let clock = Clock::simulated();
    for alg in ["none", "None", "RS256", "ES256", "hs256", ""] {
        let head = part(&json!({"alg": alg, "typ": "JWT"}));
        for signature in ["", "AAAA"] {
            let token = format!("{head}.{}.{signature}", part(&claims(clock)));
            assert_eq!(keys(clock).verify(&token), Err(AuthError::Algorithm(alg.to_owned())), "{token}");
        }
    }
    let stronger = [signed_under::<Hmac<Sha384>>("HS384", &claims(clock)), signed_under::<Hmac<Sha512>>("HS512", &claims(clock))];
    for (token, algorithm) in stronger.iter().zip(["HS384", "HS512"]) {
        assert_eq!(keys(clock).verify(token), Err(AuthError::Algorithm(algorithm.to_owned())));
    }
    assert!(keys(clock).verify(&signed_under::<Hmac<Sha256>>("HS256", &claims(clock))).is_ok(), "the rest of these tokens is right");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_changed_or_signed_by_another_is_refused() {
    let clock = Clock::simulated();
    let token = signed(&claims(clock));
    let [head, _, tail] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut more = claims(clock);
    more["roles"] = json!(["OPERATOR"]);
    assert_eq!(keys(clock).verify(&format!("{head}.{}.{tail}", part(&more))), Err(AuthError::Signature));
    let other = Keys::new(&Secret::new("another secret, as long as the first").unwrap(), clock).unwrap();
    assert_eq!(other.verify(&token), Err(AuthError::Signature));
}

#[tokio::test(start_paused = true)]
async fn the_audience_must_be_ours() {
    let clock = Clock::simulated();
    for aud in [json!("elsewhere"), json!(["elsewhere"]), json!(null), json!(7)] {
        assert_eq!(keys(clock).verify(&with(clock, "aud", aud.clone())), Err(AuthError::Audience), "{aud}");
    }
    assert!(keys(clock).verify(&with(clock, "aud", json!(["elsewhere", "crashcart"]))).is_ok());
}

#[tokio::test(start_paused = true)]
async fn whatever_cannot_be_read_is_malformed_and_never_a_panic() {
    let clock = Clock::simulated();
    let good = signed(&claims(clock));
    let critical = format!("{}.{}.AAAA", part(&json!({"alg": "HS256", "crit": ["b64"]})), part(&claims(clock)));
    let mut tokens = vec![String::new(), ".".into(), "..".into(), "a.b.c".into(), good.replace('.', ""), critical];
    tokens.push("x".repeat(TOKEN_MAX_BYTES + 1));
    tokens.push(with(clock, "roles", json!(["KING"])));
    tokens.push(with(clock, "sub", json!("")));
    tokens.push(with(clock, "sub", json!("x".repeat(257))));
    for exp in [json!(null), json!("tomorrow"), json!(-1), json!(1e300)] {
        tokens.push(with(clock, "exp", exp));
    }
    for token in tokens {
        assert!(matches!(keys(clock).verify(&token), Err(AuthError::Malformed(_))), "{token}");
    }
    assert!(keys(clock).verify(&with(clock, "exp", json!(i64::MAX))).is_ok(), "far away, but no overflow");
}

#[tokio::test(start_paused = true)]
async fn weak_secrets_and_impossible_tokens_are_not_made() {
    let clock = Clock::simulated();
    let weak = Secret::new("thirty-one bytes, one too few..").unwrap();
    assert_eq!(Keys::new(&weak, clock).unwrap_err(), AuthError::WeakSecret(31));
    assert_eq!(keys(clock).issue("", roles(&[]), Duration::from_secs(1)), Err(AuthError::Issue));
    assert_eq!(keys(clock).issue("mai", roles(&[]), Duration::MAX), Err(AuthError::Issue));
    assert!(!format!("{:?}", keys(clock)).contains(SECRET));
}
