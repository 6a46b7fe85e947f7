//! Schemas in another's registry: what is announced, refused, learned, and asked for again when nobody answers; and that the embedded registry,
//! which speaks the same API, gives the same answers.

#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use apache_avro::AvroSchema;
use engine_tests::{proxy::Proxy, registry_settings, settings, unique};
use futures::future::join_all;
use platform::{
    Clock,
    auth::Secret,
    event::Event,
    schema::{Codec, CodecError, Registry, SchemaError, SchemaId},
    service::{BuildError, Env, Manifest, Service},
    settings::RegistrySettings,
    telemetry::traces::Traces,
    world::World,
};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An order as one version of a program knows it.
pub mod first {
    use super::*;
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[avro(namespace = "crashcart.engines")]
    pub struct Told {
        pub number: i64,
    }
}

/// With one field more, which the old ones are given.
mod second {
    use super::*;
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[avro(namespace = "crashcart.engines")]
    pub struct Told {
        pub number: i64,
        #[avro(default = "\"nothing\"")]
        pub note: String,
    }
}

/// With one field more that no old one has.
mod wrong {
    use super::*;
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[avro(namespace = "crashcart.engines")]
    pub struct Told {
        pub number: i64,
        pub missing: String,
    }
}

/// The registry as one process knows it.
fn process() -> Registry {
    Registry::elsewhere(&registry_settings()).unwrap()
}

fn subject() -> String {
    format!("{}-value", unique("engines.told"))
}

/// What it says over HTTP, past everything of ours.
async fn asked(client: &reqwest::Client, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}{path}", registry_settings().url.unwrap().expose());
    let mut request = client.request(method, url).header("content-type", "application/vnd.schemaregistry.v1+json");
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn what_two_processes_announce_has_one_number_and_each_reads_the_other() {
    let (old, new, subject) = (process(), process(), subject());
    let writer = Codec::<first::Told>::register(&old, &subject).unwrap();
    assert!(matches!(writer.encode(&first::Told { number: 7 }), Err(CodecError::Unconfirmed { .. })), "nobody has been asked yet");
    old.confirm().await.unwrap();
    let same = process();
    let again = Codec::<first::Told>::register(&same, &subject).unwrap();
    same.confirm().await.unwrap();
    assert_eq!((writer.id().is_some(), writer.id()), (true, again.id()));
    let reader = Codec::<second::Told>::register(&new, &subject).unwrap();
    new.confirm().await.unwrap();
    assert_ne!(reader.id(), writer.id());
    let (_, versions) = asked(&reqwest::Client::new(), reqwest::Method::GET, &format!("/subjects/{subject}/versions"), None).await;
    assert_eq!(versions, json!([1, 2]));
    // The new one has never met the old schema, and the old one never the new.
    let record = writer.encode(&first::Told { number: 7 }).unwrap();
    assert!(matches!(reader.decode(&record), Err(CodecError::UnknownSchema { .. })));
    assert_eq!(reader.receive(&record).await.unwrap(), second::Told { number: 7, note: "nothing".into() });
    assert_eq!(reader.decode(&record).unwrap().number, 7, "and now it knows it");
    let record = reader.encode(&second::Told { number: 8, note: "new".into() }).unwrap();
    assert_eq!(writer.receive(&record).await.unwrap(), first::Told { number: 8 });
    let nowhere = [&[0, 0x7f, 0xff, 0xff, 0xff][..], &record[5..]].concat();
    assert!(matches!(reader.receive(&nowhere).await, Err(CodecError::UnknownSchema { id: SchemaId(0x7fff_ffff) })));
}

#[tokio::test]
async fn processes_that_start_together_bring_the_same_schema_once() {
    for _ in 0..10 {
        let subject = subject();
        let start = async || {
            let process = process();
            let codec = Codec::<first::Told>::register(&process, &subject).unwrap();
            process.confirm().await.unwrap();
            codec.id()
        };
        let ids: BTreeSet<_> = join_all((0..8).map(|_| start())).await.into_iter().collect();
        assert!(ids.len() == 1 && !ids.contains(&None), "{ids:?}");
    }
}

#[tokio::test]
async fn a_schema_that_breaks_readers_is_refused_and_a_subject_keeps_the_level_that_it_was_given() {
    let subject = subject();
    let process = process();
    Codec::<first::Told>::register(&process, &subject).unwrap();
    process.confirm().await.unwrap();
    let (_, level) = asked(&reqwest::Client::new(), reqwest::Method::GET, &format!("/config/{subject}"), None).await;
    assert_eq!(level["compatibilityLevel"], "BACKWARD", "a level of its own: {level}");
    let broken = Codec::<wrong::Told>::register(&process, &subject).unwrap();
    let refused = process.confirm().await.unwrap_err();
    assert!(matches!(&refused, SchemaError::Incompatible { .. }), "{refused:?}");
    assert!(refused.to_string().starts_with(&format!("the schema breaks `{subject}`, whose level is BACKWARD: ")), "{refused}");
    assert!(broken.id().is_none() && broken.encode(&wrong::Told { number: 1, missing: String::new() }).is_err());
    // Who gave the subject a level meant it. (Not NONE: Apicurio then goes by the level of all subjects.)
    let (status, _) =
        asked(&reqwest::Client::new(), reqwest::Method::PUT, &format!("/config/{subject}"), Some(json!({"compatibility": "FORWARD"})))
            .await;
    assert_eq!(status, 200);
    process.confirm().await.unwrap();
    assert!(broken.id().is_some());
    let (_, level) = asked(&reqwest::Client::new(), reqwest::Method::GET, &format!("/config/{subject}"), None).await;
    assert_eq!(level["compatibilityLevel"], "FORWARD");
}

#[tokio::test]
async fn the_mirror_is_not_where_schemas_are_changed() {
    let process = process();
    for refused in
        [process.register("anything", r#""string""#).unwrap_err(), process.set_level(None, platform::schema::Level::None).unwrap_err()]
    {
        let url = registry_settings().url.unwrap().expose().to_owned();
        assert_eq!(refused.to_string(), format!("the schemas are in the registry at {url}: change them there"));
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_asked_again_and_then_told() {
    let proxy = Proxy::to(registry_settings().url.unwrap().expose()).await;
    let secret = |url: &str| Some(Secret::new(url).unwrap());
    let with_password = proxy.url().replace("http://", "http://somebody:sesame@");
    let settings = RegistrySettings { url: secret(&with_password), timeout_ms: 500, retries: 1, ..registry_settings() };
    let process = Registry::elsewhere(&settings).unwrap();
    let (codec, subject) = (Codec::<first::Told>::register(&process, &subject()).unwrap(), subject());
    let began = Clock::real().now();
    for away in [Proxy::refuse, Proxy::hold] {
        away(&proxy);
        let error = process.confirm().await.unwrap_err();
        let told = platform::with_causes(&error);
        assert!(told.starts_with(&format!("the schema registry at {} cannot be used", proxy.url())), "{told}");
        assert!(!format!("{told}{error:?}{process:?}").contains("sesame"), "{told}");
        let unread = codec.receive(&[0, 0, 0, 0, 9, 2]).await.unwrap_err();
        assert!(matches!(unread, CodecError::LookUp { id: SchemaId(9), .. }), "{unread:?}");
    }
    assert!(Clock::real().now().since(began) < Duration::from_secs(8), "it is given up in time");
    proxy.refuse();
    // It comes while it is asked for again.
    let patient = Registry::elsewhere(&RegistrySettings { retries: 10, ..settings }).unwrap();
    let late = Codec::<first::Told>::register(&patient, &subject).unwrap();
    let back = async {
        Clock::real().sleep(Duration::from_millis(250)).await;
        proxy.forward();
    };
    let (confirmed, ()) = futures::join!(patient.confirm(), back);
    confirmed.unwrap();
    process.confirm().await.unwrap();
    assert!(late.id().is_some() && codec.id().is_some());
}

const TOPIC: &str = "engines.order.told.v1";

macro_rules! told {
    ($($version:ident)*) => {$(
        impl Event for $version::Told {
            const TOPIC: &'static str = TOPIC;
            fn key(&self) -> String {
                self.number.to_string()
            }
        }
    )*};
}

told!(first wrong);

fn telling<E: Event>(env: Env) -> futures::future::BoxFuture<'static, Result<Service, BuildError>> {
    Box::pin(async move {
        env.outbox().register::<E>()?;
        Ok(Service::default())
    })
}

const fn service(build: fn(Env) -> futures::future::BoxFuture<'static, Result<Service, BuildError>>) -> Manifest {
    Manifest {
        name: "teller",
        summary: "Tells.",
        paths: &[],
        publishes: &[TOPIC],
        consumes: &[],
        calls: &[],
        problems: &[],
        migrations: Vec::new,
        build,
    }
}

static OLD: Manifest = service(telling::<first::Told>);
static WRONG: Manifest = service(telling::<wrong::Told>);

#[tokio::test]
async fn a_service_whose_schema_breaks_readers_does_not_start() {
    let world = |folder: &std::path::Path| {
        let settings = settings().with("stores.schemas", "registry").unwrap();
        World::real(settings, folder, Traces::off()).unwrap()
    };
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    world(one.path()).start(&OLD, 0).await.unwrap();
    assert!(!one.path().join("schemas.ndjson").exists(), "no schemas in the data folder");
    let refused = world(other.path()).start(&WRONG, 0).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("teller cannot start: the schema breaks `engines.order.told.v1-value`, whose level is BACKWARD: "),
        "{refused}"
    );
}

/// Both registries over the same API.
struct Twins {
    embedded: axum::Router,
    client: reqwest::Client,
    /// The numbers of the one, by those of the other: neither begins at the same.
    ids: BTreeMap<u64, u64>,
    prefix: String,
}

impl Twins {
    async fn ask(&mut self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        use tower::ServiceExt;
        let request = axum::http::Request::builder().method(method.clone()).uri(path);
        let request = request.header("content-type", "application/vnd.schemaregistry.v1+json");
        let sent = axum::body::Body::from(body.as_ref().map(ToString::to_string).unwrap_or_default());
        let answer = self.embedded.clone().oneshot(request.body(sent).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let ours: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let (theirs_status, theirs) = asked(&self.client, method.clone(), path, body.clone()).await;
        let context = format!("{method} {path} {body:?}\n  ours: {status} {ours}\n  theirs: {theirs_status} {theirs}");
        assert_eq!(status, theirs_status, "{context}");
        if status < 300 {
            self.compare(&ours, &theirs, &context);
        }
        (status, ours)
    }

    /// The same, but for numbers, which are the same to the same, and for texts of schemas, which may be written otherwise.
    fn compare(&mut self, ours: &Value, theirs: &Value, context: &str) {
        match (ours, theirs) {
            (Value::Object(ours), Value::Object(theirs)) => {
                for (key, value) in ours {
                    match (key.as_str(), theirs.get(key)) {
                        ("id", Some(id)) => {
                            let known = *self.ids.entry(value.as_u64().unwrap()).or_insert_with(|| id.as_u64().unwrap());
                            assert_eq!(Some(known), id.as_u64(), "{context}");
                        }
                        ("schema", Some(schema)) => {
                            let parsed = |text: &Value| apache_avro::Schema::parse_str(text.as_str().unwrap()).unwrap();
                            assert_eq!(parsed(value), parsed(schema), "{context}");
                        }
                        ("is_compatible" | "compatibilityLevel" | "compatibility" | "version" | "subject", found) => {
                            assert_eq!(found, Some(value), "{context}");
                        }
                        _ => {}
                    }
                }
            }
            (ours, theirs) => assert_eq!(ours, theirs, "{context}"),
        }
    }
}

/// A schema out of some that get along with each other and some that do not.
fn drawn(chance: &mut impl Rng) -> String {
    let mut fields = vec![json!({"name": "number", "type": (["int", "long"][usize::from(chance.random_bool(0.5))])})];
    for name in ["a", "b"] {
        match chance.random_range(0..4) {
            0 => fields.push(json!({"name": name, "type": "string"})),
            1 => fields.push(json!({"name": name, "type": "string", "default": ""})),
            2 => fields.push(json!({"name": name, "type": ["null", "string"], "default": null})),
            _ => {}
        }
    }
    json!({"type": "record", "name": "Told", "namespace": "crashcart.engines", "fields": fields}).to_string()
}

#[tokio::test]
async fn ten_thousand_requests_have_the_same_answers_from_both_registries() {
    let (seed, mut chance) = crate::seeded();
    let registry = Registry::in_memory();
    let mut twins = Twins {
        embedded: platform::schema::rest::router(registry),
        client: reqwest::Client::new(),
        ids: BTreeMap::new(),
        prefix: unique("twins"),
    };
    let levels = ["BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"];
    let (mut taken, mut refused) = (0, 0);
    for nth in 0..crate::OPERATIONS {
        // Some subjects at a time, and others after them: one that has every schema learns nothing new.
        let subject = format!("{}-{}-{}-value", twins.prefix, nth / 500, chance.random_range(0..4));
        let schema = json!({"schema": drawn(&mut chance)});
        let (method, path, body) = match chance.random_range(0..100) {
            0..35 => (reqwest::Method::POST, format!("/subjects/{subject}/versions"), Some(schema)),
            35..55 => (reqwest::Method::POST, format!("/subjects/{subject}"), Some(schema)),
            55..70 => (reqwest::Method::POST, format!("/compatibility/subjects/{subject}/versions/latest"), Some(schema)),
            70..80 => (reqwest::Method::GET, format!("/subjects/{subject}/versions"), None),
            80..90 => (reqwest::Method::GET, format!("/subjects/{subject}/versions/latest"), None),
            90..95 => (reqwest::Method::GET, format!("/subjects/{subject}/versions/{}", chance.random_range(1..6)), None),
            _ => {
                let level = levels[chance.random_range(0..levels.len())];
                (reqwest::Method::PUT, format!("/config/{subject}"), Some(json!({"compatibility": level})))
            }
        };
        let registers = path.ends_with("/versions") && method == reqwest::Method::POST;
        let (status, _) = twins.ask(method, &path, body).await;
        if registers {
            taken += u32::from(status == 200);
            refused += u32::from(status == 409);
        }
    }
    println!("seed {seed}: {taken} registrations were taken and {refused} refused, by both");
    assert!(taken > 500 && refused > 500, "seed {seed}: {taken} taken, {refused} refused: too one-sided to tell anything");
}
