//! The option `--store`.

use serde_json::Value;
use session_testbed::servers::{Redis, redis_cluster, redis_sentinel};

use crate::backend::Backend;
use crate::server::{Nodes, empty_store};
use crate::support::assert_refused;

#[tokio::test]
async fn an_unsupported_url_is_refused() {
    for store in [
        "",
        "paper",
        "hunter2",
        "memory://hunter2",
        "sqlite",
        "sqlite3:hunter2.db",
        "hunter2.db",
        "localhost:6379",
        "http://:hunter2@localhost",
        "redis://:hunter2@localhost:port",
        "redis+tls://:hunter2@localhost",
        "redis+sentinel://:hunter2@localhost",
        "postgres://app:hunter2@localhost:port/app",
        "postgres://app:hunter2@localhost/app?sslmode=hunter2",
    ] {
        let message = ["--store is not understood", "memory\n", "sqlite:", "redis://", "postgres://"];
        assert_refused(&["--store", store], &message).await;
    }
    // What session-redis understands, and refuses.
    for (store, reason) in [
        ("redis://:hunter2@localhost/db", "a database that is not a number"),
        ("redis+cluster://:hunter2@localhost/1", "a Cluster has one database"),
    ] {
        assert_refused(&["--store", store], &["--store: the URL cannot be obeyed", reason]).await;
    }
}

#[tokio::test]
async fn an_unreachable_server_is_reported() {
    // Nothing listens on port 1.
    let stores = [
        "redis://:hunter2@127.0.0.1:1",
        "rediss://:hunter2@127.0.0.1:1",
        "valkeys://:hunter2@127.0.0.1:1",
        "redis+sentinel://:hunter2@127.0.0.1:1/mymaster",
        "redis+cluster://:hunter2@127.0.0.1:1",
        "unix:///nonexistent?pass=hunter2",
        "postgres://app:hunter2@127.0.0.1:1/app",
        "postgresql://app:hunter2@127.0.0.1:1/app?sslmode=require",
    ];
    futures::future::join_all(stores.map(|store| async move {
        let backend = if store.starts_with("postgres") { "postgres: " } else { "redis: " };
        let messages = [backend, "unavailable", "Is the server running", "--store memory"];
        assert_refused(&["--store", store], &messages).await;
    }))
    .await;
}

#[tokio::test]
async fn a_refused_login_to_the_server_is_reported() {
    let redis = Redis::launch(&[("user", "app on >right ~* &* +@all"), ("protected-mode", "no")]).await.unwrap();
    let wrong_password = format!("redis://app:hunter2@{}", redis.address());
    assert_refused(&["--store", &wrong_password], &["redis: ", "WRONGPASS"]).await;
    let postgres = empty_store(Backend::Postgres).await;
    let unknown_role = postgres.replace("postgres@", "unknown:hunter2@");
    assert_refused(&["--store", &unknown_role], &["the server rejected our role or database"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_server_is_shared_by_nodes() {
    let socket = Redis::launch(&[("unixsocket", "redis.sock")]).await.unwrap();
    let stores = [
        format!("unix://{}", socket.folder().join("redis.sock").display()),
        empty_store(Backend::Redis).await.replace("redis:", "valkey:"),
        empty_store(Backend::Postgres).await.replace("postgresql:", "postgres:"),
        redis_sentinel().await.unwrap().url(),
        redis_cluster().await.unwrap().url(),
    ];
    for store in stores {
        let nodes = Nodes::on(&store, &[]);
        let alice = nodes.a.browser();
        alice.post("/api/counter/n", &Value::Null).await.assert(200);
        alice.at(&nodes.b).login("alice").await.assert(200);
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "{store}");
        assert_eq!(alice.get("/api/devices").await.json().as_array().unwrap().len(), 1);
        let copy = alice.copy();
        alice.post("/api/devices/revoke-all", &Value::Null).await.assert(200);
        assert_eq!(copy.at(&nodes.b).user().await, None, "{store}");
    }
}
