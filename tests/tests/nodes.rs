//! Many nodes write one session at once.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::Harness as _;
use session_core::store::SessionStore;
use session_core::{Key, Login, Policy, SessionManager, UserId};
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::RedisStore;
use session_testbed::servers::{namespace, postgres_url, redis_url};
use session_testbed::{Client, Sqlite};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const COUNT: Key<u64> = Key::new("count");
/// How many nodes there are, and how often each increments.
const NODES: usize = 16;
const INCREMENTS: usize = 16;
/// For one increment. A busy machine takes seconds for all of them, and none promises to be faster.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every node increments as fast as it can; none fails, and none is lost.
async fn every_increment_of_every_node_succeeds(stores: Vec<Arc<dyn SessionStore>>) {
    let policy = Policy::standard().to_builder().store_timeout(PATIENCE).build().unwrap();
    let managers: Vec<SessionManager> =
        stores.into_iter().map(|store| SessionManager::builder(store).policy(policy.clone()).build()).collect();
    let mut client = Client::new(&managers[0]);
    let user = UserId::new("alice").unwrap();
    client.request(async |session| session.login(Login::new(user.clone()))).await.unwrap();
    let token = client.token().unwrap().to_owned();

    let start = Arc::new(Barrier::new(NODES));
    let mut nodes = JoinSet::new();
    for manager in &managers {
        let (start, mut client) = (Arc::clone(&start), Client::new(manager));
        client.set_token(&token);
        nodes.spawn(async move {
            start.wait().await;
            let mut failures = Vec::new();
            for _ in 0..INCREMENTS {
                let outcome = client.request(async |session| session.update(COUNT, |count| *count += 1)).await;
                failures.extend(outcome.err().map(|error| error.to_string()));
            }
            failures
        });
    }
    let failures = nodes.join_all().await.concat();
    assert!(failures.is_empty(), "{} of {} failed: {failures:?}", failures.len(), NODES * INCREMENTS);
    client
        .request(async |session| {
            assert_eq!(session.get(COUNT)?, Some((NODES * INCREMENTS) as u64));
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_nodes_increment_one_session_on_redis() {
    let (url, application) = (redis_url().await.unwrap(), namespace());
    let mut stores: Vec<Arc<dyn SessionStore>> = Vec::new();
    for _ in 0..NODES {
        stores.push(Arc::new(RedisStore::connect(&url, application.clone()).await.unwrap()));
    }
    every_increment_of_every_node_succeeds(stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_nodes_increment_one_session_on_postgres() {
    let (url, application) = (postgres_url().await.unwrap(), namespace());
    let mut stores: Vec<Arc<dyn SessionStore>> = Vec::new();
    for _ in 0..NODES {
        let pool = recommended_pool_options().max_connections(4).connect(&url).await.unwrap();
        let store = PostgresStore::new(pool, application.clone());
        store.migrate().await.unwrap();
        stores.push(Arc::new(store));
    }
    every_increment_of_every_node_succeeds(stores).await;
}

/// As many processes with one file.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_nodes_increment_one_session_on_sqlite() {
    let (backend, application) = (Sqlite::default(), namespace());
    let mut stores = Vec::new();
    for _ in 0..NODES {
        stores.push(backend.open(&application).await.unwrap());
    }
    every_increment_of_every_node_succeeds(stores).await;
}
