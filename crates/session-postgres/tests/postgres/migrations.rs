//! Creating and updating the schema.

use session_core::StoreErrorKind;
use session_core::store::{CreateRequest, Freshness, SessionStore};
use session_postgres::{Pooler, PostgresStore, migrations};
use session_testbed::calls::{Call, Sessions};
use session_testbed::records::{NOW, application, record, shop, user};
use session_testbed::servers::namespace;
use tokio::task::JoinSet;

use crate::common::{database, execute, insert_many, number, pool, store, store_of};
use crate::settings::through_pgbouncer;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_nodes_at_once() {
    let database = database().await;
    let (_bouncer, bounced) = through_pgbouncer(&database).await;
    for (schema, options) in [("direct", &database), ("bounced", &bounced)] {
        let mut nodes = JoinSet::new();
        for _ in 0..20 {
            let store = store_of(schema, pool(2, options), Pooler::Transaction);
            nodes.spawn(async move { store.migrate().await.map(|()| store) });
        }
        for node in nodes.join_all().await {
            node.unwrap_or_else(|error| panic!("{schema}: {error:?}"))
                .load(&record(None, NOW).id(), Freshness::Latest)
                .await
                .unwrap();
        }
        let applied = number(&pool(1, &database), &format!("SELECT count(*) FROM {schema}.migration")).await;
        assert_eq!(applied, i64::try_from(migrations(&shop()).len()).unwrap());
        Sessions::assert_all_work(&store_of(schema, pool(2, &database), Pooler::Transparent), &Call::ALL).await;
    }
}

/// A release that brings the second step finds the first one applied.
#[tokio::test]
async fn only_what_is_missing_is_applied() {
    let pool = pool(2, &database().await);
    execute(&pool, "CREATE SCHEMA shop; CREATE TABLE shop.migration (name text PRIMARY KEY, applied_at timestamptz)")
        .await;
    let first = &migrations(&shop())[0];
    execute(&pool, &first.sql).await;
    execute(&pool, &format!("INSERT INTO shop.migration VALUES ('{}', now())", first.name)).await;
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
        "CREATE SCHEMA shop;
         CREATE FUNCTION shop.lock_users(bytea, bytea) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    .await;
    let error = PostgresStore::new(pool.clone(), shop()).migrate().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other, "{error}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'shop'";
    assert_eq!(number(&pool, tables).await, 0);
    execute(&pool, "DROP FUNCTION shop.lock_users(bytea, bytea)").await;
    Sessions::assert_all_work(&store(&pool).await, &Call::ALL).await;
}

/// Steps count by their names: rows of another application, or of a newer release, are none of ours.
#[tokio::test]
async fn steps_have_names() {
    for (turn, names) in ["('9998_future'), ('9999_future')", "('0002_x'), ('a'), ('b')"].into_iter().enumerate() {
        let pool = pool(2, &database().await);
        execute(
            &pool,
            &format!(
                "CREATE SCHEMA shop;
                 CREATE TABLE shop.migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
                 INSERT INTO shop.migration (name) VALUES {names}"
            ),
        )
        .await;
        Sessions::assert_all_work(&store(&pool).await, &Call::ALL).await;
        let applied = number(&pool, "SELECT count(*) FROM shop.migration WHERE name LIKE '00%'").await;
        assert_eq!(applied, i64::try_from(migrations(&shop()).len() + turn).unwrap());
    }
}

/// A table of another application that has the name of ours is left alone, and the error says so.
#[tokio::test]
async fn a_foreign_table_of_that_name() {
    for table in [
        "TABLE shop.migration (id int)",
        "TABLE shop.migration (version bigint NOT NULL, name text, applied_at timestamptz)",
        "VIEW shop.migration AS SELECT 'x'::text AS name, now() AS applied_at",
    ] {
        let pool = pool(2, &database().await);
        execute(&pool, &format!("CREATE SCHEMA shop; CREATE {table}")).await;
        let error = PostgresStore::new(pool.clone(), shop()).migrate().await.unwrap_err();
        assert!(error.to_string().contains("another namespace"), "{error}");
        assert_eq!(number(&pool, "SELECT count(*) FROM pg_tables WHERE tablename = 'session'").await, 0);
    }
    let pool = pool(2, &database().await);
    execute(&pool, "CREATE SCHEMA shop; CREATE TABLE shop.session (id int)").await;
    let error = PostgresStore::new(pool.clone(), shop()).migrate().await.unwrap_err();
    assert!(error.to_string().contains("same names"), "{error}");
}

/// The functions contain the name of the schema; `migrate` gives them the new one.
#[tokio::test]
async fn a_schema_that_was_renamed() {
    let pool = pool(4, &database().await);
    let kept = insert_many(&store(&pool).await, 2).await;
    execute(&pool, "ALTER SCHEMA shop RENAME TO web_session").await;
    let store = store_of("web_session", pool.clone(), Pooler::Transparent);
    let error = store.load(&kept[0].id(), Freshness::Latest).await.unwrap_err();
    assert!(error.to_string().contains("run the migrations"), "{error}");
    // A second schema takes the old name: its sessions are not ours.
    PostgresStore::new(pool.clone(), shop()).migrate().await.unwrap();
    store.migrate().await.unwrap();
    Sessions::assert_all_work(&store, &Call::ALL).await;
    assert!(store.load(&kept[0].id(), Freshness::Latest).await.unwrap().is_some());
    assert_eq!(number(&pool, "SELECT count(*) FROM shop.session").await, 0);
}

/// Whatever the default isolation, and even if transactions are read-only by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_at_once_under_other_defaults() {
    for (setting, value) in [
        ("default_transaction_isolation", "repeatable read"),
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "100ms"),
    ] {
        let options = database().await.options([(setting, value)]);
        let mut nodes = JoinSet::new();
        for _ in 0..10 {
            let store = PostgresStore::new(pool(1, &options), shop());
            nodes.spawn(async move { store.migrate().await });
        }
        for node in nodes.join_all().await {
            assert!(node.is_ok(), "{setting} {value}: {node:?}");
        }
    }
}

/// The documented grants are enough where functions are not executable by default; what is missing is named.
#[tokio::test]
async fn functions_that_are_not_public_by_default() {
    let (database, role) = (database().await, namespace());
    let admin = pool(1, &database);
    execute(&admin, "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC").await;
    store(&admin).await;
    execute(&admin, &format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA shop TO {role}")).await;
    let store = store_of("shop", pool(2, &database.username(role.as_str())), Pooler::Transparent);
    let missing = async |what: &str| {
        let error = store.load(&record(None, NOW).id(), Freshness::Latest).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.to_string().contains("privilege") && cause.contains(what), "{error}: {cause}");
    };
    missing("for table session").await;
    execute(
        &admin,
        &format!(
            "GRANT SELECT ON shop.migration TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON shop.session TO {role}"
        ),
    )
    .await;
    store.migrate().await.unwrap();
    Sessions::assert_all_work(&store, &Call::ALL).await;
    execute(&admin, "REVOKE EXECUTE ON FUNCTION shop.load_session FROM PUBLIC").await;
    missing("for function load_session").await;
    execute(&admin, &format!("REVOKE USAGE ON SCHEMA shop FROM {role}")).await;
    missing("for schema shop").await;
}

#[tokio::test]
async fn applied_by_hand() {
    let pool = pool(2, &database().await);
    // A name that is a key word.
    let schema = application("order");
    execute(&pool, "CREATE SCHEMA \"order\"").await;
    for migration in migrations(&schema) {
        execute(&pool, &migration.sql).await;
    }
    Sessions::assert_all_work(&store_of("order", pool, Pooler::Transparent), &Call::ALL).await;
}

#[tokio::test]
async fn role_without_create_privilege() {
    let (database, role) = (database().await, namespace());
    store(&pool(1, &database)).await;
    execute(
        &pool(1, &database),
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA shop TO {role};
             GRANT SELECT ON shop.migration TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON shop.session TO {role}"
        ),
    )
    .await;
    let pool = pool(1, &database.username(role.as_str()));
    Sessions::assert_all_work(&store(&pool).await, &Call::ALL).await;
    let refused = store_of("elsewhere", pool, Pooler::Transparent).migrate().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Other, "{refused}");
    assert!(refused.to_string().contains("role"), "{refused}");
}

/// A privileged role created the schema for the role of the application.
#[tokio::test]
async fn role_that_owns_the_schema() {
    let (database, role) = (database().await, namespace());
    execute(&pool(1, &database), &format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA shop AUTHORIZATION {role}")).await;
    Sessions::assert_all_work(&store(&pool(1, &database.username(role.as_str()))).await, &Call::ALL).await;
}

#[tokio::test]
async fn missing_schema_is_named() {
    let store = PostgresStore::new(pool(1, &database().await), shop());
    let (new, user) = (record(None, NOW), user("alice"));
    let create = store.create(CreateRequest::new(&new), NOW).await;
    for error in [
        store.load(&new.id(), Freshness::Latest).await.unwrap_err(),
        create.unwrap_err(),
        store.list_by_user(&user, NOW).await.unwrap_err(),
        store.delete_by_user(&user, None, NOW).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Other);
        assert!(error.to_string().contains("run the migrations"), "{error}");
    }
}
