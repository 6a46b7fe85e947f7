//! The signature on a callback: it says that whoever sent these bytes at that time knew the secret. The header is
//! `t=UNIX,v1=HEX`, the signed text `UNIX.BODY`, the algorithm HMAC-SHA256 (`domain.md`, the PSP's callbacks). The time window
//! bounds how long an intercepted callback can be sent again; within it, the receiver knows the event id.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use types::Timestamp;

use super::Secret;

/// More signatures than a rotation of keys explains are not worth their hashing.
const SIGNATURES_MAX: usize = 8;

#[derive(Clone, Copy, Debug)]
pub struct Signature;

/// What is wrong with a callback's signature. To the sender all are a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature header must look like `t=UNIX,v1=HEX`")]
    Malformed,
    #[error("the signature header has no time `t`")]
    NoTime,
    #[error("the signature header's time must be whole seconds since 1970, once")]
    Time,
    #[error("the signature header has no signature `v1`")]
    NoSignature,
    #[error("the signature header has more than {SIGNATURES_MAX} signatures")]
    TooMany,
    #[error("a signature must be 64 hexadecimal digits")]
    NotHex,
    #[error("the callback was signed at {signed}, more than {window:?} ago")]
    TooOld { signed: Timestamp, window: Duration },
    #[error("the callback was signed at {signed}, more than {window:?} from now")]
    TooNew { signed: Timestamp, window: Duration },
    #[error("no signature fits the body under this secret")]
    Mismatch,
}

impl Signature {
    /// The window that the callbacks of this system use.
    pub const WINDOW: Duration = Duration::from_secs(300);

    /// The header's value for `body`, sent at `timestamp` (whole seconds of it).
    #[must_use]
    pub fn sign(secret: &Secret, timestamp: Timestamp, body: &[u8]) -> String {
        let seconds = timestamp.seconds().to_string();
        format!("t={seconds},v1={}", hex::encode(mac(secret, &[seconds.as_bytes(), b".", body]).finalize().into_bytes()))
    }

    /// Whether one of the header's signatures fits. While the sender changes its key it sends one under each; other schemes
    /// (`v0`, `v2`) are passed over. The comparison takes the same time whatever is wrong.
    pub fn verify(header: &str, body: &[u8], secret: &Secret, now: Timestamp, window: Duration) -> Result<(), SignatureError> {
        let (mut time, mut signatures) = (None, Vec::new());
        for part in header.split(',') {
            match part.trim().split_once('=').ok_or(SignatureError::Malformed)? {
                ("t", text) if time.is_none() && is_seconds(text) => time = Some(text),
                ("t", _) => return Err(SignatureError::Time),
                ("v1", _) if signatures.len() == SIGNATURES_MAX => return Err(SignatureError::TooMany),
                ("v1", digits) => {
                    let mut bytes = [0_u8; 32];
                    hex::decode_to_slice(digits, &mut bytes).map_err(|_| SignatureError::NotHex)?;
                    signatures.push(bytes);
                }
                _ => {}
            }
        }
        let time = time.ok_or(SignatureError::NoTime)?;
        if signatures.is_empty() {
            return Err(SignatureError::NoSignature);
        }
        let signed = Timestamp::from_seconds(time.parse().map_err(|_| SignatureError::Time)?);
        if now.since(signed) > window {
            return Err(SignatureError::TooOld { signed, window });
        }
        if signed.since(now) > window {
            return Err(SignatureError::TooNew { signed, window });
        }
        let expected = mac(secret, &[time.as_bytes(), b".", body]);
        // Every one is compared, so that time does not tell which of them fits.
        let fits = signatures.iter().filter(|signature| expected.clone().verify_slice(*signature).is_ok()).count();
        if fits > 0 { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

/// HMAC-SHA256 over the parts, one behind the other; the caller sees to it that they cannot be cut differently.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
pub(crate) fn mac(secret: &Secret, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Digits only: a sign or a space would be a second text for the same time.
fn is_seconds(text: &str) -> bool {
    (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_767_571_200);
    const BODY: &[u8] = br#"{"eventId": "1"}"#;

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn verify(header: &str) -> Result<(), SignatureError> {
        Signature::verify(header, BODY, &secret("psp"), NOW, Signature::WINDOW)
    }

    fn digits(key: &str, at: Timestamp) -> String {
        Signature::sign(&secret(key), at, BODY).split_once("v1=").unwrap().1.to_owned()
    }

    #[test]
    fn the_text_that_is_signed_is_the_time_a_dot_and_the_body() {
        // Computed with: printf '1767571200.{"eventId": "1"}' | openssl dgst -sha256 -hmac psp
        let known = "56c4059f3e6e3d7142c8541899083627e88570b408878735df35276c7cdfbb23";
        assert_eq!(Signature::sign(&secret("psp"), NOW, BODY), format!("t=1767571200,v1={known}"));
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_else_does() {
        let header = Signature::sign(&secret("psp"), NOW, BODY);
        assert_eq!(verify(&header), Ok(()));
        let other = |body: &[u8], key| Signature::verify(&header, body, &secret(key), NOW, Signature::WINDOW);
        assert_eq!(other(br#"{"eventId": "2"}"#, "psp"), Err(SignatureError::Mismatch));
        assert_eq!(other(BODY, "other"), Err(SignatureError::Mismatch));
        assert_eq!(verify(&header.replace("t=1767571200", "t=1767571201")), Err(SignatureError::Mismatch));
    }

    #[test]
    fn while_a_key_is_changed_one_signature_that_fits_is_enough() {
        let (old, new) = (digits("old", NOW), digits("psp", NOW));
        let t = NOW.seconds();
        assert_eq!(verify(&format!("t={t},v1={old},v1={new}")), Ok(()));
        assert_eq!(verify(&format!("v1={new}, v1={old}, t={t}, v0=abc")), Ok(()));
        assert_eq!(verify(&format!("t={t},v1={old},v1={old}")), Err(SignatureError::Mismatch));
    }

    #[test]
    fn the_window_is_five_minutes_to_either_side() {
        let window = Signature::WINDOW;
        let at = |seconds: i64| Timestamp::from_seconds(NOW.seconds() + seconds);
        let tried = |seconds| verify(&Signature::sign(&secret("psp"), at(seconds), BODY));
        assert_eq!(tried(-300), Ok(()));
        assert_eq!(tried(300), Ok(()));
        assert_eq!(tried(-301), Err(SignatureError::TooOld { signed: at(-301), window }));
        assert_eq!(tried(301), Err(SignatureError::TooNew { signed: at(301), window }));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let (t, good) = (NOW.seconds(), digits("psp", NOW));
        for (header, error) in [
            (String::new(), SignatureError::Malformed),
            ("nonsense".into(), SignatureError::Malformed),
            (format!("v1={good}"), SignatureError::NoTime),
            (format!("t=soon,v1={good}"), SignatureError::Time),
            (format!("t=-5,v1={good}"), SignatureError::Time),
            (format!("t=+{t},v1={good}"), SignatureError::Time),
            (format!("t={t},t={t},v1={good}"), SignatureError::Time),
            (format!("t=99999999999999999999,v1={good}"), SignatureError::Time),
            (format!("t={t}"), SignatureError::NoSignature),
            (format!("t={t},v0={good}"), SignatureError::NoSignature),
            (format!("t={t},v1="), SignatureError::NotHex),
            (format!("t={t},v1={}", &good[..62]), SignatureError::NotHex),
            (format!("t={t},v1={}", "z".repeat(64)), SignatureError::NotHex),
            (format!("t={t}{}", format!(",v1={good}").repeat(9)), SignatureError::TooMany),
            (format!("t={t},v1={}", "0".repeat(64)), SignatureError::Mismatch),
        ] {
            assert_eq!(verify(&header), Err(error), "{header}");
        }
    }
}
