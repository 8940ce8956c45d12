//! Several applications on one server.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use session_core::store::{CreateRequest, SessionStore};
use session_core::{DeleteOutcome, LimitPolicy, StoreErrorKind};
use session_redis::RedisStore;
use session_testbed::calls::Sessions;
use session_testbed::records::{NOW, application, created, insert, limit, load, record, shop, user};
use session_testbed::servers::Redis;

use crate::support::{CALLS, keys, run};

/// Names of which one is the beginning of another, or would match it if it were a pattern.
const NAMES: [&str; 7] = ["s", "shop", "shop-", "shop-b", "shop_b", "shop0", "shop-0000"];

async fn stores(server: &Redis) -> Vec<RedisStore> {
    let mut stores = Vec::new();
    for name in NAMES {
        stores.push(RedisStore::connect(&server.url(), application(name)).await.unwrap());
    }
    stores
}

#[tokio::test]
async fn applications_whose_names_are_alike_are_apart() {
    let server = Redis::launch(&[]).await.unwrap();
    let (stores, alice) = (stores(&server).await, user("alice"));
    // The same id for all of them, under a limit of one.
    let session = record(Some(&alice), NOW);
    for store in &stores {
        let login = CreateRequest::new(&session).within(limit(1, LimitPolicy::Reject));
        assert_eq!(store.create(login, NOW).await.unwrap(), created());
    }
    for (name, store) in NAMES.iter().zip(&stores) {
        assert_eq!(store.count(NOW).await.unwrap().sessions, 1, "{name}");
        let page = store.list_all(None, NonZeroU32::MAX, NOW).await.unwrap();
        assert_eq!(page.listing.sessions.len(), 1, "{name}");
        let keys: BTreeSet<String> = keys(&server).await.into_iter().map(|(key, _)| key).collect();
        let own = |key: &&String| key.starts_with(&format!("{{{name}:{:04x}}}:", alice.shard()));
        assert_eq!(keys.iter().filter(own).count(), 2, "the session and the index of {name}, among {keys:?}");
    }
    for (turn, store) in stores.iter().enumerate() {
        assert_eq!(store.delete_by_user(&alice, None, NOW).await.unwrap().ids(), [session.id()]);
        for other in &stores[turn + 1..] {
            assert_eq!(load(other, &session.id()).await.unwrap().version, session.version, "after {}", NAMES[turn]);
        }
    }
}

/// What is left of a session that ended keeps its id from being taken again in its own application only.
#[tokio::test]
async fn a_session_that_ended_is_in_nobodys_way() {
    let server = Redis::launch(&[]).await.unwrap();
    let here = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let there = RedisStore::connect(&server.url(), application("shop-b")).await.unwrap();
    let session = record(Some(&user("alice")), NOW);
    assert_eq!(here.delete(&session.id(), Some(&user("alice"))).await.unwrap(), DeleteOutcome::Absent);
    assert_ne!(here.create(CreateRequest::new(&session), NOW).await.unwrap(), created());
    assert_eq!(there.create(CreateRequest::new(&session), NOW).await.unwrap(), created());
}

/// A position among the keys of the server would be one for every application.
#[tokio::test]
async fn a_cursor_is_of_one_application() {
    let server = Redis::launch(&[]).await.unwrap();
    let stores = stores(&server).await;
    for _ in 0..300 {
        insert(&stores[1], &record(None, NOW)).await;
    }
    let about = NonZeroU32::new(50).unwrap();
    let cursor = stores[1].list_all(None, about, NOW).await.unwrap().next.unwrap();
    for (turn, store) in stores.iter().enumerate() {
        let page = store.list_all(Some(&cursor), about, NOW).await.map_err(|error| error.kind());
        let refused = matches!(page, Err(StoreErrorKind::InvalidCursor));
        assert_eq!(refused, turn != 1, "{}: {page:?}", NAMES[turn]);
    }
}

/// The documented rights of one application are no rights to the sessions of another.
#[tokio::test]
async fn rights_are_those_of_one_application() {
    let server = Redis::launch(&[]).await.unwrap();
    run(&server, "ACL SETUSER app on >hunter2 resetkeys ~{shop:* +@all").await;
    let url = format!("redis://app:hunter2@{}", server.address());
    let own = RedisStore::connect(&url, shop()).await.unwrap();
    Sessions::assert_all_work(&own, CALLS).await;
    for name in ["s", "shop-", "shop-b", "shop0"] {
        let session = record(None, NOW);
        insert(&RedisStore::connect(&server.url(), application(name)).await.unwrap(), &session).await;
        let other = RedisStore::connect(&url, application(name)).await.unwrap();
        let error = other.delete(&session.id(), None).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Other, "{name}: {error}");
    }
}
