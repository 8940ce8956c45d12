//! What the server tells of changes, and what happens when it cannot.

use std::task::{Context, Waker};
use std::time::Duration;

use session_core::store::{CreateRequest, Feed as _, FeedEvent, FollowedFeed, SessionStore};
use session_core::{DeleteOutcome, Login, Policy, SessionManager, StoreErrorKind};
use session_postgres::{FeedError, Pooler, PostgresStore};
use session_testbed::Log;
use session_testbed::feeds::{BEAT, assert_every_change_is_told, changed, ended, lost, told, told_of};
use session_testbed::records::{NOW, insert, record, shop, user};
use session_testbed::servers::PgBouncer;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener};

use crate::common::{database, execute, number, options, own_server, pool, server, store};

/// A store that publishes.
async fn publishing(pool: &PgPool) -> PostgresStore {
    let store = PostgresStore::builder(pool.clone(), shop()).publish_changes().build();
    store.migrate().await.unwrap();
    store
}

/// And what follows it already.
async fn following(options: &PgConnectOptions) -> (PostgresStore, FollowedFeed) {
    let store = publishing(&pool(8, options)).await;
    let mut feed = store.feed().unwrap();
    assert_eq!(told(&mut feed).await, [FeedEvent::Lost], "what was read before may be outdated");
    (store, feed)
}

#[tokio::test]
async fn every_change_is_told() {
    let (store, mut feed) = following(&database().await).await;
    assert_every_change_is_told(&store, &mut feed).await;
    // By an earlier call, whose outcome is not known; or it is another's.
    let session = record(Some(&user("alice")), NOW);
    assert_eq!(store.delete(&session.id(), session.user()).await.unwrap(), DeleteOutcome::Absent);
    assert_eq!(told(&mut feed).await, [FeedEvent::Changed { id: session.id(), version: None }]);
}

/// A hundred ids are more than one notification holds.
#[tokio::test]
async fn all_sessions_of_a_user_are_told_before_the_answer() {
    let options = database().await;
    let (store, mut feed) = following(&options).await;
    let alice = user("alice");
    for _ in 0..400 {
        insert(&store, &record(Some(&alice), NOW)).await;
    }
    assert_eq!(told_of(&mut feed, 400).await.len(), 400);
    let mut listener = PgListener::connect_with(&pool(1, &options)).await.unwrap();
    listener.listen("shop").await.unwrap();
    let deleted = store.delete_by_user(&alice, None, NOW).await.unwrap().ids();
    // Whoever asks now has been told.
    sqlx::raw_sql("SELECT 1").execute(&mut listener).await.unwrap();
    let mut length = 0;
    while let Some(told) = listener.next_buffered() {
        length += told.payload().len();
    }
    assert_eq!(length, 400 * 23);
    let mut ids = told(&mut feed).await;
    let by_id = |event: &FeedEvent| if let FeedEvent::Ended { id } = event { Some(*id) } else { None };
    ids.sort_unstable_by_key(by_id);
    let mut expected: Vec<_> = deleted.into_iter().map(ended).collect();
    expected.sort_unstable_by_key(by_id);
    assert!(ids == expected, "{} were told", ids.len());
}

/// Each returns when it was told: a logout, a login that replaces, a new token.
#[tokio::test]
async fn a_revocation_returns_when_it_was_told() {
    let options = database().await;
    let (store, _feed) = following(&options).await;
    let mut listener = PgListener::connect_with(&pool(1, &options)).await.unwrap();
    listener.listen("shop").await.unwrap();
    let manager = SessionManager::new(store, Policy::standard());
    let session = manager.open(&manager.read_cookie([])).await.unwrap();
    let changes: [(&str, char, &dyn Fn()); 4] = [
        ("login", 'c', &|| session.login(Login::new(user("alice"))).unwrap()),
        ("another login", 'e', &|| session.login(Login::new(user("bob"))).unwrap()),
        ("a new token", 'c', &|| session.regenerate().unwrap()),
        ("logout", 'e', &|| session.logout().unwrap()),
    ];
    for (what, kind, change) in changes {
        change();
        manager.commit(&session).await.unwrap();
        // That of a login that ends nobody is only told soon.
        if what != "login" {
            sqlx::raw_sql("SELECT 1").execute(&mut listener).await.unwrap();
            let heard: String =
                std::iter::from_fn(|| listener.next_buffered()).map(|told| told.payload().to_owned()).collect();
            assert!(heard.contains(kind), "{what}: {heard}");
        }
        while listener.next_buffered().is_some() {}
    }
}

#[tokio::test]
async fn who_does_not_publish_tells_nobody_and_cannot_follow() {
    let options = database().await;
    let (_, mut feed) = following(&options).await;
    let silent = store(&pool(4, &options)).await;
    insert(&silent, &record(None, NOW)).await;
    assert_eq!(told(&mut feed).await, []);
    assert_eq!(silent.feed().unwrap_err(), FeedError::NotPublished);
}

#[tokio::test]
async fn what_breaks_the_connection_is_lost_and_then_told_again() {
    let own = own_server().await;
    let (store, mut feed) = following(&options(&own)).await;
    for round in 0..3 {
        let other = pool(1, &options(&own));
        match round {
            0 => {
                execute(
                    &other,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query IN ('SELECT 1', 'LISTEN \"shop\"')",
                )
                .await;
            }
            1 => {
                own.stop().await.unwrap();
                own.start().await.unwrap();
            }
            // Not the connection, but what is heard on it.
            _ => execute(&other, "NOTIFY shop, '?'").await,
        }
        lost(&mut feed).await;
        let _ = told(&mut feed).await;
        let session = record(Some(&user("alice")), NOW);
        while store.create(CreateRequest::new(&session), NOW).await.is_err() {}
        // After an operation that has failed, it may be said that something was missed.
        let mut events = Vec::new();
        while events.is_empty() {
            events = told_of(&mut feed, 1).await;
            events.retain(|event| *event != FeedEvent::Lost);
        }
        assert_eq!(events, [changed(&session)], "round {round}");
    }
}

/// Nobody knows whether it was done: the others hear that they may have missed something.
#[tokio::test]
async fn an_operation_without_an_outcome_is_lost() {
    let options = database().await;
    let pool = pool(8, &options);
    let (_, mut feed) = following(&options).await;
    let hasty =
        PostgresStore::builder(pool.clone(), shop()).publish_changes().operation_timeout(Duration::from_millis(50));
    let hasty = hasty.build();
    let session = record(Some(&user("alice")), NOW);
    insert(&hasty, &session).await;
    assert_eq!(told_of(&mut feed, 1).await, [changed(&session)]);
    let mut lock = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE shop.session").execute(&mut *lock).await.unwrap();
    let error = hasty.delete(&session.id(), session.user()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Timeout);
    lost(&mut feed).await;
    // And again, when it can no longer be executed.
    lost(&mut feed).await;
    lock.rollback().await.unwrap();
}

/// PgBouncer gives the connection that listens to others, who would not understand what they hear.
#[tokio::test]
async fn behind_a_pooler_in_transaction_mode_nobody_listens() {
    for pooler in [Pooler::Transaction, Pooler::Transparent] {
        // With one connection to the server, its statements are all prepared where they are executed.
        let settings = [("ignore_startup_parameters", "extra_float_digits"), ("default_pool_size", "1")];
        let bouncer = PgBouncer::launch(server().await, &settings).await.unwrap();
        let (behind, options): (_, PgConnectOptions) = (database().await, bouncer.url().parse().unwrap());
        let options = options.database(behind.get_database().unwrap());
        let pool = pool(8, &options);
        let store = PostgresStore::builder(pool.clone(), shop()).publish_changes().pooler(pooler).build();
        store.migrate().await.unwrap();
        let (log, _guard) = Log::keep();
        let mut feed = store.feed().unwrap();
        lost(&mut feed).await;
        let log = log.take().join("\n");
        assert!(log.contains("ERROR") && log.contains("pooler in transaction mode"), "{log}");
        let next = std::pin::pin!(feed.next(BEAT)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(next.is_pending(), "{next:?}");
        assert_eq!(number(&pool, "SELECT count(*) FROM pg_listening_channels()").await, 0);
    }
}
