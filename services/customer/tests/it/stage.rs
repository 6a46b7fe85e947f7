//! What the tests share: the neighbours, the customers, and a look behind the doors.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use customer_api::{Customer, Erasure};
use http::{Method, StatusCode};
use platform::{
    db::{DbError, Dialect, Tx},
    problem::{Problem, kinds},
    service::{Env, Manifest, Service},
    testing::{Got, Stage},
    values,
};
use serde_json::{Value as Json, json};
use utoipa_axum::router::OpenApiRouter;

/// How a neighbour behaves.
#[derive(Clone, Debug)]
pub enum Mode {
    Well,
    /// Every call is answered with this status.
    Answering(u16),
    /// No call is ever answered.
    Silent,
}

/// A neighbour that does what its script says and remembers what it was asked.
#[derive(Clone, Debug)]
pub struct Neighbour {
    pub mode: Arc<Mutex<Mode>>,
    pub calls: Arc<Mutex<Vec<String>>>,
    /// What the summary of any customer's orders is.
    pub summary: Arc<Mutex<Json>>,
}

impl Neighbour {
    pub fn new() -> Self {
        let summary = Arc::new(Mutex::new(json!({"orders": 0, "spent": []})));
        Self { mode: Arc::new(Mutex::new(Mode::Well)), calls: Arc::default(), summary }
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub fn has_sold(&self, orders: u32, spent: Json) {
        *self.summary.lock().unwrap() = json!({"orders": orders, "spent": spent});
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }
}

async fn answer(State(neighbour): State<Neighbour>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    neighbour.calls.lock().unwrap().push(format!("{} {path}", request.method()));
    let mode = neighbour.mode.lock().unwrap().clone();
    match mode {
        Mode::Well if path.ends_with("/summary") => axum::Json(neighbour.summary.lock().unwrap().clone()).into_response(),
        Mode::Well if path.ends_with("/erasure") && request.method() == Method::POST => axum::Json(json!({"records": 2})).into_response(),
        Mode::Well => Problem::new(&kinds::NOT_FOUND).into_response(),
        Mode::Answering(status) => Problem { status, ..Problem::new(&kinds::UNAVAILABLE) }.into_response(),
        Mode::Silent => std::future::pending().await,
    }
}

/// A world with customer-service and its neighbours.
pub struct Shop {
    pub stage: Stage,
    pub order: Neighbour,
    pub cart: Neighbour,
}

impl std::ops::Deref for Shop {
    type Target = Stage;
    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Shop {
    pub async fn open() -> Self {
        Self::with_seed(1).await
    }

    pub async fn with_seed(seed: u64) -> Self {
        Self::around(Stage::of(&[&customer::MANIFEST, &PROBE], seed, |settings| settings).await)
    }

    pub fn around(stage: Stage) -> Self {
        let (order, cart) = (Neighbour::new(), Neighbour::new());
        stage.neighbour("order", order.router());
        stage.neighbour("cart", cart.router());
        Self { stage, order, cart }
    }

    /// Kills an instance as a crash would, and builds it again.
    pub async fn restart(&self) {
        self.world.kill("customer", 0);
        self.world.start(&customer::MANIFEST, 0).await.unwrap();
    }

    /// A customer with this address and nothing special.
    pub async fn customer(&self, email: &str) -> Customer {
        let got = self.post("/customers", &plain(email)).await;
        assert_eq!(got.status, StatusCode::CREATED, "{}", got.json());
        got.view()
    }

    pub async fn put_if(&self, id: impl std::fmt::Display, body: &Json, tag: &str) -> Got {
        self.send(Method::PUT, &format!("/customers/{id}"), Some(body), &[("if-match", tag)]).await
    }

    /// Asks for an erasure; gives the address at which to ask how far it is.
    pub async fn erase(&self, id: impl std::fmt::Display) -> String {
        let got = self.post(&format!("/customers/{id}/erasure"), &json!({})).await;
        assert_eq!(got.status, StatusCode::ACCEPTED, "{}", got.json());
        got.header("location").unwrap().to_owned()
    }

    pub async fn erasure(&self, location: &str) -> Erasure {
        let got = self.get(location).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.json());
        got.view()
    }

    pub async fn seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds)).await;
    }

    /// Keeps every event from the bus for so long: what is right meanwhile is right without the echo.
    pub async fn slow_bus(&self, seconds: u64) {
        let slow = json!({"rule": "delay", "share": 1.0, "millis": seconds * 1_000});
        let set = self.admin(Method::PUT, "/lab/faults/bus.publish", Some(&slow)).await;
        assert!(set.status.is_success(), "{}", set.json());
    }

    /// What is cached under a key, as text; nothing when nothing is.
    pub async fn cached(&self, key: &str) -> Option<String> {
        let got = self.get(&format!("/probe/{key}")).await;
        (got.status == StatusCode::OK).then(|| String::from_utf8_lossy(&got.body).into_owned())
    }

    /// Changes the store behind the service's back.
    pub async fn tamper(&self, statement: &'static str) {
        let db = self.world.db("customer").unwrap();
        db.write(async move |tx: &mut Tx<'_>| tx.execute(statement, vec![]).await).await.unwrap();
    }

    /// Everything that stands in the service's database: each table with the bytes of each of its columns.
    pub async fn dump(&self) -> Vec<(String, Vec<u8>)> {
        let db = self.world.db("customer").unwrap();
        // Each engine has its own way to say what it holds; what comes of it is the same, texts as texts and bytes as bytes.
        let dialect = db.dialect();
        let (tables, columns) = match dialect {
            Dialect::Sqlite => ("SELECT name FROM sqlite_schema WHERE type = 'table'", "SELECT name FROM pragma_table_info(?)"),
            Dialect::Postgresql => (
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped",
            ),
            Dialect::Mariadb => unreachable!("customer is not written for it"),
        };
        let hex_of = |column: &str| match dialect {
            Dialect::Sqlite | Dialect::Mariadb => format!("hex({column})"),
            Dialect::Postgresql => format!(
                "coalesce(CASE pg_typeof({column})::text WHEN 'bytea' THEN substr({column}::text, 3)
                 ELSE encode(convert_to({column}::text, 'UTF8'), 'hex') END, '')"
            ),
        };
        let read = async |tx: &mut Tx<'_>| -> Result<Vec<(String, Vec<u8>)>, DbError> {
            let mut all = Vec::new();
            let tables: Vec<String> = tx.fetch_all(tables, vec![]).await?;
            for table in tables {
                let columns: Vec<String> = tx.fetch_all(columns, values![table.clone()]).await?;
                let mut bytes = Vec::new();
                for column in columns {
                    let cells: Vec<String> = tx.fetch_all(&format!("SELECT {} FROM {table}", hex_of(&column)), vec![]).await?;
                    bytes.extend(cells.iter().flat_map(|cell| hex::decode(cell).unwrap()));
                }
                all.push((table, bytes));
            }
            Ok(all)
        };
        db.read(read).await.unwrap()
    }
}

pub fn plain(email: &str) -> Json {
    json!({"email": email, "fullName": "Mai Nguyễn", "region": "US"})
}

/// A service that shows what is in the world's cache.
pub const PROBE: Manifest = Manifest {
    name: "probe",
    summary: "Looks into the cache.",
    paths: &["/probe"],
    publishes: &[],
    consumes: &[],
    calls: &[],
    problems: &[],
    migrations: Vec::new,
    build: |env| {
        let look = axum::routing::get(|State(env): State<Env>, Path(key): Path<String>| async move {
            env.cache.get(&key).await.ok().flatten().ok_or(StatusCode::NOT_FOUND)
        });
        let router = OpenApiRouter::new().route("/probe/{key}", look).with_state(env);
        Box::pin(async move { Ok(Service { router, ..Service::default() }) })
    },
};
