//! What `connect` says if it cannot, and what it can connect to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_core::store::{Freshness, SessionStore};
use session_redis::{ConnectError, Credentials, RedisStore};
use session_testbed::calls::Sessions;
use session_testbed::records::{NOW, insert, load, record, shop};
use session_testbed::servers::{Redis, RedisCluster};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{CALLS, cut_clients, eventually, run};

/// A server that is not Redis 7: answers each command, given as words, with this.
async fn imitation(answer: fn(&[String]) -> Option<String>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, answer));
        }
    });
    address
}

async fn converse(stream: TcpStream, answer: fn(&[String]) -> Option<String>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut words = Vec::new();
        for _ in 0..number(&mut stream).await? {
            let mut word = vec![0; number(&mut stream).await? + 2];
            stream.read_exact(&mut word).await.ok()?;
            words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
        }
        // Without an answer, it hangs up.
        stream.write_all(answer(&words)?.as_bytes()).await.ok()?;
    }
}

/// The number behind `*` or `$`.
async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim().parse().ok()
}

fn bulk(text: &str) -> Option<String> {
    Some(format!("${}\r\n{text}\r\n", text.len()))
}

async fn refusal(url: &str) -> String {
    let builder = RedisStore::builder(url, shop()).operation_timeout(Duration::from_secs(10));
    let error = builder.connect().await.expect_err(url);
    let text = error.to_string();
    assert!(!format!("{text} {error:?}").contains("hunter2"), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_names_the_cause() {
    let server = Redis::launch(&[]).await.unwrap();
    run(&server, "ACL SETUSER app on >s3cret ~* +@all").await;
    let at = server.address();
    let replica = Redis::launch(&[("replicaof", &format!("127.0.0.1 {}", at.port()))]).await.unwrap();
    let cluster = RedisCluster::launch(0, &[]).await.unwrap();
    let node = &cluster.nodes()[0];
    let locked = Redis::launch(&[]).await.unwrap();
    let closed = Redis::launch(&[]).await.unwrap();
    closed.stop().await.unwrap();
    let cases = [
        (format!("redis://app:hunter2@{at}"), "WRONGPASS"),
        (format!("redis://app:hunter2@{at}?protocol=resp2"), "password"),
        (format!("redis://{at}/99"), "no database 99"),
        (format!("redis://{at}?db=99"), "no database 99"),
        (format!("redis://{}", replica.address()), "replica"),
        (format!("redis://{}?protocol=resp2", replica.address()), "replica"),
        (format!("redis://{}", node.address()), "redis+cluster://"),
        (format!("redis+cluster://{at}"), "not a node of a Cluster"),
        (format!("redis+cluster://{}", closed.address()), "refused"),
        (format!("redis+sentinel://{at}/main"), "sentinel"),
        (format!("redis://{}", closed.address()), "refused"),
        ("redis://no-such-host.invalid".to_owned(), "lookup"),
        ("unix:///no/such/socket".to_owned(), "No such file"),
    ];
    for (url, cause) in cases {
        let text = refusal(&url).await;
        assert!(text.contains(cause), "{url}: {text}");
    }
    run(&locked, "CONFIG SET requirepass s3cret").await;
    let text = refusal(&format!("redis://{}", locked.address())).await;
    assert!(text.contains("NOAUTH"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused_with_its_version() {
    let of_hello = imitation(|words| match words[0].as_str() {
        "HELLO" => Some(
            "%4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.2.14\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n\
             $4\r\nrole\r\n$6\r\nmaster\r\n"
                .to_owned(),
        ),
        _ => Some("+OK\r\n".to_owned()),
    });
    let of_info = imitation(|words| match words[0].as_str() {
        "HELLO" => Some(format!("-ERR unknown command `HELLO`, with args beginning with: {words:?}\r\n")),
        "INFO" => bulk("redis_version:5.0.3\r\nredis_mode:standalone\r\nrole:master\r\n"),
        _ => Some("+OK\r\n".to_owned()),
    });
    for (address, version) in [(of_hello.await, "6.2.14"), (of_info.await, "5.0.3")] {
        for url in [format!("redis://:hunter2@{address}"), format!("redis+cluster://:hunter2@{address}")] {
            let text = refusal(&url).await;
            assert!(text.contains(version) && text.contains("7.0"), "{text}");
        }
    }
}

/// Without RESP3 the client of a Cluster repeats an update on another connection and tells nobody: that it may have
/// been executed twice would not be known.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_resp3_is_refused() {
    let node = imitation(|words| match words[0].as_str() {
        "HELLO" => Some("-ERR unknown command `HELLO`\r\n".to_owned()),
        "INFO" => bulk("redis_version:7.2.0\r\nredis_mode:cluster\r\nrole:master\r\n"),
        _ => Some("+OK\r\n".to_owned()),
    });
    let text = refusal(&format!("redis+cluster://:hunter2@{}", node.await)).await;
    assert!(text.contains("RESP3"), "{text}");
    let refused = RedisStore::builder("redis+cluster://h?protocol=resp2", shop()).connect_lazy();
    assert!(matches!(&refused, Err(ConnectError::Parameter(reason)) if reason.contains("RESP3")), "{refused:?}");
}

/// Proxies, and servers of which an administrator has taken `HELLO` or `INFO`.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_hello_works() {
    for hidden in [&["HELLO"][..], &["HELLO", "INFO", "CLIENT", "CONFIG"]] {
        let settings: Vec<_> = hidden.iter().map(|command| format!("{command} \"\"")).collect();
        let settings: Vec<_> = settings.iter().map(|setting| ("rename-command", setting.as_str())).collect();
        let server = Redis::launch(&settings).await.unwrap();
        let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
        Sessions::assert_all_work(&store, CALLS).await;
    }
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&format!("{}?protocol=resp2", server.url()), shop()).await.unwrap();
    Sessions::assert_all_work(&store, CALLS).await;
    // Without RESP3 a lost connection is noticed by the request that meets it.
    for _ in 0..5 {
        cut_clients(&server).await;
        Sessions::assert_all_work(&store, CALLS).await;
    }
    let silent = imitation(|words| match words[0].as_str() {
        "HELLO" | "CLIENT" => None,
        "INFO" => Some("-ERR unsupported command\r\n".to_owned()),
        _ => bulk(""),
    });
    let store = RedisStore::connect(&format!("redis://{}", silent.await), shop()).await.unwrap();
    assert!(store.load(&record(None, NOW).id(), Freshness::Latest).await.unwrap().is_none());
}

#[tokio::test]
async fn no_part_of_a_url_is_ignored() {
    let refused = [
        "redis://h?ssl=true",
        "redis://h?tls=1",
        "redis://h?timeout=5",
        "redis://h?db=3&db=4",
        "redis://h/3?db=3",
        "redis://h?protocol=4",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/1/2",
        "redis://h//1",
        "redis://h/+1",
        "redis://u1@h",
        "redis://u1:@h",
        "redis://:@h",
        "redis://@h",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:",
        "redis://a,b",
        "redis://h#insecure",
        "redis://h/0#insecure",
        "redis:// h",
        "redis://::1",
        "redis+cluster://h/0",
        "redis+cluster://h?db=0",
        "redis+cluster://h?read_from_replicas=true",
        "redis+sentinel://h/main?sentinel_user=u",
        "redis+sentinel://u@h/main",
        "redis+sentinel://h/main?role=replica",
        "unix:///run/redis.sock?user=u",
        "unix:///run/redis.sock?password=p",
        "unix://host/run/redis.sock",
        "unix://",
        "redis+unix+tls:///run/redis.sock",
    ];
    for url in refused {
        let error = RedisStore::builder(url, shop()).connect_lazy().expect_err(url);
        assert!(matches!(error, ConnectError::Url | ConnectError::Parameter(_)), "{url}: {error}");
    }
    let server = Redis::launch(&[]).await.unwrap();
    for query in ["?db=3", "/3", "/3?protocol=resp2", "?protocol=3&db=3"] {
        let store = RedisStore::connect(&format!("{}{query}", server.url()), shop()).await.unwrap();
        insert(&store, &record(None, NOW)).await;
    }
    let keyspace = run(&server, "INFO keyspace").await;
    assert!(keyspace.text().contains("db3:keys=4") && !keyspace.text().contains("db0"), "{}", keyspace.text());
}

/// The password changes while the application runs.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_asked_for_at_each_connection() {
    let server = Redis::launch(&[]).await.unwrap();
    run(&server, "ACL SETUSER app on >first ~* +@all").await;
    run(&server, "ACL SETUSER default off").await;
    let (password, asked) = (Arc::new(Mutex::new("first")), Arc::new(AtomicUsize::new(0)));
    let provider = {
        let (password, asked) = (Arc::clone(&password), Arc::clone(&asked));
        move || {
            asked.fetch_add(1, Ordering::SeqCst);
            Credentials { user: Some("app".into()), password: (*password.lock().unwrap()).into() }
        }
    };
    let builder = RedisStore::builder(&server.url(), shop()).operation_timeout(Duration::from_millis(500));
    let store = builder.credentials(provider).connect().await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    rotate(&server).await;
    *password.lock().unwrap() = "second";
    eventually("it works again", async || store.load(&session.id(), Freshness::Latest).await.is_ok()).await;
    assert!(load(&store, &session.id()).await.is_some());
    assert!(asked.load(Ordering::SeqCst) > 1);
}

/// Another password for `app`, whose connections are closed.
async fn rotate(server: &Redis) {
    let client = redis::Client::open(format!("redis://app:first@{}", server.address())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut send = async |command: &str| {
        let mut words = redis::Cmd::new();
        words.arg(command.split(' ').collect::<Vec<_>>());
        words.query_async::<redis::Value>(&mut connection).await.unwrap();
    };
    send("ACL SETUSER app resetpass >second").await;
    send("CLIENT KILL TYPE normal SKIPME yes").await;
}
