//! What the targets share: a whole shop in a simulated world, with something of everything in it, and the one rule for its answers. It is the
//! system's own code behind its own gateway; nothing is played here but time, chance and threads.

use std::cell::RefCell;

use platform::testing::{Got, Stage};
use serde_json::{Value as Json, json};
use tokio::runtime::{Builder, Runtime};

/// What callbacks are signed with in this shop.
pub const CALLBACK_SECRET: &str = "a-secret-for-the-fuzzer";

/// A shop remembers what it was asked. After so many questions a new one is opened, so that it does not grow without end, and so that what an
/// input does never hangs on more than this many before it.
const QUESTIONS_MAX: usize = 1_000;

/// A shop, and what an input may write in the place of an id that it cannot guess.
pub struct Shop {
    pub stage: Stage,
    names: Vec<(&'static str, String)>,
    pub questions: usize,
}

impl Shop {
    /// The text with ids in the place of their names: `PAYMENT_ID`.
    #[must_use]
    pub fn with_ids(&self, text: &[u8]) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
        while let Some((first, behind)) = rest.split_first() {
            let named = self.names.iter().find_map(|(name, id)| Some((id, rest.strip_prefix(name.as_bytes())?)));
            rest = match named {
                Some((id, behind)) => {
                    out.extend(id.bytes());
                    behind
                }
                None => {
                    out.push(*first);
                    behind
                }
            };
        }
        out
    }
}

impl Drop for Shop {
    /// A service holds the world's ways to itself; without this a world would outlive its shop.
    fn drop(&mut self) {
        self.stage.world.names().into_iter().for_each(|service| self.stage.world.kill(service, 0));
    }
}

thread_local! {
    static OPEN: RefCell<Option<(Runtime, Shop)>> = const { RefCell::new(None) };
}

/// Asks the shop, which is opened by the first who does.
pub fn ask<T>(question: impl AsyncFnOnce(&Shop) -> T) -> T {
    OPEN.with_borrow_mut(|open| {
        if open.as_ref().is_some_and(|(_, shop)| shop.questions >= QUESTIONS_MAX) {
            *open = None;
        }
        let (runtime, shop) = open.get_or_insert_with(|| {
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime can be made");
            let shop = runtime.block_on(shop());
            (runtime, shop)
        });
        shop.questions += 1;
        runtime.block_on(question(&*shop))
    })
}

async fn shop() -> Shop {
    let manifests = [
        &customer::MANIFEST,
        &catalog::MANIFEST,
        &pricing::MANIFEST,
        &cart::MANIFEST,
        &order::MANIFEST,
        &payment::MANIFEST,
        &inventory::MANIFEST,
        &psp::MANIFEST,
    ];
    let signed = |settings: platform::Settings| {
        let settings = settings.with("payment.psp_callback_secret", CALLBACK_SECRET).expect("the setting is known");
        settings.with("psp.callback_secret", CALLBACK_SECRET).expect("the setting is known")
    };
    let stage = Stage::of(&manifests, 1, signed).await;
    let names = furnish(&stage).await;
    Shop { stage, names, questions: 0 }
}

/// Puts one of everything into the shop, and gives each its name.
async fn furnish(stage: &Stage) -> Vec<(&'static str, String)> {
    let price = json!({"unitPrice": {"amount": 1999, "currency": "USD"}});
    taken(stage.put("/pricing/books/standard-usd/entries/LAMP", &price).await);
    let stock = json!({"sku": "LAMP", "warehouse": "us-east", "delta": 1_000_000, "reason": "received"});
    taken(stage.post("/inventory/adjust", &stock).await);
    let category = id(&taken(stage.post("/categories", &json!({"slug": "light", "name": "Light"})).await), "id");
    let lamp = json!({"sku": "LAMP", "title": "A lamp", "categoryId": category, "variants": [{"sku": "LAMP-RED", "title": "Red"}]});
    let product = id(&taken(stage.post("/products", &lamp).await), "id");
    let customer = json!({"email": "somebody@example.com", "fullName": "Somebody", "region": "US"});
    let customer = id(&taken(stage.post("/customers", &customer).await), "id");
    let cart = cart(stage).await;
    let sold = self::cart(stage).await;
    let checkout = json!({
        "paymentMethod": {"type": "card", "token": "tok_ok"},
        "shippingAddress": {"line1": "1 Harbour Road", "city": "Boston", "postalCode": "02108", "country": "US"},
    });
    let order = id(&taken(stage.post_with_key(&format!("/carts/{sold}/checkout"), &checkout, "sold").await), "orderId");
    stage.pass(std::time::Duration::from_secs(10)).await;
    let payments = taken(stage.get(&format!("/payments?orderId={order}")).await);
    let payment = id(&payments["items"][0], "id");
    let hold = json!({"orderId": "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22", "items": [{"sku": "LAMP", "quantity": 1}], "region": "US", "ttlSeconds": 600});
    let reservation = id(&taken(stage.post("/inventory/reserve", &hold).await), "reservationId");
    vec![
        ("CATEGORY_ID", category),
        ("PRODUCT_ID", product),
        ("CUSTOMER_ID", customer),
        ("CART_ID", cart),
        ("ORDER_ID", order),
        ("PAYMENT_ID", payment),
        ("RESERVATION_ID", reservation),
    ]
}

async fn cart(stage: &Stage) -> String {
    let cart = id(&taken(stage.post("/carts", &json!({"region": "US"})).await), "id");
    taken(stage.post(&format!("/carts/{cart}/items"), &json!({"sku": "LAMP", "quantity": 2})).await);
    cart
}

fn taken(got: Got) -> Json {
    assert!(got.status.is_success(), "the shop cannot be furnished: {} {}", got.status, String::from_utf8_lossy(&got.body));
    got.json()
}

fn id(object: &Json, field: &str) -> String {
    object[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {object}")).to_owned()
}

/// Whatever is asked, it is answered in JSON or refused in the one form as the caller's mistake; nothing is ever ours.
pub fn must_be_an_answer(got: &Got) {
    let (status, body) = (got.status.as_u16(), String::from_utf8_lossy(&got.body));
    assert!(status < 500, "{status}: {body}");
    let json = serde_json::from_slice::<Json>(&got.body);
    assert!(json.is_ok() || (got.body.is_empty() && got.status.is_success()), "{status} is not JSON: {body}");
    if status >= 400 {
        assert_eq!(got.header("content-type"), Some("application/problem+json"), "a refusal has one form");
        assert_eq!(got.json()["status"], status, "{body}");
        assert!(!got.slug().is_empty(), "a refusal has a slug: {body}");
    }
}
