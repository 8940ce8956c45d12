//! RESP2 behind Sentinel, where a lost connection is noticed by the request that meets it.

use std::time::Duration;

use session_core::store::{Freshness, SessionStore};
use session_redis::RedisStore;
use session_testbed::calls::Sessions;
use session_testbed::records::{NOW, insert, record, shop};
use session_testbed::servers::RedisSentinel;

use crate::support::{CALLS, cut_clients, eventually};

/// An administrator has taken `HELLO`: the store connects with RESP2, and follows the sentinels to another primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_hello_is_used_and_followed() {
    let set = RedisSentinel::launch(&[("rename-command", "HELLO \"\"")]).await.unwrap();
    let open = async |url: String| {
        RedisStore::builder(&url, shop()).operation_timeout(Duration::from_millis(600)).connect().await.unwrap()
    };
    let stores = [open(set.url()).await, open(format!("{}?protocol=resp2", set.url())).await];
    let telling = RedisStore::builder(&format!("{}?protocol=resp2", set.url()), shop()).publish_changes();
    let error = telling.connect().await.unwrap().feed().unwrap_err();
    assert!(error.to_string().contains("RESP2"), "{error}");
    for store in &stores {
        Sessions::assert_all_work(store, CALLS).await;
        for _ in 0..3 {
            cut_clients(set.primary().await.unwrap()).await;
            Sessions::assert_all_work(store, CALLS).await;
        }
    }
    let session = record(None, NOW);
    insert(&stores[0], &session).await;
    set.settled().await.unwrap();
    let old = set.primary().await.unwrap();
    old.kill9().await.unwrap();
    let new = set.primary().await.unwrap();
    assert_ne!(new.port(), old.port());
    for store in &stores {
        let found = async || matches!(store.load(&session.id(), Freshness::Latest).await, Ok(Some(_)));
        eventually("the store has found the new primary", found).await;
        Sessions::assert_all_work(store, CALLS).await;
    }
}
