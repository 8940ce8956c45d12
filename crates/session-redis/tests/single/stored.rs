//! What the server stores, read without the store.

use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, LimitPolicy, SessionId, StoreErrorKind, Timeouts};
use session_redis::RedisStore;
use session_testbed::records::{MINUTE, NOW, created, insert, limit, load, next, record, replacing, shop, user};
use session_testbed::servers::Redis;

use crate::support::{index_key, keys, run, session_key, with_session};

const SLACK: Duration = Duration::from_secs(60);
/// The timeouts of a record.
const IDLE: Duration = Duration::from_secs(30 * 60);
const ABSOLUTE: Duration = Duration::from_secs(8 * 60 * 60);

/// Every key has a time to live, and the longest is `expected` and the slack, less what the test has taken.
async fn longest_life(server: &Redis, expected: Duration, after: &str) {
    let keys = keys(server).await;
    for (key, ttl) in &keys {
        assert!(*ttl > 0, "{key} has no time to live after {after}");
    }
    let longest = keys.iter().map(|(_, ttl)| *ttl).max().expect("no key");
    let expected = i64::try_from((expected + SLACK).as_millis()).unwrap();
    assert!((expected - 5_000..=expected).contains(&longest), "{longest} ms instead of {expected} after {after}");
}

#[tokio::test]
async fn every_key_has_a_time_to_live_after_every_operation() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let alice = user("alice");
    let anonymous = record(None, NOW);
    insert(&store, &anonymous).await;
    longest_life(&server, IDLE, "create").await;

    let login = record(Some(&alice), NOW);
    assert_eq!(store.create(replacing(&login, &anonymous), NOW).await.unwrap(), created());
    assert_eq!(keys(&server).await.len(), 2, "the session and the index; the anonymous session is gone");
    longest_life(&server, IDLE, "login").await;

    // The idle deadline moves with the activity, until the absolute one is earlier.
    let later = NOW + 10 * MINUTE;
    assert_eq!(store.touch(&login.id(), Some(&alice), later).await.unwrap(), TouchOutcome::Applied);
    longest_life(&server, IDLE, "touch").await;
    let mut end = later;
    while end < NOW + ABSOLUTE - 15 * MINUTE {
        end = end + 15 * MINUTE;
        assert_eq!(store.touch(&login.id(), Some(&alice), end).await.unwrap(), TouchOutcome::Applied);
    }
    let left = (NOW + ABSOLUTE).since(end);
    let session = keys(&server).await.into_iter().find(|(key, _)| key.ends_with(&login.id().to_string()));
    let ttl = Duration::from_millis(u64::try_from(session.unwrap().1).unwrap());
    assert!(ttl <= left + SLACK && ttl + Duration::from_secs(5) > left + SLACK, "{ttl:?}, {left:?}");

    // A longer lifetime by an update, in the index too.
    let mut longer = next(&store.load(&login.id(), Freshness::Latest).await.unwrap().unwrap());
    let before = login.version;
    longer.summary.timeouts.idle = 4 * ABSOLUTE;
    longer.summary.timeouts.absolute = 4 * ABSOLUTE;
    assert_eq!(store.update(&longer, before, end).await.unwrap(), UpdateOutcome::Applied);
    longest_life(&server, longer.deadline().since(end), "update").await;

    let mut forever = next(&longer);
    forever.summary.timeouts = Timeouts { idle: Duration::MAX, absolute: Duration::MAX };
    assert_eq!(store.update(&forever, longer.version, end).await.unwrap(), UpdateOutcome::Applied);
    longest_life(&server, Timeouts::MAX - end.since(NOW), "an update to forever").await;
    assert_eq!(store.delete(&login.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(keys(&server).await, []);
}

#[tokio::test]
async fn an_expired_record_is_stored_with_the_slack_as_its_life() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let old = record(Some(&user("alice")), NOW);
    assert_eq!(store.create(CreateRequest::new(&old), NOW + 2 * ABSOLUTE).await.unwrap(), created());
    longest_life(&server, Duration::ZERO, "create").await;
}

#[tokio::test]
async fn the_index_cleans_itself() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let alice = user("alice");
    let index = index_key(&alice);
    for hour in 0..5 {
        let now = NOW + hour * 60 * MINUTE;
        assert_eq!(store.create(CreateRequest::new(&record(Some(&alice), now)), now).await.unwrap(), created());
        assert_eq!(run(&server, &format!("HLEN {index}")).await.number(), Some(1), "after {hour} hours");
    }
    // Within the slack an entry stays: the key of its session is still there, and revocation must find it.
    let now = NOW + 4 * 60 * MINUTE + IDLE;
    let last = record(Some(&alice), now);
    let login = CreateRequest::new(&last).within(limit(1, LimitPolicy::Reject));
    assert_eq!(store.create(login, now).await.unwrap(), created(), "what is expired does not count");
    assert_eq!(run(&server, &format!("HLEN {index}")).await.number(), Some(2));
    assert_eq!(store.delete_by_user(&alice, None, now).await.unwrap().ids(), [last.id()], "those that were alive");
    assert_eq!(run(&server, &format!("EXISTS {index}")).await.number(), Some(0));
}

#[tokio::test]
async fn sessions_that_redis_evicted_do_not_count() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let alice = user("alice");
    let (one, two, three) = (record(Some(&alice), NOW), record(Some(&alice), NOW), record(Some(&alice), NOW));
    let login = |record| CreateRequest::new(record).within(limit(2, LimitPolicy::Reject));
    assert_eq!(store.create(login(&one), NOW).await.unwrap(), created());
    assert_eq!(store.create(login(&two), NOW).await.unwrap(), created());
    assert_eq!(store.create(login(&three), NOW).await.unwrap(), CreateOutcome::LimitReached);
    run(&server, &format!("DEL {}", session_key(&alice, &one.id()))).await;
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), 1);
    assert_eq!(store.create(login(&three), NOW).await.unwrap(), created());
}

#[tokio::test]
async fn a_lost_index_comes_back_with_the_next_activity() {
    let (server, store, alice, session) = with_session().await;
    run(&server, &format!("DEL {}", index_key(&alice))).await;
    assert_eq!(store.touch(&session.id(), Some(&alice), NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), 1);
    longest_life(&server, IDLE, "touch").await;
    // Without an index, `delete` still knows whose session it is.
    run(&server, &format!("DEL {}", index_key(&alice))).await;
    assert_eq!(store.delete(&session.id(), None).await.unwrap(), DeleteOutcome::Absent);
    assert_eq!(store.delete(&session.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
}

#[tokio::test]
async fn a_record_of_a_newer_format_is_left_as_it_is() {
    let (server, store, alice, session) = with_session().await;
    let key = session_key(&alice, &session.id());
    run(&server, &format!("SETRANGE {key} 0 \u{7f}")).await;
    run(&server, &format!("PEXPIRE {key} 2592000000")).await;
    let new = record(Some(&alice), NOW);
    // Its digest: the value is not text.
    let digest = ["EVAL", "return redis.sha1hex(redis.call('GET', KEYS[1]))", "1", &key];
    let before = server.command(&digest).await.unwrap();

    let errors = [
        store.load(&session.id(), Freshness::Latest).await.unwrap_err(),
        store.touch(&session.id(), Some(&alice), NOW + MINUTE).await.unwrap_err(),
        store.update(&next(&session), session.version, NOW).await.unwrap_err(),
        store.create(CreateRequest::new(&session), NOW).await.unwrap_err(),
        store.create(replacing(&new, &session), NOW).await.unwrap_err(),
        store.delete(&session.id(), Some(&alice)).await.unwrap_err(),
    ];
    for (turn, error) in errors.iter().enumerate() {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "call {turn}: {error}");
    }
    // It hides no other.
    insert(&store, &new).await;
    let listing = store.list_by_user(&alice, NOW).await.unwrap();
    assert_eq!(listing.unreadable, [session.id()]);
    assert_eq!(listing.sessions.iter().map(|listed| listed.id).collect::<Vec<_>>(), [new.id()]);
    assert_eq!(store.delete(&new.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);

    assert_eq!(server.command(&digest).await.unwrap(), before);
    let ttl = run(&server, &format!("PTTL {key}")).await.number().unwrap();
    assert!(ttl > 2_591_000_000, "30 days became {ttl} ms");
    assert_eq!(store.delete_by_user(&alice, None, NOW).await.unwrap().ids(), [session.id()]);
}

#[tokio::test]
async fn an_id_of_another_shard_is_refused() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let mut session = record(Some(&user("alice")), NOW);
    session.summary.id = SessionId::from_bytes([0xff; 16]);
    assert_eq!(store.create(CreateRequest::new(&session), NOW).await.unwrap_err().kind(), StoreErrorKind::Other);
    assert_eq!(store.update(&session, session.version, NOW).await.unwrap_err().kind(), StoreErrorKind::Other);
    assert!(load(&store, &session.id()).await.is_none());
}

/// Core allows a hundred; a store that was filled without a limit has to be emptied all the same.
#[tokio::test]
async fn a_user_may_have_a_thousand_sessions() {
    let server = Redis::launch(&[]).await.unwrap();
    let store =
        RedisStore::builder(&server.url(), shop()).operation_timeout(Duration::from_secs(20)).connect().await.unwrap();
    let alice = user("alice");
    let mut oldest = Vec::new();
    for n in 0..1000 {
        let session = record(Some(&alice), NOW + Duration::from_millis(n));
        insert(&store, &session).await;
        oldest.push(session.id());
    }
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), 1000);

    let newest = record(Some(&alice), NOW + MINUTE);
    let login = CreateRequest::new(&newest).within(limit(100, LimitPolicy::EvictOldest));
    let CreateOutcome::Created { mut evicted } = store.create(login, NOW).await.unwrap() else { panic!("not created") };
    evicted.sort_unstable();
    let mut expected = oldest[..901].to_vec();
    expected.sort_unstable();
    assert_eq!(evicted, expected);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), 100);
    assert_eq!(keys(&server).await.len(), 101);

    let gone = store.delete_by_user(&alice, Some(&newest.id()), NOW).await.unwrap().ids();
    assert_eq!(gone.len(), 99);
    assert!(load(&store, &newest.id()).await.is_some());
}

#[tokio::test]
async fn a_refused_update_leaves_everything_as_it_was() {
    let (server, store, alice, first) = with_session().await;
    let second = next(&first);
    assert_eq!(store.update(&second, first.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    let (key, index) = (session_key(&alice, &first.id()), index_key(&alice));
    // Digests: neither is text.
    let digests =
        "return redis.sha1hex(redis.call('GET', KEYS[1]) .. table.concat(redis.call('HGETALL', KEYS[2]), ' '))";
    let stored = async || {
        let digest = server.command(&["EVAL", digests, "2", &key, &index]).await.unwrap();
        (digest, run(&server, &format!("PTTL {key}")).await.number().unwrap())
    };
    let before = stored().await;

    let mut late = next(&first);
    late.summary.timeouts = Timeouts { idle: IDLE * 100, absolute: ABSOLUTE * 100 };
    late.summary.last_seen = NOW + MINUTE;
    assert_eq!(store.update(&late, first.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
    let after = stored().await;
    assert!(before.0 == after.0, "a conflict has changed something");
    let seconds = |millis: i64| millis / 1000;
    assert!((0..30).contains(&seconds(before.1 - after.1)), "{} ms to live, then {} ms", before.1, after.1);

    // It has expired, but a node whose clock is behind may still need it: it stays for the slack.
    let expired = NOW + IDLE + MINUTE / 2;
    assert_eq!(store.update(&late, second.version, expired).await.unwrap(), UpdateOutcome::Absent);
    let after = stored().await;
    assert!(before.0 == after.0, "an update of a session that has ended has changed something");
    assert!((0..30).contains(&seconds(before.1 - after.1)), "{} ms to live, then {} ms", before.1, after.1);
}
