//! A deployment that changes the format of records: half of the servers write the format before, half the newest.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use session_conformance::Harness as _;
use session_core::store::{Freshness, SessionStore};
use session_core::{
    Assurance, DeleteOutcome, Key, Login, Policy, RecordFormat, SessionId, SessionManager, StepUp, UserId,
};
use session_moka::MokaStore;
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::RedisStore;
use session_testbed::servers::{namespace, postgres_url, redis_url};
use session_testbed::{Client, Sqlite};

const COUNT: Key<u64> = Key::new("count");

async fn two_formats_are_written_side_by_side(stores: [impl SessionStore + 'static; 2]) {
    let mut formats = RecordFormat::ALL.into_iter();
    let [old, new] = stores.map(|store| {
        let store: Arc<dyn SessionStore> = Arc::new(store);
        let policy = Policy::standard().to_builder().record_format(formats.next().unwrap()).build().unwrap();
        (SessionManager::builder(Arc::clone(&store)).policy(policy).build(), store)
    });
    let user = UserId::new("alice").unwrap();
    let mut ids = Vec::new();
    for (first, second) in [(&old, &new), (&new, &old)] {
        let mut client = Client::new(&first.0);
        client.request(async |session| session.login(Login::new(user.clone()).method("pwd"))).await.unwrap();
        let token = client.token().unwrap().to_owned();
        let mut writes = 0;
        for (node, store) in [first, second, first, second] {
            let mut client = Client::new(node);
            client.set_token(&token);
            client.request(async |session| session.update(COUNT, |count| *count += 1)).await.unwrap();
            writes += 1;
            let id = client.request(async |session| Ok((session.get(COUNT)?, session.id()))).await.unwrap();
            assert_eq!(id.0, Some(writes));
            let record = store.load(&id.1.unwrap(), Freshness::Latest).await.unwrap().unwrap();
            assert_eq!(record.format, node.policy().record_format());
            assert_eq!(record.summary.authentication.unwrap().strongest().level, Assurance::Aal1);
        }
        // A step-up survives what the other server writes.
        let mut client = Client::new(&first.0);
        client.set_token(&token);
        let step_up = StepUp::new(user.clone()).method("otp").level(Assurance::Aal2);
        client.request(async |session| session.step_up(step_up.clone())).await.unwrap();
        let token = client.token().unwrap().to_owned();
        let mut client = Client::new(&second.0);
        client.set_token(&token);
        client.request(async |session| session.update(COUNT, |count| *count += 1)).await.unwrap();
        let level = client.request(async |session| Ok(session.authentication().unwrap().strongest().level)).await;
        assert_eq!(level.unwrap(), Assurance::Aal2);
        ids.extend(client.request(async |session| Ok(session.id())).await.unwrap());
    }
    for (node, _) in [&old, &new] {
        let mut listed: Vec<SessionId> = node.list(&user).await.unwrap().iter().map(|session| session.id).collect();
        listed.sort_unstable();
        ids.sort_unstable();
        assert_eq!(listed, ids);
        assert_eq!(node.count().await.unwrap().sessions, 2);
    }
    assert_eq!(old.0.revoke(&user, &ids[0]).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(old.0.revoke_all(&user).await.unwrap(), 1);
    assert_eq!(new.0.list(&user).await.unwrap().len(), 0);
}

#[tokio::test]
async fn two_formats_are_written_side_by_side_on_redis() {
    let (url, namespace) = (redis_url().await.unwrap(), namespace());
    let open = async || RedisStore::connect(&url, namespace.clone()).await.unwrap();
    two_formats_are_written_side_by_side([open().await, open().await]).await;
}

#[tokio::test]
async fn two_formats_are_written_side_by_side_on_postgres() {
    let (url, namespace) = (postgres_url().await.unwrap(), namespace());
    let open = async || {
        let pool = recommended_pool_options().max_connections(2).connect(&url).await.unwrap();
        let store = PostgresStore::new(pool, namespace.clone());
        store.migrate().await.unwrap();
        store
    };
    two_formats_are_written_side_by_side([open().await, open().await]).await;
}

#[tokio::test]
async fn two_formats_are_written_side_by_side_on_sqlite() {
    let (backend, namespace) = (Sqlite::default(), namespace());
    let open = async || backend.open(&namespace).await.unwrap();
    two_formats_are_written_side_by_side([open().await, open().await]).await;
}

#[tokio::test]
async fn two_formats_are_written_side_by_side_in_memory() {
    let store = MokaStore::new();
    two_formats_are_written_side_by_side([store.clone(), store]).await;
}
