//! Creating and updating the schema.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use session_core::{Admission, SessionStore, StoreErrorKind};
use session_postgres::{Pooler, PostgresStore, SchemaName, migrations};
use support::{Bouncer, NOW, Server, execute, number, pool, record};
use tokio::task::JoinSet;

async fn works(store: &PostgresStore) {
    let record = record(None, NOW);
    let _ = store.create(Admission { record: &record, replaces: None, limit: None }, NOW).await.unwrap();
    assert!(store.load(&record.id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_nodes_at_once() {
    let server = Server::start().await;
    let bouncer = Bouncer::start(&server).await;
    for (schema, options) in [("direct", server.options()), ("bounced", bouncer.options())] {
        let mut nodes = JoinSet::new();
        for _ in 0..20 {
            let pool = pool(2, options.clone());
            let store =
                PostgresStore::new(pool).with_schema(SchemaName::new(schema).unwrap()).with_pooler(Pooler::Transaction);
            nodes.spawn(async move {
                store.migrate().await.unwrap();
                works(&store).await;
            });
        }
        nodes.join_all().await;
        let applied = number(&server.pool(1), &format!("SELECT count(*) FROM {schema}.migration")).await;
        assert_eq!(applied, i64::try_from(migrations(&SchemaName::default()).len()).unwrap());
    }
}

#[tokio::test]
async fn applied_by_hand() {
    let server = Server::start().await;
    let pool = server.pool(2);
    // A name that is a key word.
    let schema = SchemaName::new("order").unwrap();
    execute(&pool, "CREATE SCHEMA \"order\"").await;
    for migration in migrations(&schema) {
        execute(&pool, &migration.sql).await;
    }
    works(&PostgresStore::new(pool).with_schema(schema)).await;
}

#[tokio::test]
async fn role_without_rights_to_create() {
    let server = Server::start().await;
    PostgresStore::new(server.pool(1)).migrate().await.unwrap();
    execute(
        &server.pool(1),
        "CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA session TO app;
         GRANT SELECT ON session.migration TO app; GRANT SELECT, INSERT, UPDATE, DELETE ON session.session TO app",
    )
    .await;
    let store = PostgresStore::new(pool(1, server.options().username("app")));
    store.migrate().await.unwrap();
    works(&store).await;
    let elsewhere = store.with_schema(SchemaName::new("elsewhere").unwrap());
    let refused = elsewhere.migrate().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Other, "{refused}");
    assert!(refused.to_string().contains("role"), "{refused}");
}

#[tokio::test]
async fn missing_schema_is_named() {
    let server = Server::start().await;
    let store = PostgresStore::new(server.pool(1));
    let record = record(None, NOW);
    let admission = Admission { record: &record, replaces: None, limit: None };
    for error in [store.load(&record.id).await.unwrap_err(), store.create(admission, NOW).await.unwrap_err()] {
        assert_eq!(error.kind(), StoreErrorKind::Other);
        assert!(error.to_string().contains("run the migrations"), "{error}");
    }
}

#[test]
fn schema_names() {
    for accepted in ["session", "_s", "s1", "order", &"s".repeat(63)] {
        assert!(SchemaName::new(accepted).is_ok(), "{accepted}");
    }
    for refused in ["", "1s", "S", "s-t", "s\"", "s.t", "s t", "ß", "pg_sessions", &"s".repeat(64)] {
        assert!(SchemaName::new(refused).is_err(), "{refused}");
    }
}
