//! Replies that are lost on the way, and callers that are cancelled before theirs arrives.

use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, SessionStore, UpdateOutcome};
use session_core::{LimitPolicy, StoreErrorKind};
use session_redis::RedisStore;
use session_testbed::calls::Sessions;
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::records::{NOW, insert, limit, load, next, record, shop, user};
use session_testbed::servers::Redis;

use crate::faults::{open, url};
use crate::support::{CALLS, eventually, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_repeated_when_its_reply_is_lost() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = open(&url(&proxy)).await;
    // Loads the scripts: NOSCRIPT is not the reply that is to be lost.
    Sessions::assert_all_work(&store, CALLS).await;
    for call in CALLS {
        let sessions = Sessions::store(&store).await;
        proxy.cut_one_reply(1, Mode::Pass);
        let answer = sessions.call(&store, *call).await.unwrap();
        assert!(call.answers().contains(&answer.as_str()), "{call:?}: {answer}");
        sessions.assert_done(&store, *call).await;
    }
}

/// The reply to an update is lost, and another update comes before it is repeated: that must not be reported as a
/// conflict, because core would then apply the change a second time.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_may_have_been_executed_is_not_a_conflict() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let here = RedisStore::connect(&url(&proxy), shop()).await.unwrap();
    let there = open(&server.url()).await;
    let first = record(None, NOW);
    insert(&there, &first).await;
    let second = next(&first);
    assert_eq!(there.update(&second, first.version, NOW).await.unwrap(), UpdateOutcome::Applied);

    let third = next(&second);
    proxy.cut_one_reply(0, Mode::BlackHole);
    let update = {
        let (here, third, expected) = (here.clone(), third.clone(), second.version);
        tokio::spawn(async move { here.update(&third, expected, NOW).await })
    };
    eventually("it is executed", async || load(&there, &first.id()).await.unwrap().version == third.version).await;
    assert_eq!(there.update(&next(&third), third.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    proxy.reply_cut().await;
    proxy.set(Mode::Pass);
    let error = update.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    // Without a disconnect, a conflict is a conflict.
    assert_eq!(here.update(&next(&third), third.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
}

/// The reply to a login is lost, and the server is full when it is repeated: that does not say that nothing was stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_may_have_been_executed_is_not_refused() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let here = RedisStore::connect(&url(&proxy), shop()).await.unwrap();
    let there = open(&server.url()).await;
    let login = record(Some(&user("alice")), NOW);
    // Loads the script.
    insert(&here, &record(Some(&user("bob")), NOW)).await;
    proxy.cut_one_reply(0, Mode::BlackHole);
    let create = {
        let login = login.clone();
        tokio::spawn(async move { here.create(CreateRequest::new(&login), NOW).await })
    };
    eventually("it is executed", async || load(&there, &login.id()).await.is_some()).await;
    run(&server, "CONFIG SET maxmemory 1").await;
    proxy.reply_cut().await;
    proxy.set(Mode::Pass);
    let error = create.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_requests_leave_requests_and_replies_in_step() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = open(&server.url()).await;
    let mut sessions = Vec::new();
    for _ in 0..64 {
        let session = record(None, NOW);
        insert(&store, &session).await;
        sessions.push(session.id());
    }
    for round in 0..50 {
        let tasks = sessions.iter().enumerate().map(|(i, id)| {
            let (store, id) = (store.clone(), *id);
            tokio::spawn(async move {
                // Some are cancelled before they are sent, some before the reply, some not at all.
                let limit = Duration::from_micros((i as u64 * 7 + round) % 400);
                if let Ok(loaded) = tokio::time::timeout(limit, store.load(&id, Freshness::Latest)).await {
                    assert_eq!(loaded.unwrap().unwrap().id(), id);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    for id in &sessions {
        assert_eq!(load(&store, id).await.unwrap().id(), *id);
    }
}

/// The reply to a login at the session limit is lost: who asks again is told all the same which sessions it has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_repeated_names_the_sessions_that_it_evicted() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let (here, there) = (RedisStore::builder(&url(&proxy), shop()), open(&server.url()).await);
    let here = here.operation_timeout(Duration::from_secs(30)).connect().await.unwrap();
    let alice = user("alice");
    let [first, second, login] = [(); 3].map(|()| record(Some(&alice), NOW));
    for session in [&first, &second] {
        insert(&here, session).await;
    }
    // The first request asks who is there, the second one evicts.
    let before = proxy.round_trips();
    proxy.set(Mode::Delay(Duration::from_millis(300)));
    let create = {
        let login = login.clone();
        tokio::spawn(async move {
            here.create(CreateRequest::new(&login).within(limit(1, LimitPolicy::EvictOldest)), NOW).await
        })
    };
    eventually("the second request", async || proxy.round_trips() >= before + 2).await;
    proxy.cut_one_reply(0, Mode::Pass);
    let CreateOutcome::Created { mut evicted } = create.await.unwrap().unwrap() else { panic!("not created") };
    evicted.sort_unstable();
    let mut expected = [first.id(), second.id()];
    expected.sort_unstable();
    assert_eq!(evicted, expected);
    assert!(proxy.round_trips() > before + 3, "it was asked again, over a new connection");
    assert!(load(&there, &login.id()).await.is_some());
}
