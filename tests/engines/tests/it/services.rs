//! Services on the servers that they are written for, in one world: those with tables in PostgreSQL beside those with tables in MariaDB.

use engine_tests::{mariadb_url, settings};
use platform::{
    Chance, Settings,
    auth::Secret,
    db::{Db, Dialect, Options, Tx},
    service::Manifest,
    telemetry::traces::Traces,
    testing::stores::no_faults,
    world::{World, all_migrations},
};

const ON_MARIADB: [&Manifest; 2] = [&cart::MANIFEST, &order::MANIFEST];

/// Each service on its own engine, in schemas of this test.
fn chosen() -> Settings {
    let changes = [
        ("stores.sql.pricing", "postgresql"),
        ("stores.sql.cart", "mariadb"),
        ("stores.sql.order", "mariadb"),
        ("engines.postgresql.schema_prefix", "test_together_"),
        ("engines.mariadb.schema_prefix", "test_together_"),
    ];
    changes.into_iter().fold(settings(), |settings, (path, value)| settings.with(path, value).unwrap())
}

async fn emptied(database: &str) -> Db {
    let mut options = Options::new(Secret::new(mariadb_url()).unwrap());
    options.schema = Some("crashcart".to_owned());
    let open = |options: &Options| Db::mariadb("test", options, Chance::seeded(1), no_faults()).unwrap();
    open(&options).run_script(&format!("DROP DATABASE IF EXISTS {database}")).await.unwrap();
    options.schema = Some(database.to_owned());
    open(&options)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_world_has_its_tables_on_both_servers() {
    for service in ["cart", "order"] {
        emptied(&format!("test_together_{service}")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let world = World::real(chosen(), folder.path(), Traces::off()).unwrap();
    let tables = [
        (&pricing::MANIFEST, Dialect::Postgresql, "price_rules"),
        (&cart::MANIFEST, Dialect::Mariadb, "carts"),
        (&order::MANIFEST, Dialect::Mariadb, "orders"),
    ];
    for (manifest, dialect, table) in tables {
        world.start(manifest, 0).await.unwrap();
        let db = world.db(manifest.name).unwrap();
        assert_eq!(db.dialect(), dialect, "{}", manifest.name);
        let query = format!("SELECT count(*) FROM {table}");
        db.read(async |tx: &mut Tx<'_>| tx.fetch_one::<i64>(&query, vec![]).await).await.unwrap();
        assert!(!folder.path().join(format!("{}.db", manifest.name)).exists(), "{} has a file", manifest.name);
    }
    world.stop(std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_does_not_start_on_an_engine_that_it_is_not_written_for() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::real(chosen().with("stores.sql.cart", "postgresql").unwrap(), folder.path(), Traces::off()).unwrap();
    let refused = world.start(&cart::MANIFEST, 0).await.unwrap_err().to_string();
    let wanted = "`stores.sql.cart` is \"postgresql\", for which cart is not written; it can be \"sqlite\" or \"mariadb\"";
    assert!(refused.contains(wanted), "{refused}");
    world.stop(std::time::Duration::from_secs(5)).await;
}

/// As the next start does with one that was cut off in its middle.
#[tokio::test(flavor = "multi_thread")]
async fn every_migration_for_mariadb_can_be_run_again_from_its_beginning() {
    for manifest in ON_MARIADB {
        let db = emptied(&format!("test_again_{}", manifest.name)).await;
        db.migrate(&[]).await.unwrap();
        let migrations = all_migrations(manifest);
        let scripts = || migrations.iter().map(|migration| (migration.number, migration.mariadb.as_ref().unwrap()));
        for (number, script) in scripts() {
            for _ in 0..2 {
                db.run_script(&script.up).await.unwrap_or_else(|error| panic!("{number} of {}: {error}", manifest.name));
            }
        }
        for (number, script) in scripts().rev() {
            for _ in 0..2 {
                db.run_script(&script.down).await.unwrap_or_else(|error| panic!("{number} of {}: {error}", manifest.name));
            }
        }
        let left = "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()";
        let left: i64 = db.read(async |tx: &mut Tx<'_>| tx.fetch_one(left, vec![]).await).await.unwrap();
        assert_eq!(left, 1, "only the notes of what was applied");
    }
}
