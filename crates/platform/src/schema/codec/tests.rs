#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nothing here looks at its order")]

use apache_avro::AvroSchema;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use types::{Currency, CustomerId, Email, Money, OrderId, Quantity, Region, Sku, Timestamp};
use uuid::Uuid;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.order")]
#[serde(rename_all = "snake_case")]
enum Channel {
    Web,
    MobileApp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.order")]
struct Line {
    sku: Sku,
    quantity: Quantity,
    unit_price: Money,
    /// The second use of `Money` in a record within a record.
    discount: Option<Money>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "crashcart.order")]
struct OrderCreated {
    order_id: OrderId,
    customer_id: Option<CustomerId>,
    created_at: Timestamp,
    shipped_at: Option<Timestamp>,
    total: Money,
    tax: Money,
    lines: Vec<Line>,
    channel: Channel,
    region: Region,
    status: Option<Status>,
    email: Email,
    note: Option<String>,
    is_gift: bool,
    attempt: i32,
}

fn order(lines: usize) -> OrderCreated {
    let line = |index: usize| Line {
        sku: Sku::new(format!("LAMP-{index}")).unwrap(),
        quantity: Quantity::new(3).unwrap(),
        unit_price: Money::new(1999, Currency::Usd),
        discount: index.is_multiple_of(2).then(|| Money::new(-5, Currency::Usd)),
    };
    OrderCreated {
        order_id: Uuid::from_u128(0x0195_f3a2_7c11_7d3e_8a11_3f2f_0c9b_1e22).into(),
        customer_id: Some(Uuid::from_u128(7).into()),
        created_at: Timestamp::from_micros(1_795_253_400_000_001),
        shipped_at: Some(Timestamp::from_micros(-1)),
        total: Money::new(i64::MAX, Currency::Jpy),
        tax: Money::new(0, Currency::Vnd),
        lines: (0..lines).map(line).collect(),
        channel: Channel::MobileApp,
        region: Region::Apac,
        status: Some(Status::PartlyPaid),
        email: Email::new("mai@example.com").unwrap(),
        note: None,
        is_gift: true,
        attempt: i32::MIN,
    }
}

fn codec() -> (Registry, Codec<OrderCreated>) {
    let registry = Registry::in_memory();
    let codec = Codec::register(&registry, "order.created.v1-value").unwrap();
    (registry, codec)
}

#[test]
fn every_kind_of_field_comes_back_as_it_was() {
    let (_, codec) = codec();
    for lines in [0, 1, 3, 100] {
        let event = order(lines);
        assert_eq!(codec.decode(&codec.encode(&event).unwrap()).unwrap(), event);
    }
    let mut none = order(1);
    (none.customer_id, none.shipped_at, none.note, none.channel) = (None, None, Some(String::new()), Channel::Web);
    assert_eq!(codec.decode(&codec.encode(&none).unwrap()).unwrap(), none);
}

#[test]
fn the_schema_shows_namespaces_logical_types_and_one_definition_of_money() {
    let (registry, codec) = codec();
    let text = registry.schema(codec.id().unwrap()).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["name"], "crashcart.order.OrderCreated");
    assert!(text.contains(r#""name":"crashcart.order.Line""#), "{text}");
    assert!(text.contains(r#""logicalType":"timestamp-micros""#), "{text}");
    assert_eq!(text.matches(r#""name":"crashcart.Money""#).count(), 1, "{text}");
    assert!(text.contains(r#"{"name":"tax","type":"crashcart.Money"}"#), "{text}");
    assert_eq!(text.matches(r#""symbols":["web","mobile_app"]"#).count(), 1, "{text}");
    // What this module takes for a schema, the library does too.
    apache_avro::Schema::parse_str(&text).unwrap();
}

#[test]
fn the_header_is_confluents_and_a_moment_is_a_number() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    struct Tick {
        at: Timestamp,
    }
    let registry = Registry::in_memory();
    registry.register("x", r#""string""#).unwrap();
    let codec = Codec::<Tick>::register(&registry, "t").unwrap();
    let bytes = codec.encode(&Tick { at: Timestamp::from_micros(-3) }).unwrap();
    assert_eq!(&bytes[..], [0, 0, 0, 0, 2, 5]);
}

#[test]
fn json_for_people_shows_times_and_names() {
    let (registry, codec) = codec();
    let value = decode_json(&registry, &codec.encode(&order(1)).unwrap()).unwrap();
    assert_eq!(value["created_at"], "2026-11-21T09:30:00.000001Z");
    assert_eq!(value["order_id"], "0195f3a2-7c11-7d3e-8a11-3f2f0c9b1e22");
    assert_eq!(value["lines"][0]["unit_price"], serde_json::json!({"amount": 1999, "currency": "USD"}));
    assert_eq!(value["channel"], "mobile_app");
    assert_eq!(value["note"], serde_json::Value::Null);
    // It is the same text that the type's own JSON has.
    assert_eq!(value, serde_json::to_value(order(1)).unwrap());
}

#[test]
fn each_way_to_be_wrong_has_its_own_error() {
    let (registry, codec) = codec();
    let good = codec.encode(&order(2)).unwrap();
    for length in 0..5 {
        assert!(matches!(codec.decode(&good[..length]), Err(CodecError::TooShort { length: found }) if found == length));
        assert!(matches!(decode_json(&registry, &good[..length]), Err(CodecError::TooShort { .. })));
    }
    for length in 5..good.len() {
        assert!(matches!(codec.decode(&good[..length]), Err(CodecError::Malformed { .. })), "cut at {length}");
        assert!(matches!(decode_json(&registry, &good[..length]), Err(CodecError::Malformed { .. })), "cut at {length}");
    }
    let mut bad = good.to_vec();
    bad[0] = b'{';
    assert!(matches!(codec.decode(&bad), Err(CodecError::Magic { byte: b'{' })));
    assert!(matches!(codec.decode(b"{"), Err(CodecError::Magic { byte: b'{' })));
    let mut bad = good.to_vec();
    bad[4] = 9;
    assert!(matches!(codec.decode(&bad), Err(CodecError::UnknownSchema { id: SchemaId(9) })));
    assert!(matches!(decode_json(&registry, &bad), Err(CodecError::UnknownSchema { id: SchemaId(9) })));
    let mut bad = good.to_vec();
    bad.extend([0, 0]);
    assert!(matches!(codec.decode(&bad), Err(CodecError::Trailing { bytes: 2, .. })));
    assert!(matches!(decode_json(&registry, &bad), Err(CodecError::Trailing { bytes: 2, .. })));
}

#[test]
fn a_value_that_the_type_refuses_is_an_error_of_its_own() {
    #[derive(Debug, Serialize, Deserialize, AvroSchema)]
    struct Loose {
        quantity: i64,
    }
    #[derive(Debug, Serialize, Deserialize, AvroSchema)]
    #[serde(rename = "Loose")]
    struct Strict {
        quantity: Quantity,
    }
    let registry = Registry::in_memory();
    let (loose, strict) = (Codec::<Loose>::register(&registry, "a").unwrap(), Codec::<Strict>::register(&registry, "a").unwrap());
    assert_eq!(loose.id(), strict.id());
    let bytes = loose.encode(&Loose { quantity: 0 }).unwrap();
    assert!(matches!(strict.decode(&bytes), Err(CodecError::Decode { .. })));
}

types::words!(Status { Paid = "PAID", PartlyPaid = "PARTLY_PAID" });

mod first {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    pub struct Paid {
        pub id: OrderId,
        pub amount: i32,
        pub currency: Currency,
        pub gone: Option<String>,
        pub at: Timestamp,
    }
}

mod second {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[avro(alias = "Paid")]
    pub struct PaymentTaken {
        pub at: Timestamp,
        #[avro(default = "\"web\"")]
        pub channel: String,
        pub amount: i64,
        #[serde(rename = "order_id", alias = "id")]
        pub order: OrderId,
        #[avro(default = "[]")]
        pub lines: Vec<Line>,
        #[avro(default = "null")]
        pub note: Option<Money>,
    }
}

#[test]
fn a_new_reader_reads_old_events_renamed_reordered_promoted_and_with_defaults() {
    let registry = Registry::in_memory();
    let old = Codec::<first::Paid>::register(&registry, "p").unwrap();
    let new = Codec::<second::PaymentTaken>::register(&registry, "p").unwrap();
    let at = Timestamp::from_micros(77);
    let written = first::Paid { id: Uuid::from_u128(5).into(), amount: -9, currency: Currency::Eur, gone: Some("x".into()), at };
    let bytes = old.encode(&written).unwrap();
    let expected =
        second::PaymentTaken { at, channel: "web".to_owned(), amount: -9, order: Uuid::from_u128(5).into(), lines: Vec::new(), note: None };
    assert_eq!(new.decode(&bytes).unwrap(), expected);
    assert_eq!(new.decode(&new.encode(&expected).unwrap()).unwrap(), expected);
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(matches!(new.decode(&longer), Err(CodecError::Trailing { bytes: 1, .. })));
    assert!(matches!(new.decode(&bytes[..bytes.len() - 1]), Err(CodecError::Malformed { .. })));
    // The old reader lacks defaults for what the new writer left out: BACKWARD never promised it, and the error names the field.
    match old.decode(&new.encode(&expected).unwrap()) {
        Err(CodecError::Malformed { mistake, .. }) => assert!(mistake.to_string().contains("Paid"), "{mistake}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_type_that_breaks_its_subject_is_refused_at_the_start_and_the_field_is_named() {
    #[derive(Debug, Serialize, Deserialize, AvroSchema)]
    struct Paid {
        id: OrderId,
        reason: String,
    }
    let registry = Registry::in_memory();
    Codec::<first::Paid>::register(&registry, "p").unwrap();
    match Codec::<Paid>::register(&registry, "p") {
        Err(error @ SchemaError::Incompatible { .. }) => {
            let text = error.to_string();
            assert!(text.contains("`/reason`") && text.contains("version 1"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recursive_type_is_read_to_a_bound() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    struct Tree {
        children: Vec<Tree>,
    }
    let registry = Registry::in_memory();
    let codec = Codec::<Tree>::register(&registry, "t").unwrap();
    let nest = |depth: usize| (0..depth).fold(Tree { children: Vec::new() }, |tree, _| Tree { children: vec![tree] });
    let shallow = nest(10);
    assert_eq!(codec.decode(&codec.encode(&shallow).unwrap()).unwrap(), shallow);
    assert!(matches!(codec.decode(&codec.encode(&nest(100)).unwrap()), Err(CodecError::Malformed { .. })));
    let mut hostile = vec![0, 0, 0, 0, 1];
    hostile.extend(vec![2; 10_000_000]);
    assert!(matches!(codec.decode(&hostile), Err(CodecError::Malformed { .. })));
    assert!(matches!(decode_json(&registry, &hostile), Err(CodecError::Malformed { .. })));
}

/// All readers of one record: the type that wrote it, another version of it, and JSON.
fn read_all(record: &[u8]) {
    let (registry, codec) = codec();
    let old = Codec::<first::Paid>::register(&registry, "p").unwrap();
    let new = Codec::<second::PaymentTaken>::register(&registry, "p").unwrap();
    let _ = (codec.decode(record).is_ok(), old.decode(record).is_ok(), new.decode(record).is_ok());
    let _ = decode_json(&registry, record).is_ok();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn no_bytes_make_it_panic(id in 0..5_u8, body in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&body);
        let mut record = vec![0, 0, 0, 0, id];
        record.extend(body);
        read_all(&record);
    }

    #[test]
    fn no_damage_makes_it_panic(cut in 0..400_usize, flips in prop::collection::vec((0..400_usize, 0..8_u32), 0..4)) {
        let (_, codec) = codec();
        let mut record = codec.encode(&order(3)).unwrap().to_vec();
        for (byte, bit) in flips {
            if let Some(byte) = record.get_mut(byte) {
                *byte ^= 1 << bit;
            }
        }
        record.truncate(cut.max(5));
        read_all(&record);
    }

    #[test]
    fn what_is_written_is_read(amount in any::<i64>(), at in any::<i64>(), note in any::<Option<String>>(), count in 0..5_usize, attempt in any::<i32>()) {
        let (registry, codec) = codec();
        let mut event = order(count);
        (event.total.amount, event.created_at, event.note, event.attempt) = (amount, Timestamp::from_micros(at), note, attempt);
        let bytes = codec.encode(&event).unwrap();
        prop_assert_eq!(codec.decode(&bytes).unwrap(), event);
        prop_assert!(decode_json(&registry, &bytes).is_ok());
    }
}

#[test]
fn tasks_may_share_a_codec_and_a_registry() {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Codec<OrderCreated>>();
    shared::<Registry>();
}
