//! TLS, and users of their own, behind Sentinel and in a Cluster.

use std::time::Duration;

use session_core::store::{FeedEvent, Freshness, SessionStore};
use session_redis::{Credentials, RedisStore, RedisStoreBuilder};
use session_testbed::calls::Sessions;
use session_testbed::feeds::{assert_every_change_is_told, changed, told};
use session_testbed::records::{NOW, insert, record, shop};
use session_testbed::servers::{Redis, RedisCluster};

use crate::support::tls::{Authority, Files};
use crate::support::{CALLS, eventually, run};

/// What the documentation says that the application needs.
const APP: &str = "app on >of-app resetkeys ~{shop:* -@all +get +getrange +set +setrange +pexpire +hget +hset +hdel \
                   +hgetall +hkeys +hlen +hsetnx +eval +evalsha +hello +scan +dbsize +randomkey +publish +subscribe \
                   &{shop:changes}";
/// For replicas, sentinels, and this test.
const ADMIN: &str = "admin on >of-admin ~* &* +@all";

fn crypto() {
    // Another test of this process may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn borrowed<'a>(directives: &'a [(&'static str, String)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    directives.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()).collect()
}

/// From now on, whoever has no user is refused.
async fn lock(server: &Redis) {
    run(server, "ACL SETUSER default off").await;
}

/// Runs one command as the administrator. An error is an answer, too: a node that is promoted closes its connections.
async fn administer(server: &Redis, command: &str) -> String {
    let client = redis::Client::open(format!("redis://admin:of-admin@{}", server.address())).unwrap();
    let answer = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut words = redis::Cmd::new();
        words.arg(command.split(' ').collect::<Vec<_>>()).query_async::<redis::Value>(&mut connection).await
    };
    format!("{:?}", answer.await)
}

/// A store that trusts these, and shows a certificate of `own`.
fn builder(url: &str, trusted: &[&Authority], own: &Authority) -> RedisStoreBuilder {
    let (certificate, key) = own.sign("client");
    let roots: String = trusted.iter().map(|authority| authority.pem.as_str()).collect();
    let builder = RedisStore::builder(url, shop()).operation_timeout(Duration::from_secs(5));
    builder.root_certificates(roots).client_certificate(certificate, key)
}

async fn refusal(builder: RedisStoreBuilder) -> String {
    let error = builder.connect().await.unwrap_err();
    let text = format!("{error}");
    assert!(!format!("{text} {error:?}").contains("of-"), "{text}");
    text
}

/// The sentinels and the primary have certificates of two authorities, and know the application by two names.
#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_their_primary_have_tls_and_users_of_their_own() {
    crypto();
    let [of_sentinels, of_nodes, stranger] = [(); 3].map(|()| Authority::new());
    let both = [&of_sentinels, &of_nodes];
    let files = [&of_sentinels, &of_nodes].map(|authority| Files::new(authority, "127.0.0.1", &both));
    let [for_sentinels, for_nodes] = files.each_ref().map(Files::directives);
    let node = [
        ("tls-replication", "yes"),
        ("user", APP),
        ("user", ADMIN),
        ("masteruser", "admin"),
        ("masterauth", "of-admin"),
    ];
    let first = Redis::launch(&borrowed(&for_nodes, &node)).await.unwrap();
    let replicates = format!("127.0.0.1 {}", first.tls_port());
    let second = [&node[..], &[("replicaof", replicates.as_str())]].concat();
    let second = Redis::launch(&borrowed(&for_nodes, &second)).await.unwrap();
    let watches = format!("monitor main {replicates} 1");
    let sentinel = [
        ("tls-replication", "yes"),
        ("sentinel", watches.as_str()),
        ("sentinel", "auth-user main admin"),
        ("sentinel", "auth-pass main of-admin"),
        ("sentinel", "failover-timeout main 5000"),
        (
            "user",
            "watcher on >of-watcher -@all +sentinel|master +sentinel|get-master-addr-by-name +sentinel|sentinels \
             +sentinel|myid",
        ),
        ("user", ADMIN),
    ];
    let sentinel = Redis::launch_sentinel(&borrowed(&for_sentinels, &sentinel)).await.unwrap();
    run(&sentinel, "SENTINEL DEBUG INFO-PERIOD 500 PING-PERIOD 200 PUBLISH-PERIOD 500").await;
    for server in [&first, &second, &sentinel] {
        lock(server).await;
    }
    let at = format!("127.0.0.1:{}/main", sentinel.tls_port());
    let as_watcher = "sentinel_user=watcher&sentinel_password=of-watcher";
    let url = format!("rediss+sentinel://app:of-app@{at}?{as_watcher}");
    let open = |url: &str| builder(url, &both, &of_nodes);

    let store = open(&url).publish_changes().connect().await.unwrap_or_else(|error| panic!("{error}"));
    Sessions::assert_all_work(&store, CALLS).await;
    let mut feed = store.feed().unwrap();
    let _ = told(&mut feed).await;
    assert_every_change_is_told(&store, &mut feed).await;
    let asked = open(&format!("rediss+sentinel://{at}?{as_watcher}"))
        .credentials(|| Credentials { user: Some("app".into()), password: "of-app".into() });
    Sessions::assert_all_work(&asked.connect().await.unwrap_or_else(|error| panic!("{error}")), CALLS).await;

    let (sentinel_at, first_at) =
        (format!("sentinel 127.0.0.1:{}", sentinel.tls_port()), format!("connect: 127.0.0.1:{}", first.tls_port()));
    let cases = [
        (open(&format!("rediss+sentinel://app:of-app@{at}")), &sentinel_at, "NOAUTH"),
        (
            open(&format!("rediss+sentinel://app:of-app@{at}?sentinel_password=of-old")),
            &sentinel_at,
            "refuses the user name or password",
        ),
        (open(&url.replace("of-watcher", "of-app")), &sentinel_at, "refuses the user name or password"),
        (open(&format!("rediss+sentinel://{at}?{as_watcher}")), &first_at, "NOAUTH"),
        (open(&url.replace("of-app", "of-old")), &first_at, "refuses the user name or password"),
        (builder(&url, &[&stranger], &of_nodes), &sentinel_at, "certificate"),
        (builder(&url, &[&of_nodes], &of_nodes), &sentinel_at, "certificate"),
        (builder(&url, &[&of_sentinels], &of_nodes), &first_at, "certificate"),
        (RedisStore::builder(&url, shop()), &sentinel_at, "certificate"),
        (builder(&url, &both, &stranger), &sentinel_at, "UnknownCA"),
        (RedisStore::builder(&url.replace("rediss", "redis"), shop()), &sentinel_at, "rediss"),
    ];
    for (number, (builder, who, cause)) in cases.into_iter().enumerate() {
        let text = refusal(builder).await;
        println!("{number}: {text}");
        assert!(text.contains(who.as_str()) && text.contains(cause), "{number}: {text}");
    }

    let session = record(None, NOW);
    insert(&store, &session).await;
    let complete = async || {
        let state = administer(&sentinel, "INFO sentinel").await;
        state.contains("status=ok")
            && state.contains("slaves=1")
            && administer(&first, "INFO replication").await.contains("state=online")
    };
    eventually("the sentinel knows the replica", complete).await;
    let promoted = async || administer(&second, "ROLE").await.contains("master");
    assert_eq!(administer(&sentinel, "SENTINEL FAILOVER main").await, "Ok(ok)");
    eventually("the replica is promoted", promoted).await;
    let works = async || matches!(store.load(&session.id(), Freshness::Latest).await, Ok(Some(_)));
    let writes = async || {
        works().await && store.create(session_core::store::CreateRequest::new(&record(None, NOW)), NOW).await.is_ok()
    };
    eventually("the store has found the new primary", writes).await;
    Sessions::assert_all_work(&store, CALLS).await;
    let _ = told(&mut feed).await;
    let session = record(None, NOW);
    insert(&store, &session).await;
    assert_eq!(told(&mut feed).await, [changed(&session)]);
}

/// The nodes that the Cluster names are spoken to with TLS, too, as the same user.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_has_tls_and_users() {
    crypto();
    let [authority, stranger] = [(); 2].map(|()| Authority::new());
    let directives = Files::new(&authority, "127.0.0.1", &[&authority]);
    let directives = (directives.directives(), directives);
    let app = format!("{APP} +cluster|slots +cluster|nodes +cluster|info +client|tracking");
    let settings = borrowed(&directives.0, &[("tls-cluster", "yes"), ("user", &app), ("user", ADMIN)]);
    let cluster = RedisCluster::launch(0, &settings).await.unwrap();
    for node in cluster.nodes() {
        lock(node).await;
    }
    let nodes: Vec<String> = cluster.nodes().iter().map(|node| format!("127.0.0.1:{}", node.tls_port())).collect();
    let url = format!("rediss+cluster://app:of-app@{}", nodes[0]);
    let trusted = [&authority];
    let open = |url: &str| builder(url, &trusted, &authority);
    let store = open(&url).connect().await.unwrap_or_else(|error| panic!("{error}"));
    Sessions::assert_all_work(&store, CALLS).await;
    let mut feed = store.feed().unwrap();
    let _ = told(&mut feed).await;
    // On each of the nodes.
    for _ in 0..30 {
        let session = record(None, NOW);
        insert(&store, &session).await;
        let is_of_it = |event: &FeedEvent| matches!(event, FeedEvent::Changed { id, .. } if *id == session.id());
        assert!(told(&mut feed).await.iter().any(is_of_it));
    }
    for node in cluster.nodes() {
        assert_ne!(administer(node, "DBSIZE").await, "Ok(int(0))");
    }
    let asked = open(&format!("rediss+cluster://{}", nodes.join(",")))
        .credentials(|| Credentials { user: Some("app".into()), password: "of-app".into() });
    Sessions::assert_all_work(&asked.connect().await.unwrap_or_else(|error| panic!("{error}")), CALLS).await;

    let cases = [
        (open(&format!("rediss+cluster://{}", nodes[0])), "NOAUTH"),
        (open(&url.replace("of-app", "of-old")), "refuses the user name or password"),
        (builder(&url, &[&stranger], &authority), "certificate"),
        (RedisStore::builder(&url, shop()), "certificate"),
        (builder(&url, &trusted, &stranger), "UnknownCA"),
        (RedisStore::builder(&url.replace("rediss", "redis"), shop()), "rediss"),
    ];
    for (number, (builder, cause)) in cases.into_iter().enumerate() {
        let text = refusal(builder).await;
        println!("{number}: {text}");
        assert!(text.contains(&nodes[0]) && text.contains(cause), "{number}: {text}");
    }
}

/// The certificates are for the name in the URL, and not for those by which the nodes know each other.
#[tokio::test]
async fn a_cluster_that_names_its_nodes_otherwise_is_refused_with_the_cause() {
    crypto();
    let authority = Authority::new();
    let files = Files::new(&authority, "localhost", &[&authority]);
    let directives = files.directives();
    let cluster = RedisCluster::launch(0, &borrowed(&directives, &[("tls-cluster", "yes")])).await.unwrap();
    let port = cluster.nodes()[0].tls_port();
    let text = refusal(builder(&format!("rediss+cluster://localhost:{port}"), &[&authority], &authority)).await;
    println!("{text}");
    assert!(
        text.contains(&format!("localhost:{port} is in a Cluster whose nodes cannot be used: 127.0.0.1:")),
        "{text}"
    );
    assert!(text.contains("certificate"), "{text}");
}
