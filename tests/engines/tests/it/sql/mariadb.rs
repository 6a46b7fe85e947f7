//! MariaDB.

use engine_tests::mariadb_url;
use platform::{
    db::{Db, Tx},
    testing::stores::{count, insert, migrations},
    values,
};

use super::{Server, on};

const SERVER: Server = Server {
    url: mariadb_url,
    open: Db::mariadb,
    drop: |schema| format!("DROP DATABASE IF EXISTS {schema}"),
    pause: |seconds| format!("SELECT sleep({seconds}) AS waited"),
};

on!(SERVER);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_died_while_idle_are_passed_over() {
    let db = SERVER.fresh("died").await;
    db.migrate(&migrations()).await.unwrap();
    let others = SERVER.fresh("died_others").await;
    for id in 0..5 {
        insert(&db, id).await.unwrap();
        let pool = "SELECT id FROM information_schema.processlist WHERE db = 'test_died'";
        let pool: Vec<i64> = others.read(async |tx: &mut Tx<'_>| tx.fetch_all(pool, vec![]).await).await.unwrap();
        assert!(!pool.is_empty(), "there is none to be ended");
        for connection in pool {
            match others.run_script(&format!("KILL CONNECTION {connection}")).await {
                Ok(()) => {}
                // One that was ended in the last round may still have been in the list.
                Err(error) if error.to_string().contains("Unknown thread") => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(count(&db).await, id + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tidied_takes_no_room_for_what_was_deleted() {
    let db = SERVER.fresh("tidied").await;
    db.migrate(&migrations()).await.unwrap();
    for id in 0..200_i64 {
        let fill = async move |tx: &mut Tx<'_>| {
            tx.execute("INSERT INTO notes (id, text) VALUES (?, ?)", values![id, "Quagmire".repeat(1_000)]).await
        };
        let _: u64 = db.write(fill).await.unwrap();
    }
    let empty = async |tx: &mut Tx<'_>| tx.execute("DELETE FROM notes", vec![]).await;
    let _: u64 = db.write(empty).await.unwrap();
    let size = async || -> i64 {
        let query = "SELECT file_size FROM information_schema.innodb_sys_tablespaces WHERE name = 'test_tidied/notes'";
        db.read(async |tx: &mut Tx<'_>| tx.fetch_one(query, vec![]).await).await.unwrap()
    };
    let before = size().await;
    db.checkpoint().await.unwrap();
    let after = size().await;
    assert!(before > 1_000_000 && after < before / 2, "{before} bytes, then {after}");
}

/// Who died in the middle of a migration left some of it there, and no note.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_was_cut_off_is_done_again_from_its_beginning() {
    let db = SERVER.fresh("cut_off").await;
    db.run_script("CREATE TABLE notes (id bigint PRIMARY KEY, text text NOT NULL)").await.unwrap();
    db.migrate(&migrations()).await.unwrap();
    insert(&db, 1).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

/// A value in an error may be anybody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_tells_the_value_that_it_is_about() {
    let db = SERVER.fresh("values").await;
    db.migrate(&migrations()).await.unwrap();
    let add = async |tag: &'static str| {
        let insert = async move |tx: &mut Tx<'_>| tx.execute("INSERT INTO tags (tag) VALUES (?)", values![tag]).await;
        db.write(insert).await.map_err(|error: platform::db::DbError| error.to_string())
    };
    add("mai@example.com").await.unwrap();
    let taken = add("mai@example.com").await.unwrap_err();
    assert!(taken.contains("PRIMARY") && !taken.contains("mai@"), "{taken}");
    let wrong = async |tx: &mut Tx<'_>| tx.execute("UPDATE notes SET id = ? WHERE id = 0", values!["mai@example.com"]).await;
    insert(&db, 0).await.unwrap();
    let wrong = db.write(wrong).await.map_err(|error: platform::db::DbError| error.to_string()).unwrap_err();
    assert!(!wrong.contains("mai@"), "{wrong}");
}
