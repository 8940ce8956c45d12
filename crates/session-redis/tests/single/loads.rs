//! Concurrent loads share a command, and nothing else.

use std::collections::HashSet;
use std::time::Instant;

use session_core::store::{Freshness, Record, SessionStore};
use session_core::{DeleteOutcome, SessionId, StoreError, StoreErrorKind};
use session_redis::RedisStore;
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::records::{NOW, insert, record, user};
use session_testbed::servers::Redis;
use tokio::task::JoinHandle;

use crate::faults::{MARGIN, TIMEOUT, open, url};
use crate::support::{eventually, run, session_key};

const MANY: usize = 64;

async fn insert_many(store: &RedisStore) -> Vec<SessionId> {
    let alice = user("alice");
    let mut ids = Vec::new();
    for _ in 0..MANY {
        let session = record(Some(&alice), NOW);
        insert(store, &session).await;
        ids.push(session.id());
    }
    ids
}

type Load = JoinHandle<Result<Option<Record>, StoreError>>;

fn loads(store: &RedisStore, ids: &[SessionId]) -> Vec<Load> {
    let spawn = |id: &SessionId| {
        let (store, id) = (store.clone(), *id);
        tokio::spawn(async move { store.load(&id, Freshness::Latest).await })
    };
    ids.iter().map(spawn).collect()
}

async fn all_are_there(store: &RedisStore, ids: &[SessionId]) {
    for (load, id) in loads(store, ids).into_iter().zip(ids) {
        assert_eq!(load.await.unwrap().unwrap().map(|stored| stored.id()), Some(*id));
    }
}

/// One thread: all of them begin before the first reply arrives.
#[tokio::test]
async fn concurrent_loads_are_coalesced() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = open(&url(&proxy)).await;
    let ids = insert_many(&store).await;
    let before = proxy.round_trips();
    all_are_there(&store, &ids).await;
    let trips = proxy.round_trips() - before;
    assert!(trips <= 8, "{trips} round trips for {MANY} loads");
}

/// One that does not exist, one that is corrupt, one that is loaded twice.
#[tokio::test]
async fn each_load_has_its_own_outcome() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = open(&server.url()).await;
    let (mut ids, alice) = (insert_many(&store).await, user("alice"));
    assert_eq!(store.delete(&ids[40], Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    ids[41] = ids[42];
    run(&server, &format!("SETRANGE {} 0 x", session_key(&alice, &ids[43]))).await;
    for (turn, load) in loads(&store, &ids).into_iter().enumerate() {
        match load.await.unwrap() {
            Ok(stored) => {
                assert_ne!(turn, 43);
                assert_eq!(stored.map(|stored| stored.id()), (turn != 40).then_some(ids[turn]), "{turn}");
            }
            Err(error) => assert_eq!((turn, error.kind()), (43, StoreErrorKind::Corrupt), "{error}"),
        }
    }
}

/// Those in flight, those in the queue, and the one that would have sent the queue.
#[tokio::test]
async fn cancelled_loads_do_not_affect_the_others() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = open(&server.url()).await;
    let ids = insert_many(&store).await;
    for round in 0..20 {
        let loads = loads(&store, &ids);
        for _ in 0..round % 4 {
            tokio::task::yield_now().await;
        }
        let gone: HashSet<usize> = (0..MANY).filter(|turn| (turn + round) % 3 > 0).collect();
        gone.iter().for_each(|turn| loads[*turn].abort());
        for (turn, load) in loads.into_iter().enumerate() {
            if !gone.contains(&turn) {
                assert_eq!(load.await.unwrap().unwrap().map(|stored| stored.id()), Some(ids[turn]));
            }
        }
    }
    all_are_there(&store, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_fails_each_load_and_then_ends() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = open(&url(&proxy)).await;
    let ids = insert_many(&store).await;
    for fault in [Mode::BlackHole, Mode::Cut, Mode::Truncate(1)] {
        proxy.set(fault);
        let start = Instant::now();
        for load in loads(&store, &ids) {
            let error = load.await.unwrap().expect_err("a load during an outage");
            assert!(matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Timeout), "{error}");
        }
        assert!(start.elapsed() < TIMEOUT + MARGIN, "{fault:?}: took {:?}", start.elapsed());
        proxy.set(Mode::Pass);
        eventually("the store works again", async || store.load(&ids[0], Freshness::Latest).await.is_ok()).await;
        all_are_there(&store, &ids).await;
    }
}
