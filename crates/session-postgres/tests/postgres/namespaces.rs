//! Several applications in one database.

use std::num::NonZeroU32;
use std::time::Duration;

use session_core::store::{CreateRequest, SessionStore};
use session_core::{LimitPolicy, StoreErrorKind};
use session_postgres::Pooler;
use session_testbed::calls::{Call, Sessions};
use session_testbed::records::{NOW, created, insert, limit, load, record, user};
use session_testbed::servers::namespace;
use sqlx::{Acquire as _, raw_sql};

use crate::common::{LONG_AGO, database, execute, number, pool, store, store_of};

/// Far longer than an operation takes, and shorter than the timeout of a store that waits for a lock.
const SOON: Duration = Duration::from_secs(10);

/// Key words, and names that mean something else without quotes. In one database, so that each is beside all others.
#[tokio::test]
async fn every_name_is_a_schema() {
    let database = database().await;
    let (longest, alike) = ("x".repeat(63), format!("{}y", "x".repeat(62)));
    let names =
        ["left", "user", "select", "session-demo", "a", "a-b", "a_b", "7", "1e9", "a--b", "null", &longest, &alike];
    for name in names {
        let store = store_of(name, pool(2, &database), Pooler::Transparent);
        store.migrate().await.unwrap();
        store.migrate().await.unwrap();
        Sessions::assert_all_work(&store, &Call::ALL).await;
        let owned = format!("SELECT count(*) FROM \"{name}\".session WHERE user_id = convert_to('alice', 'UTF8')");
        insert(&store, &record(Some(&user("alice")), NOW)).await;
        assert_eq!(number(&pool(1, &database), &owned).await, 1, "{name}");
    }
}

#[tokio::test]
async fn what_one_application_ends_another_keeps() {
    let database = database().await;
    let [here, there] = ["shop", "shop-b"].map(|name| store_of(name, pool(2, &database), Pooler::Transparent));
    let (alice, expired) = (user("alice"), record(None, LONG_AGO));
    let session = record(Some(&alice), NOW);
    for store in [&here, &there] {
        store.migrate().await.unwrap();
        let login = CreateRequest::new(&session).within(limit(1, LimitPolicy::Reject));
        assert_eq!(store.create(login, NOW).await.unwrap(), created());
        insert(store, &expired).await;
    }
    assert_eq!(here.delete_expired(NOW, NonZeroU32::MAX).await.unwrap(), 1);
    assert_eq!(here.delete_by_user(&alice, None, NOW).await.unwrap().ids(), [session.id()]);
    assert_eq!(here.count(NOW).await.unwrap().sessions, 0);
    assert_eq!(there.count(NOW).await.unwrap().sessions, 1);
    assert_eq!(number(&pool(1, &database), "SELECT count(*) FROM \"shop-b\".session").await, 2);
    assert!(load(&there, &session.id()).await.is_some());
}

/// A cursor is an id, which would mean something in every application.
#[tokio::test]
async fn a_cursor_is_of_one_application() {
    let database = database().await;
    let stores = ["a", "ab", "a-b"].map(|name| store_of(name, pool(2, &database), Pooler::Transparent));
    for store in &stores {
        store.migrate().await.unwrap();
        insert(store, &record(None, NOW)).await;
    }
    let one = NonZeroU32::MIN;
    let cursor = stores[0].list_all(None, one, NOW).await.unwrap().next.unwrap();
    assert_eq!(stores[0].list_all(Some(&cursor), one, NOW).await.unwrap().listing.sessions.len(), 0);
    for other in &stores[1..] {
        let error = other.list_all(Some(&cursor), one, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidCursor, "{error}");
    }
}

/// Advisory locks are those of the whole database.
#[tokio::test]
async fn a_login_waits_for_no_login_at_another_application() {
    let database = database().await;
    let own = pool(2, &database);
    store(&own).await;
    let there = store_of("shop-b", pool(2, &database), Pooler::Transparent);
    there.migrate().await.unwrap();

    let mut lock = own.begin().await.unwrap();
    let held = "SELECT shop.lock_users(convert_to('alice', 'UTF8'), NULL);
                SELECT pg_advisory_xact_lock(hashtextextended('\"shop\".migration', 0))";
    raw_sql(held).execute(lock.acquire().await.unwrap()).await.unwrap();
    let session = record(Some(&user("alice")), NOW);
    let login = CreateRequest::new(&session).within(limit(1, LimitPolicy::EvictOldest));
    let created = tokio::time::timeout(SOON, there.create(login, NOW)).await.expect("a login in time").unwrap();
    assert_eq!(created, session_testbed::records::created());
    let revoked = tokio::time::timeout(SOON, there.delete_by_user(&user("alice"), None, NOW)).await;
    assert_eq!(revoked.expect("a revocation in time").unwrap().ids(), [session.id()]);
    let third = store_of("shop-c", pool(2, &database), Pooler::Transparent);
    tokio::time::timeout(SOON, third.migrate()).await.expect("a migration in time").unwrap();

    // The locks are what they seem to be.
    let here = store_of("shop", pool(2, &database), Pooler::Transparent);
    let waits = here.create(CreateRequest::new(&session), NOW).await.unwrap_err();
    assert_eq!(waits.kind(), StoreErrorKind::Timeout, "{waits}");
}

/// The documented rights to one application are none to another.
#[tokio::test]
async fn rights_are_those_of_one_application() {
    let (database, role) = (database().await, namespace());
    let admin = pool(2, &database);
    let session = record(None, NOW);
    for name in ["shop", "shop-b"] {
        let store = store_of(name, admin.clone(), Pooler::Transparent);
        store.migrate().await.unwrap();
        insert(&store, &session).await;
    }
    let rights = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA shop TO {role}; GRANT SELECT ON shop.migration TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON shop.session TO {role}"
    );
    execute(&admin, &rights).await;
    let limited = pool(2, &database.username(role.as_str()));
    let own = store_of("shop", limited.clone(), Pooler::Transparent);
    own.migrate().await.unwrap();
    Sessions::assert_all_work(&own, &Call::ALL).await;
    let other = store_of("shop-b", limited, Pooler::Transparent);
    let error = other.delete(&session.id(), None).await.unwrap_err();
    assert!(error.to_string().contains("privilege"), "{error}");
}

/// A role with the name of the application would find its own tables no more: `search_path` begins with `"$user"`.
#[tokio::test]
async fn a_schema_that_would_hide_tables_is_refused() {
    let (database, role) = (database().await, namespace());
    let admin = pool(1, &database);
    let prepare = format!(
        "CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role};
         CREATE TABLE session (whose text); INSERT INTO session VALUES ('of the application');
         GRANT SELECT ON session TO {role};
         DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {role}', current_database()); END $$"
    );
    execute(&admin, &prepare).await;
    let own = pool(2, &database.clone().username(role.as_str()));
    let store = store_of(role.as_str(), own.clone(), Pooler::Transparent);
    let error = store.migrate().await.unwrap_err();
    assert!(error.to_string().contains("search_path"), "{error}");
    let schemas = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{role}'");
    assert_eq!(number(&own, &schemas).await, 0, "nothing is left");
    assert_eq!(number(&own, "SELECT count(*) FROM session WHERE whose = 'of the application'").await, 1);

    // Another name will do, and so will a schema that somebody made on purpose.
    store_of("shop", own.clone(), Pooler::Transparent).migrate().await.unwrap();
    assert_eq!(number(&own, "SELECT count(*) FROM session WHERE whose = 'of the application'").await, 1);
    execute(&admin, &format!("CREATE SCHEMA {role} AUTHORIZATION {role}")).await;
    store.migrate().await.unwrap();
    Sessions::assert_all_work(&store, &Call::ALL).await;
}
