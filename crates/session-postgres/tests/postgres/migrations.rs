//! Creating and updating the schema.

use session_core::StoreErrorKind;
use session_core::store::{CreateRequest, Freshness, SessionStore};
use session_postgres::{Pooler, PostgresStore, SchemaName, migrations};
use session_testbed::calls::{Call, Sessions};
use session_testbed::records::{NOW, record, user};
use session_testbed::servers::namespace;
use tokio::task::JoinSet;

use crate::common::{database, execute, number, pool, store, store_in};
use crate::settings::through_pgbouncer;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_nodes_at_once() {
    let database = database().await;
    let (_bouncer, bounced) = through_pgbouncer(&database).await;
    for (schema, options) in [("direct", &database), ("bounced", &bounced)] {
        let mut nodes = JoinSet::new();
        for _ in 0..20 {
            let store = store_in(schema, pool(2, options), Pooler::Transaction);
            nodes.spawn(async move { store.migrate().await.map(|()| store) });
        }
        for node in nodes.join_all().await {
            node.unwrap_or_else(|error| panic!("{schema}: {error:?}"))
                .load(&record(None, NOW).id(), Freshness::Latest)
                .await
                .unwrap();
        }
        let applied = number(&pool(1, &database), &format!("SELECT count(*) FROM {schema}.migration")).await;
        assert_eq!(applied, i64::try_from(migrations(&SchemaName::default()).len()).unwrap());
        Sessions::assert_all_work(&store_in(schema, pool(2, &database), Pooler::Transparent), &Call::ALL).await;
    }
}

/// A release that brings the second step finds the first one applied.
#[tokio::test]
async fn only_what_is_missing_is_applied() {
    let pool = pool(2, &database().await);
    execute(
        &pool,
        "CREATE SCHEMA session; CREATE TABLE session.migration (name text PRIMARY KEY, applied_at timestamptz)",
    )
    .await;
    let first = &migrations(&SchemaName::default())[0];
    execute(&pool, &first.sql).await;
    execute(&pool, &format!("INSERT INTO session.migration VALUES ('{}', now())", first.name)).await;
    Sessions::assert_all_work(&store(&pool).await, &Call::ALL).await;
    store(&pool).await;
}

/// A step that fails is rolled back with all others.
#[tokio::test]
async fn nothing_is_half_applied() {
    let pool = pool(2, &database().await);
    // Makes the second step fail.
    execute(
        &pool,
        "CREATE SCHEMA session;
         CREATE FUNCTION session.lock_users(bytea, bytea) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    .await;
    let error = PostgresStore::new(pool.clone()).migrate().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other, "{error}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'session'";
    assert_eq!(number(&pool, tables).await, 0);
    execute(&pool, "DROP FUNCTION session.lock_users(bytea, bytea)").await;
    Sessions::assert_all_work(&store(&pool).await, &Call::ALL).await;
}

#[tokio::test]
async fn applied_by_hand() {
    let pool = pool(2, &database().await);
    // A name that is a key word.
    let schema = SchemaName::new("order").unwrap();
    execute(&pool, "CREATE SCHEMA \"order\"").await;
    for migration in migrations(&schema) {
        execute(&pool, &migration.sql).await;
    }
    Sessions::assert_all_work(&store_in("order", pool, Pooler::Transparent), &Call::ALL).await;
}

#[tokio::test]
async fn role_without_create_privilege() {
    let (database, role) = (database().await, namespace());
    store(&pool(1, &database)).await;
    execute(
        &pool(1, &database),
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA session TO {role};
             GRANT SELECT ON session.migration TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON session.session TO {role}"
        ),
    )
    .await;
    let pool = pool(1, &database.username(&role));
    Sessions::assert_all_work(&store(&pool).await, &Call::ALL).await;
    let refused = store_in("elsewhere", pool, Pooler::Transparent).migrate().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Other, "{refused}");
    assert!(refused.to_string().contains("role"), "{refused}");
}

/// A privileged role created the schema for the role of the application.
#[tokio::test]
async fn role_that_owns_the_schema() {
    let (database, role) = (database().await, namespace());
    execute(&pool(1, &database), &format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA session AUTHORIZATION {role}"))
        .await;
    Sessions::assert_all_work(&store(&pool(1, &database.username(&role))).await, &Call::ALL).await;
}

#[tokio::test]
async fn missing_schema_is_named() {
    let store = PostgresStore::new(pool(1, &database().await));
    let (new, user) = (record(None, NOW), user("alice"));
    let create = store.create(CreateRequest::new(&new), NOW).await;
    for error in [
        store.load(&new.id(), Freshness::Latest).await.unwrap_err(),
        create.unwrap_err(),
        store.list_by_user(&user, NOW).await.unwrap_err(),
        store.delete_by_user(&user, None).await.unwrap_err(),
    ] {
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
