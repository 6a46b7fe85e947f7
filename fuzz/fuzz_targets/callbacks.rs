//! Any bytes as the provider's callback under any signature. What is not signed right is never taken for signed; what is, is always read, and
//! told twice it is answered the same.
#![no_main]

use crashcart_fuzz::{CALLBACK_SECRET, Shop, ask, must_be_an_answer};
use libfuzzer_sys::fuzz_target;
use platform::{
    auth::{Secret, Signature},
    testing::Got,
};
use types::Timestamp;

/// The header is the first line, with these words in it for what nobody guesses; the body is what follows.
const WHOLE: &str = "t=NOW,v1=RIGHT";

/// The signature's digits.
fn digits(secret: &str, at: Timestamp, body: &[u8]) -> String {
    let header = Signature::sign(&Secret::new(secret).expect("it is one"), at, body);
    header.rsplit_once('=').expect("digits follow the sign").1.to_owned()
}

async fn tell(shop: &Shop, header: &str, body: &[u8]) -> Got {
    let headers = [("psp-signature", header)];
    let headers = if header.is_empty() { &[] } else { headers.as_slice() };
    shop.stage.send_bytes("POST".parse().expect("a method"), "/payments/psp/callback", body.to_vec(), headers).await
}

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (header, body) = (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default());
    ask(async |shop| {
        let (body, now) = (shop.with_ids(body), shop.stage.world.clock().now());
        let old = Timestamp::from_seconds(now.seconds() - 301);
        let right = digits(CALLBACK_SECRET, now, &body);
        let told = header
            .replace("NOW", &now.seconds().to_string())
            .replace("OLD", &old.seconds().to_string())
            .replace("RIGHT", &right)
            .replace("STALE", &digits(CALLBACK_SECRET, old, &body))
            .replace("OTHER", &digits("a secret of somebody else", now, &body));
        let got = tell(shop, &told, &body).await;
        must_be_an_answer(&got);
        if got.status.as_u16() != 401 {
            // A time is told once, so it is the one that was signed; digits may be of either case.
            let signed = told.to_ascii_lowercase().contains(&format!("v1={right}")) && told.contains(&format!("t={}", now.seconds()));
            assert!(signed, "taken with {told}: {}", String::from_utf8_lossy(&got.body));
        }
        if header == WHOLE {
            assert_ne!(got.status.as_u16(), 401, "signed right: {}", String::from_utf8_lossy(&got.body));
            let mut altered = body.clone();
            let Some(first) = altered.first_mut() else { return };
            *first ^= 1;
            assert_eq!(tell(shop, &told, &altered).await.status.as_u16(), 401, "the signature is of another body");
            let again = tell(shop, &told, &body).await;
            assert_eq!((again.status, again.body), (got.status, got.body), "told again");
        }
    });
});
