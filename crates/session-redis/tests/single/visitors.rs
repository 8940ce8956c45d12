//! Visitors under a limit, and logins on a server that they have filled.

use session_core::store::{CreateOutcome, CreateRequest, Record, Replacement, SessionStore, UpdateOutcome};
use session_core::{OsEntropy, StoreErrorKind, UserId, VisitorLimit};
use session_redis::RedisStore;
use session_testbed::records::{NOW, insert, load, next, record, shop, user};
use session_testbed::servers::Redis;

use crate::support::run;

fn visitor(limit: VisitorLimit) -> Record {
    let mut visitor = record(None, NOW);
    visitor.summary.id = limit.generate_id(&OsEntropy).unwrap();
    visitor
}

async fn visit(store: &RedisStore, limit: VisitorLimit) -> Result<CreateOutcome, session_core::StoreError> {
    store.create(CreateRequest::new(&visitor(limit)).among(limit), NOW).await
}

/// Visits until the server takes no more.
async fn fill(store: &RedisStore, limit: VisitorLimit) {
    let full = loop {
        if let Err(error) = visit(store, limit).await {
            break error;
        }
    };
    assert_eq!(full.kind(), StoreErrorKind::Full);
}

/// 5000 visits leave the records of 500, one index a shard, and tombstones that are gone in seconds.
#[tokio::test]
async fn a_flood_leaves_no_more_than_the_limit() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let limit = VisitorLimit::new(500).unwrap();
    let alice = record(Some(&user("alice")), NOW);
    insert(&store, &alice).await;
    for _ in 0..5000 {
        assert!(matches!(visit(&store, limit).await.unwrap(), CreateOutcome::Created { .. }));
    }
    let keys = run(&server, "KEYS *").await;
    let (mut records, mut indexes) = (0, 0);
    for key in keys.list() {
        let ttl = server.command(&["PTTL", key.text()]).await.unwrap().number().unwrap();
        if key.text().ends_with("}:v") {
            indexes += 1;
        } else if key.text().ends_with("}:u:alice") {
            assert!(ttl > 5000);
        } else if key.text().contains("}:s:")
            && server.command(&["STRLEN", key.text()]).await.unwrap().number() > Some(1)
        {
            records += 1;
        } else {
            assert!(ttl <= 5000, "{} stays for {ttl} ms", key.text());
        }
    }
    assert_eq!((records, indexes), (500 + 1, limit.shards()));
    assert!(load(&store, &alice.id()).await.is_some(), "a user's session does not count");
}

/// An anonymous session that was created without a limit is in no index, also after it was used.
#[tokio::test]
async fn what_was_created_without_a_limit_is_no_visitor() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let entry = record(None, NOW);
    insert(&store, &entry).await;
    assert!(store.update(&next(&entry), entry.version, NOW).await.is_ok());
    assert_eq!(run(&server, "KEYS *:v").await.list().len(), 0);
    // Whose name looks like that of the visitors' index.
    let odd = UserId::new("}:v").unwrap();
    let session = record(Some(&odd), NOW);
    insert(&store, &session).await;
    assert!(store.update(&next(&session), session.version, NOW).await.is_ok());
    assert_eq!(store.list_by_user(&odd, NOW).await.unwrap().sessions.len(), 1);
}

/// At its `maxmemory`, the server refuses visitors; users log in and write, and visitors end for them. Whatever else begins
/// like a key of the application is in nobody's way.
#[tokio::test]
async fn a_server_full_of_visitors_has_room_for_logins() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let limit = VisitorLimit::new(1_000_000).unwrap();
    let info = run(&server, "INFO memory").await;
    let used =
        info.text().lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse::<u64>().unwrap();
    run(&server, "CONFIG SET maxmemory-policy noeviction").await;
    run(&server, &format!("CONFIG SET maxmemory {}", used + 2_000_000)).await;
    fill(&store, limit).await;

    run(&server, "CONFIG SET maxmemory 0").await;
    for n in 0..20 {
        run(&server, &format!("SET {{shop:cache{n}}} x")).await;
        run(&server, &format!("SET {{shop:{n:04}}} x")).await;
    }
    run(&server, &format!("CONFIG SET maxmemory {}", used + 2_000_000)).await;

    let (mut ended, mut users) = (0, Vec::new());
    for n in 0..30 {
        fill(&store, limit).await;
        let session = record(Some(&user(&format!("user {n}"))), NOW);
        let CreateOutcome::Created { evicted } =
            store.create(CreateRequest::new(&session).among(limit), NOW).await.unwrap()
        else {
            panic!("a login was refused")
        };
        ended += evicted.len();
        fill(&store, limit).await;
        let mut longer = next(&session);
        longer.data.insert("note".into(), vec![b'x'; 2000].into());
        assert_eq!(store.update(&longer, session.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        // A logout that leaves values, and the entry of a deny list, are no visits either.
        fill(&store, limit).await;
        let left = visitor(limit);
        let logout = CreateRequest::new(&left).replacing(Replacement::of(&longer)).among(limit);
        assert!(matches!(store.create(logout, NOW).await.unwrap(), CreateOutcome::Created { .. }));
        fill(&store, limit).await;
        let session = record(session.user(), NOW);
        for record in [&record(None, NOW), &session] {
            let outcome = store.create(CreateRequest::new(record), NOW).await.unwrap();
            assert!(matches!(outcome, CreateOutcome::Created { .. }));
        }
        users.push(session);
    }
    assert!(ended > 0, "a visitor ended for a login");
    for session in &users {
        assert!(load(&store, &session.id()).await.is_some(), "no user's session ended");
    }
}
