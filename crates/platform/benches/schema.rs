//! How long one event takes to be written and read: ten fields, one of them an array of three records. Prints nanoseconds for each.
//! A plain loop and a median: the numbers are for a reader, not for a gate.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature")]
#![expect(clippy::disallowed_methods, clippy::expect_used, clippy::print_stdout, reason = "a bench measures the machine's time and prints")]

use std::{hint::black_box, time::Instant};

use apache_avro::AvroSchema;
use platform::schema::{Codec, Registry, decode_json};
use serde::{Deserialize, Serialize};
use types::{Currency, CustomerId, Money, OrderId, Quantity, Sku, Timestamp};

#[derive(Clone, Serialize, Deserialize, AvroSchema)]
struct Line {
    sku: Sku,
    quantity: Quantity,
    unit_price: Money,
}

macro_rules! event {
    ($(#[$attribute:meta])* $name:ident { $($(#[$extra_attribute:meta])* $extra:ident: $kind:tt)? }) => {
        #[derive(Clone, Serialize, Deserialize, AvroSchema)]
        #[avro(namespace = "crashcart.order")]
        $(#[$attribute])*
        struct $name {
            order_id: OrderId,
            customer_id: Option<CustomerId>,
            created_at: Timestamp,
            total: Money,
            tax: Money,
            shipping: Money,
            lines: Vec<Line>,
            channel: String,
            note: Option<String>,
            attempt: i32,
            $($(#[$extra_attribute])* $extra: $kind,)?
        }
    };
}
event!(OrderCreated {});
event!(
    #[serde(rename = "OrderCreated")]
    Newer {
        #[avro(default = "false")]
        is_gift: bool
    }
);

const ROUNDS: usize = 2_000;
const SAMPLES: usize = 51;

fn measure(what: &str, mut work: impl FnMut()) {
    let mut samples: Vec<u128> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            (0..ROUNDS).for_each(|_| work());
            start.elapsed().as_nanos() / ROUNDS as u128
        })
        .collect();
    samples.sort_unstable();
    println!("{what:44} {:>7} ns (best {} ns)", samples[SAMPLES / 2], samples[0]);
}

fn main() {
    let registry = Registry::in_memory();
    let codec = Codec::<OrderCreated>::register(&registry, "order").expect("a good schema");
    let newer = Codec::<Newer>::register(&registry, "order").expect("a compatible schema");
    let price = Money::new(1999, Currency::Usd);
    let line = Line { sku: Sku::new("LAMP-RED-L").expect("a SKU"), quantity: Quantity::ONE, unit_price: price };
    let event = OrderCreated {
        order_id: uuid::Uuid::from_u128(1).into(),
        customer_id: Some(uuid::Uuid::from_u128(2).into()),
        created_at: Timestamp::from_seconds(1_795_253_400),
        total: price,
        tax: price,
        shipping: price,
        lines: vec![line.clone(), line.clone(), line],
        channel: "web".to_owned(),
        note: None,
        attempt: 1,
    };
    let bytes = codec.encode(&event).expect("it fits");
    println!("{} bytes", bytes.len());
    measure("encode", || drop(black_box(codec.encode(black_box(&event)))));
    measure("decode, the writer's schema is the reader's", || drop(black_box(codec.decode(black_box(&bytes)))));
    measure("decode, a newer reader with one more field", || drop(black_box(newer.decode(black_box(&bytes)))));
    measure("decode_json", || drop(black_box(decode_json(&registry, black_box(&bytes)))));
    let json = serde_json::to_vec(&event).expect("JSON");
    println!("{} bytes of JSON, to compare", json.len());
    measure("serde_json::to_vec", || drop(black_box(serde_json::to_vec(black_box(&event)))));
    measure("serde_json::from_slice", || drop(black_box(serde_json::from_slice::<OrderCreated>(black_box(&json)))));
}
