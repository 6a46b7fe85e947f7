//! PostgreSQL.

use std::time::Duration;

use engine_tests::postgresql_url;
use platform::{
    Chance, Clock,
    db::{Db, Tx},
    testing::stores::{count, insert, migrations, no_faults},
};

use super::{Server, on};

const SERVER: Server = Server {
    url: postgresql_url,
    open: Db::postgresql,
    drop: |schema| format!("DROP SCHEMA IF EXISTS {schema} CASCADE"),
    pause: |seconds| format!("SELECT 1::bigint AS waited FROM pg_sleep({seconds})"),
};

on!(SERVER);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_died_while_idle_are_passed_over() {
    drop(SERVER.fresh("died").await);
    // The server knows a connection by its service's name: under this one only those die that are meant to.
    let db = Db::postgresql("mortal", &SERVER.options("died"), Chance::seeded(1), no_faults()).unwrap();
    db.migrate(&migrations()).await.unwrap();
    let others = SERVER.again("died_others");
    for id in 0..5 {
        insert(&db, id).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crashcart/mortal'";
        others.run_script(end).await.unwrap();
        assert_eq!(count(&db).await, id + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_vacuumed_has_no_dead_rows() {
    let db = SERVER.fresh("vacuum").await;
    db.migrate(&migrations()).await.unwrap();
    insert(&db, 1).await.unwrap();
    for _ in 0..20 {
        let change = async |tx: &mut Tx<'_>| tx.execute("UPDATE notes SET text = text || 'Quagmire'", vec![]).await;
        let _: u64 = db.write(change).await.unwrap();
    }
    let pages = async |tx: &mut Tx<'_>| tx.execute("DELETE FROM notes", vec![]).await;
    let _: u64 = db.write(pages).await.unwrap();
    let clock = Clock::real();
    let cut_off = async {
        let query = "SELECT pg_relation_size('notes')";
        loop {
            db.checkpoint().await.unwrap();
            let size: i64 = db.read(async |tx: &mut Tx<'_>| tx.fetch_one(query, vec![]).await).await.unwrap();
            if size == 0 {
                return;
            }
            // Whoever is in the midst of something, in whatever schema of this database, might still see them.
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    clock.timeout(Duration::from_secs(20), cut_off).await.unwrap();
}
