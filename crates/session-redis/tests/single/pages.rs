//! All sessions of a server, among other keys, and what a page costs; a server that is replaced between two pages.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use session_core::store::{Cursor, SessionStore};
use session_core::{SessionId, StoreErrorKind};
use session_redis::RedisStore;
use session_testbed::proxy::Proxy;
use session_testbed::records::{NOW, application, insert, record, shop, user};
use session_testbed::servers::Redis;

use crate::faults::url;
use crate::support::{eventually, run, session_key, with_session};

fn about(limit: u32) -> NonZeroU32 {
    NonZeroU32::new(limit).unwrap()
}

async fn all_behind(store: &RedisStore, mut cursor: Option<Cursor>, limit: u32) -> BTreeSet<SessionId> {
    let mut seen = BTreeSet::new();
    loop {
        let page = store.list_all(cursor.as_ref(), about(limit), NOW).await.unwrap();
        seen.extend(page.listing.sessions.iter().map(|session| session.id));
        cursor = page.next;
        if cursor.is_none() {
            return seen;
        }
    }
}

/// The cursor of one server means nothing to the next: its own cursors are other numbers.
#[tokio::test]
async fn pages_of_another_server_begin_anew() {
    let [first, second] = [Redis::launch(&[]).await.unwrap(), Redis::launch(&[]).await.unwrap()];
    let stores = [
        RedisStore::connect(&first.url(), shop()).await.unwrap(),
        RedisStore::connect(&second.url(), shop()).await.unwrap(),
    ];
    let mut ids = BTreeSet::new();
    for _ in 0..300 {
        let session = record(None, NOW);
        insert(&stores[0], &session).await;
        insert(&stores[1], &session).await;
        ids.insert(session.id());
    }
    let page = stores[0].list_all(None, about(150), NOW).await.unwrap();
    let cursor = page.next.unwrap();
    assert!(all_behind(&stores[0], Some(cursor.clone()), 150).await.len() < 300, "what was seen is not seen again");
    assert_eq!(all_behind(&stores[1], Some(cursor), 150).await, ids);
}

/// A connection that may not ask which server it is goes on all the same.
#[tokio::test]
async fn pages_need_no_info() {
    let server = Redis::launch(&[]).await.unwrap();
    run(&server, "ACL SETUSER app on >hunter2 ~* +@all -info").await;
    let store = RedisStore::connect(&format!("redis://app:hunter2@{}", server.address()), shop()).await.unwrap();
    for _ in 0..300 {
        insert(&store, &record(None, NOW)).await;
    }
    let page = store.list_all(None, about(150), NOW).await.unwrap();
    let first: BTreeSet<_> = page.listing.sessions.iter().map(|session| session.id).collect();
    let rest = all_behind(&store, page.next, 150).await;
    assert!(first.len() < 300 && rest.len() < 300, "{} and {}", first.len(), rest.len());
    assert_eq!(first.union(&rest).count(), 300);
}

/// Each user has one session: half of the keys are indexes.
#[tokio::test]
async fn a_page_takes_one_round_trip() {
    const USERS: usize = 2000;
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = RedisStore::connect(&url(&proxy), shop()).await.unwrap();
    for n in 0..USERS {
        insert(&store, &record(Some(&user(&format!("user {n}"))), NOW)).await;
    }
    let _ = store.list_all(None, about(1), NOW).await.unwrap();
    eventually("the maxmemory-policy was asked for", async || {
        run(&server, "INFO commandstats").await.text().contains("cmdstat_config|get:calls=")
    })
    .await;
    let (mut seen, mut pages, mut cursor) = (BTreeSet::new(), 0, None);
    loop {
        let before = proxy.round_trips();
        let page = store.list_all(cursor.as_ref(), about(1000), NOW).await.unwrap();
        assert_eq!(proxy.round_trips() - before, 1, "round trips of page {pages}");
        assert!(page.listing.sessions.len() <= 1100, "{} sessions", page.listing.sessions.len());
        seen.extend(page.listing.sessions.iter().map(|session| session.id));
        (pages, cursor) = (pages + 1, page.next);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), USERS);
    assert!(pages <= 5, "{pages} pages of 4000 keys");
}

#[tokio::test]
async fn a_cursor_that_leads_nowhere_is_refused() {
    let (_server, store, ..) = with_session().await;
    for place in ["16384..0", "65535..0", "65536..0", "-1..0", "0..", "0..x", "0.a-b.0", "0..0.0", "0.0"] {
        let text = format!("shop.{place}");
        let error = store.list_all(Some(&Cursor::new(&*text)), about(10), NOW).await.expect_err(&text);
        assert_eq!(error.kind(), StoreErrorKind::InvalidCursor, "{text}: {error}");
    }
    assert!(store.list_all(Some(&Cursor::new("shop.16383..0")), about(10), NOW).await.unwrap().next.is_none());
}

#[tokio::test]
async fn other_keys_are_not_taken_for_sessions() {
    let (server, store, alice, session) = with_session().await;
    let id = session.id();
    let other = RedisStore::connect(&server.url(), application("shop-2")).await.unwrap();
    let theirs = record(None, NOW);
    insert(&other, &theirs).await;
    for key in ["{shop:0000}:s:", "{shop:0000}:s:x", "{shop:0000}:s:CgoKCgoKCgoKCgoKCgoKCg", "shop"] {
        run(&server, &format!("SET {key} x")).await;
    }
    run(&server, &format!("RPUSH {{shop:0001}}:s:{id} x")).await;
    run(&server, &format!("SET {}:copy x", session_key(&alice, &id))).await;
    assert_eq!(all_behind(&store, None, 1000).await, BTreeSet::from([id]));
    assert_eq!(all_behind(&other, None, 1000).await, BTreeSet::from([theirs.id()]));
    assert_eq!(store.count(NOW).await.unwrap().sessions, 1);
    assert_eq!(other.count(NOW).await.unwrap().sessions, 1);
}

/// 20 000 sessions among 20 000 other keys: some pages are short, none takes long, and the count is an estimate.
#[tokio::test]
async fn of_many_keys_a_sample_is_counted() {
    let (server, store, alice, session) = with_session().await;
    assert!(store.count(NOW).await.unwrap().is_exact);
    let fill = "local value = redis.call('GET', KEYS[1])
        for i = 1, 20000 do
            redis.call('SET', 'other:' .. i, i)
            redis.call('SET', string.format('{shop:4141}:s:QUFBQUFBQUFBQ%07dAA', i), value)
        end";
    server.command(&["EVAL", fill, "1", &session_key(&alice, &session.id())]).await.unwrap();
    let count = store.count(NOW).await.unwrap();
    assert!(!count.is_exact && (15_000..25_000).contains(&count.sessions), "{count:?}");
    let seen = all_behind(&store, None, 1000).await;
    assert!(seen.contains(&session.id()) && seen.len() > 19_000, "{} of 20001", seen.len());
    let page = store.list_all(None, about(u32::MAX), NOW).await.unwrap();
    assert!(page.next.is_some() && page.listing.sessions.len() < 2_000, "{}", page.listing.sessions.len());
    let end = NOW + std::time::Duration::from_secs(24 * 60 * 60);
    assert_eq!(store.count(end).await.unwrap().sessions, 0);
    let user = user("nobody");
    assert!(store.list_by_user(&user, NOW).await.unwrap().sessions.is_empty());
}
