//! A primary that was cut off and replaced, but can still be reached; and sentinels that hang or lag behind.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, Freshness, SessionStore};
use session_redis::RedisStore;
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::records::{NOW, insert, load, record, shop};
use session_testbed::servers::{Redis, RedisSentinel, Reply};

use crate::support::{eventually, run};

const TIMEOUT: Duration = Duration::from_millis(600);
/// How soon a store has to be with the new primary.
const SOON: Duration = Duration::from_secs(5);

/// The sentinels and the replicas are on one side and have failed over; the old primary is on the other, and has heard
/// nothing of it. The store reaches both.
pub(crate) async fn depose<'a>(set: &'a RedisSentinel, old: &Redis) -> &'a Redis {
    let others: Vec<&Redis> = set.nodes().iter().filter(|node| node.port() != old.port()).collect();
    for sentinel in set.sentinels() {
        run(sentinel, "SENTINEL REMOVE main").await;
    }
    run(others[0], "REPLICAOF NO ONE").await;
    run(others[1], &format!("REPLICAOF 127.0.0.1 {}", others[0].port())).await;
    for sentinel in set.sentinels() {
        run(sentinel, &format!("SENTINEL MONITOR main 127.0.0.1 {} 2", others[0].port())).await;
    }
    others[0]
}

/// Has a sentinel name another primary than the others do.
pub(crate) async fn mistake(sentinel: &Redis, primary: &Redis) {
    run(sentinel, "SENTINEL REMOVE main").await;
    run(sentinel, &format!("SENTINEL MONITOR main 127.0.0.1 {} 2", primary.port())).await;
}

/// A session that was ended on the new primary is not accepted much longer, by whatever the store does.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_replaced_is_left_within_seconds() {
    let settings = [("min-replicas-to-write", "1"), ("min-replicas-max-lag", "1")];
    for settings in [&settings[..], &[]] {
        let set = RedisSentinel::launch(settings).await.unwrap();
        let old = set.primary().await.unwrap();
        let builder = RedisStore::builder(&set.url(), shop()).operation_timeout(TIMEOUT);
        let waiting = builder.clone().wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
        let [reader, writer] = [builder.clone().connect().await.unwrap(), builder.connect().await.unwrap()];
        let session = record(None, NOW);
        eventually("there are replicas", async || waiting.create(CreateRequest::new(&session), NOW).await.is_ok())
            .await;
        assert!(load(&reader, &session.id()).await.is_some());
        eventually("all replicas have it", async || {
            let size = run(old, "DBSIZE").await;
            let mut same = true;
            for node in set.nodes() {
                same &= run(node, "DBSIZE").await == size;
            }
            same
        })
        .await;
        let new = depose(&set, old).await;
        // The logout, on the new primary.
        let key = format!("{{shop:{:04x}}}:s:{}", session.id().shard(), session.id());
        run(new, &format!("DEL {key}")).await;
        let start = Instant::now();
        let found = async || reader.load(&session.id(), Freshness::Latest).await;
        let read = eventually("reads reach the new primary", async || found().await.is_ok_and(|it| it.is_none())).await;
        let logins = |store: RedisStore| async move {
            let login = async || store.create(CreateRequest::new(&record(None, NOW)), NOW).await.is_ok();
            eventually("logins work", login).await;
        };
        logins(writer).await;
        logins(waiting).await;
        println!("left after {read:?} by a reader, {:?} by all", start.elapsed());
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
}

/// Sentinels behind proxies, so that they can hang.
async fn behind_proxies(set: &RedisSentinel) -> (Vec<Proxy>, String) {
    let mut proxies = Vec::new();
    for sentinel in set.sentinels() {
        proxies.push(Proxy::start(sentinel.address()).await.unwrap());
    }
    let hosts: Vec<_> = proxies.iter().map(|proxy| proxy.address().to_string()).collect();
    (proxies, format!("redis+sentinel://{}/{}", hosts.join(","), set.service()))
}

/// With the default time limit.
#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_hang_do_not_keep_the_store_from_the_primary() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let (proxies, url) = behind_proxies(&set).await;
    for hanging in [&[0][..], &[1], &[0, 2], &[0, 1]] {
        for (number, proxy) in proxies.iter().enumerate() {
            proxy.set(if hanging.contains(&number) { Mode::BlackHole } else { Mode::Pass });
        }
        let store = RedisStore::connect(&url, shop()).await.unwrap();
        insert(&store, &record(None, NOW)).await;
    }
}

/// One sentinel, the first, has not heard of a failover.
#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_lags_behind_is_outvoted() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let old = set.primary().await.unwrap();
    let stale = lagging(old.address()).await;
    run(&set.sentinels()[0], &format!("SENTINEL FAILOVER {}", set.service())).await;
    eventually("another primary", async || set.primary().await.unwrap().port() != old.port()).await;
    set.settled().await.unwrap();
    // It became a replica; as a primary again, it would be used by whoever believes the first sentinel.
    let [_, one, two] = set.sentinels() else { panic!("not three sentinels") };
    for others in [format!("{},{}", one.address(), two.address()), one.address().to_string()] {
        let url = format!("redis+sentinel://{stale},{others}/{}", set.service());
        let store = RedisStore::builder(&url, shop()).operation_timeout(TIMEOUT).connect().await.unwrap();
        insert(&store, &record(None, NOW)).await;
    }
}

/// A sentinel that answers at once, and knows of no failover.
async fn lagging(primary: SocketAddr) -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = primary.port().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let port = port.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(size @ 1..) = stream.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
                    let mut reply = "+OK\r\n".repeat(text.matches("SETINFO").count());
                    if text.contains("MASTER\r\n") {
                        let words = ["ip", "127.0.0.1", "port", &port, "config-epoch", "0"];
                        reply.push_str("*6\r\n");
                        words.iter().for_each(|word| reply.push_str(&format!("${}\r\n{word}\r\n", word.len())));
                    }
                    if text.contains("GET-MASTER") {
                        reply.push_str(&format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len()));
                    }
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The sentinel that leads a failover names the new primary to clients, but not in its state, while a replica is slow to follow.
#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_leads_a_failover_is_asked_as_clients_ask() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let old = set.primary().await.unwrap();
    let [preferred, slow] = set.nodes().iter().filter(|node| node.port() != old.port()).collect::<Vec<_>>()[..] else {
        panic!("not two replicas")
    };
    let leader = &set.sentinels()[0];
    run(slow, "CONFIG SET replica-priority 0").await;
    eventually("the leader knows whom to promote", async || {
        run(leader, "SENTINEL REPLICAS main").await.list().iter().any(|replica| {
            let words: Vec<_> = replica.list().iter().map(Reply::text).collect();
            words.contains(&slow.port().to_string().as_str())
                && words.windows(2).any(|pair| pair == ["slave-priority", "0"])
        })
    })
    .await;
    slow.pause().await.unwrap();
    run(leader, "SENTINEL FAILOVER main").await;
    let named = async || run(leader, "SENTINEL GET-MASTER-ADDR-BY-NAME main").await.list()[1].number();
    eventually("the leader names the new one", async || named().await == Some(i64::from(preferred.port()))).await;
    let url = format!("redis+sentinel://{}/{}", leader.address(), set.service());
    let store = RedisStore::builder(&url, shop()).operation_timeout(TIMEOUT).connect().await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    let key = format!("{{shop:{:04x}}}:s:{}", session.id().shard(), session.id());
    assert_eq!(run(preferred, &format!("EXISTS {key}")).await.number(), Some(1));
    // Who may not ask like this, goes by the state.
    run(leader, "ACL SETUSER default -sentinel|get-master-addr-by-name").await;
    RedisStore::builder(&url, shop()).operation_timeout(TIMEOUT).connect().await.unwrap();
}
