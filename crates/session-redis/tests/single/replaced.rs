//! Updates that move no deadline: of a record that was read, with the same times and timeouts. Valkey compares by a command,
//! older servers by a script.

use std::num::NonZeroU32;
use std::time::Duration;

use session_core::store::{Record, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, StoreErrorKind};
use session_redis::RedisStore;
use session_testbed::proxy::Proxy;
use session_testbed::records::{MINUTE, NOW, insert, load, next, record, shop, user};
use session_testbed::servers::{Redis, Release, VALKEY};

use crate::support::{index_key, run, session_key};

/// A server that is installed, and Valkey. Each with a session of `alice`.
async fn servers() -> [(Redis, RedisStore, Record); 2] {
    [with_session(Release::Installed).await, with_session(Release::Pinned(VALKEY)).await]
}

async fn with_session(release: Release) -> (Redis, RedisStore, Record) {
    let server = Redis::launch_release(release, &[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let session = record(Some(&user("alice")), NOW);
    insert(&store, &session).await;
    let session = load(&store, &session.id()).await.unwrap();
    (server, store, session)
}

async fn number(server: &Redis, command: &str) -> i64 {
    run(server, command).await.number().unwrap()
}

/// How often the server has executed a command for a client.
async fn calls(server: &Redis, command: &str) -> u64 {
    let stats = run(server, "INFO commandstats").await;
    let calls = stats.text().lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn neither_the_index_nor_a_time_to_live_is_written() {
    for (server, store, session) in servers().await {
        let (key, index) = (session_key(&user("alice"), &session.id()), index_key(&user("alice")));
        for key in [&key, &index] {
            run(&server, &format!("PEXPIRE {key} 2592000000")).await;
        }
        let second = next(&session);
        assert_eq!(store.update(&second, session.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        assert_eq!(load(&store, &session.id()).await.unwrap().version, second.version);
        for key in [&key, &index] {
            let ttl = number(&server, &format!("PTTL {key}")).await;
            assert!(ttl > 2_591_000_000, "30 days became {ttl} ms");
        }
        run(&server, &format!("DEL {index}")).await;
        let (second, before) = (load(&store, &session.id()).await.unwrap(), second.version);
        assert_eq!(store.update(&next(&second), before, NOW).await.unwrap(), UpdateOutcome::Applied);
        assert_eq!(number(&server, &format!("EXISTS {index}")).await, 0);

        // What moves the deadline writes all of them.
        let third = load(&store, &session.id()).await.unwrap();
        let mut later = next(&third);
        later.summary.last_seen = NOW + MINUTE;
        assert_eq!(store.update(&later, third.version, NOW + MINUTE).await.unwrap(), UpdateOutcome::Applied);
        for key in [&key, &index] {
            let ttl = number(&server, &format!("PTTL {key}")).await;
            assert!((31 * 60_000 - 5_000..=31 * 60_000).contains(&ttl), "{ttl} ms to live");
        }
    }
}

#[tokio::test]
async fn a_touch_meanwhile_is_no_conflict_and_stays() {
    for (server, store, session) in servers().await {
        let (alice, later) = (user("alice"), NOW + 10 * MINUTE);
        assert_eq!(store.touch(&session.id(), Some(&alice), later).await.unwrap(), TouchOutcome::Applied);
        let second = next(&session);
        assert_eq!(store.update(&second, session.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        let stored = load(&store, &session.id()).await.unwrap();
        assert_eq!((stored.version, stored.summary.last_seen), (second.version, later));
        let ttl = number(&server, &format!("PTTL {}", session_key(&alice, &session.id()))).await;
        assert!((41 * 60_000 - 5_000..=41 * 60_000).contains(&ttl), "{ttl} ms to live");
    }
}

#[tokio::test]
async fn what_is_not_as_it_was_read_is_not_replaced() {
    for (server, store, first) in servers().await {
        let (alice, key) = (user("alice"), session_key(&user("alice"), &first.id()));
        let (mine, other) = (next(&first), next(&first));
        assert_eq!(store.update(&mine, first.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        assert_eq!(store.update(&mine, first.version, NOW).await.unwrap(), UpdateOutcome::Applied, "repeated");
        assert_eq!(store.update(&other, first.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
        assert_eq!(load(&store, &first.id()).await.unwrap().version, mine.version);
        // It replaces what another has read, and says that it was the one before.
        assert_eq!(store.update(&other, mine.version, NOW).await.unwrap(), UpdateOutcome::Applied);

        // A session that another has shortened is over, to whom it was longer.
        let last = load(&store, &first.id()).await.unwrap();
        let mut short = next(&last);
        short.summary.timeouts.idle = MINUTE;
        assert_eq!(store.update(&short, last.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        let late = store.update(&next(&last), last.version, NOW + MINUTE).await;
        assert_eq!(late.unwrap(), UpdateOutcome::Absent);

        // A newer format is left as it is.
        let last = load(&store, &first.id()).await.unwrap();
        run(&server, &format!("SETRANGE {key} 0 \u{7f}")).await;
        let error = store.update(&next(&last), last.version, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        assert_eq!(run(&server, &format!("GETRANGE {key} 0 0")).await.text(), "\u{7f}");
        run(&server, &format!("SETRANGE {key} 0 \u{4}")).await;

        let expired = store.update(&next(&last), last.version, last.deadline()).await;
        assert_eq!(expired.unwrap(), UpdateOutcome::Absent);
        assert_eq!(store.delete(&first.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
        assert_eq!(store.update(&next(&last), last.version, NOW).await.unwrap(), UpdateOutcome::Absent, "ended");
        run(&server, &format!("DEL {key}")).await;
        assert_eq!(store.update(&next(&last), last.version, NOW).await.unwrap(), UpdateOutcome::Absent, "gone");
        assert_eq!(number(&server, &format!("EXISTS {key}")).await, 0);
    }
}

/// A commit goes on from what the one before has written, which nobody has read since.
#[tokio::test]
async fn what_was_written_since_it_was_read_is_replaced_without_the_index() {
    for (server, store, first) in servers().await {
        let update = async |new: &Record, old: &Record| store.update(new, old.version, NOW).await.unwrap();
        let second = next(&first);
        assert_eq!(update(&second, &first).await, UpdateOutcome::Applied);
        // Only the script that knows the index writes a time to live.
        let before = (calls(&server, "pexpire").await, calls(&server, "hget").await);
        let (third, late) = (next(&second), next(&second));
        assert!(third.replaces.as_ref().is_some_and(|read| Some(read) == first.replaces.as_ref()));
        assert_eq!(update(&third, &second).await, UpdateOutcome::Applied);
        assert_eq!(update(&third, &second).await, UpdateOutcome::Applied, "repeated");
        assert_eq!(update(&late, &second).await, UpdateOutcome::Conflict);
        assert_eq!((calls(&server, "pexpire").await, calls(&server, "hget").await), before);
        assert_eq!(load(&store, &first.id()).await.unwrap().version, third.version);

        let later = NOW + 10 * MINUTE;
        assert_eq!(store.touch(&first.id(), Some(&user("alice")), later).await.unwrap(), TouchOutcome::Applied);
        let fourth = next(&third);
        assert_eq!(update(&fourth, &third).await, UpdateOutcome::Applied);
        let stored = load(&store, &first.id()).await.unwrap();
        assert_eq!((stored.version, stored.summary.last_seen), (fourth.version, later));
    }
}

/// What replicas have not confirmed is an error, and executed all the same.
#[tokio::test]
async fn a_store_that_waits_for_replicas_waits_for_them() {
    for (server, store, session) in servers().await {
        let builder = RedisStore::builder(&server.url(), shop()).operation_timeout(Duration::from_secs(1));
        let waiting = builder.wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
        let second = next(&session);
        let error = waiting.update(&second, session.version, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error}");
        assert_eq!(load(&store, &session.id()).await.unwrap().version, second.version);
    }
}

/// One round trip. Whether the server compares by a command is found out once for each connection.
#[tokio::test]
async fn a_server_that_can_compares_by_a_command() {
    for (server, store, session) in servers().await {
        let is_valkey = run(&server, "INFO server").await.text().contains("valkey_version:9.");
        let proxy = Proxy::start(server.address()).await.unwrap();
        let through = RedisStore::connect(&format!("redis://{}", proxy.address()), shop()).await.unwrap();
        let mut trips = Vec::new();
        for _ in 0..3 {
            let stored = load(&through, &session.id()).await.unwrap();
            let before = proxy.round_trips();
            assert_eq!(through.update(&next(&stored), stored.version, NOW).await.unwrap(), UpdateOutcome::Applied);
            trips.push(proxy.round_trips() - before);
        }
        assert_eq!(trips[2], 1, "{trips:?}");
        if !is_valkey {
            continue;
        }
        assert_eq!(trips, [1, 1, 1]);
        let scripts = calls(&server, "evalsha").await;
        assert_eq!(scripts, 1, "the `create`");
        // A long value does not travel twice.
        let stored = load(&store, &session.id()).await.unwrap();
        let mut long = next(&stored);
        long.data.insert("text".into(), vec![b'x'; 2000].into());
        assert_eq!(store.update(&long, stored.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        assert!(calls(&server, "evalsha").await + calls(&server, "eval").await > scripts);
    }
}
