//! Settings of the server, the database and the pooler.

use std::num::NonZeroU32;

use session_core::LimitPolicy;
use session_core::store::{CreateRequest, Freshness, SessionStore};
use session_postgres::{Pooler, PostgresStore};
use session_testbed::calls::{Call, Sessions};
use session_testbed::records::{NOW, insert, limit, record, shop, user};
use session_testbed::servers::PgBouncer;
use sqlx::postgres::PgConnectOptions;

use crate::common::{database, number, pool, server, store, store_behind};

/// After the lock, the transaction would still see the old count: refused instead of wrong.
#[tokio::test]
async fn other_isolation_levels_are_refused() {
    let database = database().await;
    store(&pool(1, &database)).await;
    for level in ["repeatable read", "serializable"] {
        let store =
            PostgresStore::new(pool(1, &database.clone().options([("default_transaction_isolation", level)])), shop());
        let alice = user("alice");
        let new = record(Some(&alice), NOW);
        let login = CreateRequest::new(&new).within(limit(1, LimitPolicy::Reject));
        let error = store.create(login, NOW).await.unwrap_err();
        assert!(error.to_string().contains("READ COMMITTED"), "{error}");
        let error = store.delete_by_user(&alice, None, NOW).await.unwrap_err();
        assert!(error.to_string().contains("READ COMMITTED"), "{error}");
        assert!(store.load(&new.id(), Freshness::Latest).await.unwrap().is_none());
    }
}

/// A way to the database through PgBouncer in transaction mode, with fewer connections to the server than clients.
pub(crate) async fn through_pgbouncer(database: &PgConnectOptions) -> (PgBouncer, PgConnectOptions) {
    let settings = [("ignore_startup_parameters", "extra_float_digits"), ("default_pool_size", "2")];
    let bouncer = PgBouncer::launch(server().await, &settings).await.unwrap();
    let options = database.clone().port(bouncer.port());
    (bouncer, options)
}

/// The asynchronous commit of a touch ends with its transaction.
#[tokio::test]
async fn asynchronous_commit_ends_with_the_touch() {
    let database = database().await;
    let (_bouncer, bounced) = through_pgbouncer(&database).await;
    for (pooler, options) in [(Pooler::Transparent, database), (Pooler::Transaction, bounced)] {
        let pool = pool(1, &options);
        let store = store_behind(&pool, pooler).await;
        let record = record(None, NOW);
        insert(&store, &record).await;
        let _ = store.touch(&record.id(), None, NOW).await.unwrap();
        let _ = store.delete_expired(NOW, NonZeroU32::MIN).await.unwrap();
        let on = "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'on'";
        assert_eq!(number(&pool, on).await, 1);
    }
}

/// PgBouncer rejects a startup parameter that sqlx sends, unless one of the two is configured otherwise.
#[tokio::test]
async fn pgbouncer_without_extra_float_digits() {
    let database = database().await;
    let bouncer = PgBouncer::launch(server().await, &[]).await.unwrap();
    let options = database.port(bouncer.port());
    let refused = PostgresStore::new(pool(1, &options), shop()).migrate().await.unwrap_err();
    assert!(refused.to_string().contains("the pooler refused"), "{refused}");
    let store = store_behind(&pool(1, &options.extra_float_digits(None)), Pooler::Transaction).await;
    Sessions::assert_all_work(&store, &Call::ALL).await;
}
