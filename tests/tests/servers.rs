//! The servers: they answer, keep their data over restarts, and stop, pause and fail over on demand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use session_testbed::servers::{PgBouncer, Postgres, Redis, RedisCluster, RedisSentinel, Server, namespace};

/// The output of `psql` for a query at `url`, unaligned.
fn psql(postgres: &Postgres, url: &str, query: &str) -> Result<String, String> {
    let output =
        postgres.tool("psql").args(["--dbname", url, "-XAtq", "-c", query]).env("PGCONNECT_TIMEOUT", "2").output();
    let output = output.unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

async fn text(redis: &Redis, command: &[&str]) -> String {
    redis.command(command).await.unwrap().text().to_owned()
}

/// Writes, and waits until this many replicas have the write. `WAIT` concerns the writes of its own connection only.
fn set_and_wait(redis: &Redis, key: &str, value: &str, replicas: u32) {
    let mut stream = TcpStream::connect(redis.address()).unwrap();
    stream.write_all(format!("SET {key} {value}\r\nWAIT {replicas} 30000\r\n").as_bytes()).unwrap();
    let answers: Vec<String> = BufReader::new(stream).lines().take(2).map(Result::unwrap).collect();
    assert_eq!(answers, ["+OK".to_owned(), format!(":{replicas}")]);
}

/// Asserts that it does not run and that its port refuses connections.
async fn assert_down(server: &Server) {
    assert_eq!(server.pid().await.unwrap(), None);
    assert_eq!(TcpStream::connect(server.address()).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn redis_keeps_its_data_and_its_port() {
    let redis = Redis::launch(&[("maxmemory-policy", "allkeys-lru")]).await.unwrap();
    assert_eq!(redis.command(&["CONFIG", "GET", "maxmemory-policy"]).await.unwrap().list()[1].text(), "allkeys-lru");
    let port = redis.port();

    text(&redis, &["SET", "stopped", "1"]).await;
    redis.stop().await.unwrap();
    assert_down(&redis).await;
    redis.start().await.unwrap();
    assert_eq!(text(&redis, &["GET", "stopped"]).await, "1");

    text(&redis, &["SET", "killed", "1"]).await;
    redis.kill9().await.unwrap();
    assert_down(&redis).await;
    redis.start().await.unwrap();
    assert_eq!(text(&redis, &["GET", "killed"]).await, "1");
    assert_eq!(redis.port(), port);

    // Starting a running server and stopping a stopped one are no-ops.
    let pid = redis.pid().await.unwrap();
    redis.start().await.unwrap();
    assert_eq!(redis.pid().await.unwrap(), pid);
    redis.stop().await.unwrap();
    redis.stop().await.unwrap();
    redis.kill9().await.unwrap();
    redis.pause().await.unwrap();
    redis.resume().await.unwrap();
    assert_down(&redis).await;
}

#[tokio::test]
async fn a_paused_redis_does_not_answer_until_it_is_resumed_or_stopped() {
    let redis = Redis::launch(&[]).await.unwrap();
    let pid = redis.pid().await.unwrap();
    redis.pause().await.unwrap();
    // The kernel still accepts connections.
    TcpStream::connect(redis.address()).unwrap();
    assert!(redis.command(&["PING"]).await.is_err());
    assert_eq!(redis.pid().await.unwrap(), pid);
    redis.resume().await.unwrap();
    assert_eq!(text(&redis, &["PING"]).await, "PONG");

    redis.pause().await.unwrap();
    redis.stop().await.unwrap();
    assert_down(&redis).await;
    redis.start().await.unwrap();
    redis.pause().await.unwrap();
    redis.kill9().await.unwrap();
    assert_down(&redis).await;
}

#[tokio::test]
async fn the_error_of_a_failed_start_says_why() {
    let error = Redis::launch(&[("no-such-directive", "1")]).await.unwrap_err();
    assert!(error.to_string().contains("no-such-directive"), "{error}");
    let error = Postgres::launch(&[("no_such_parameter", "1")]).await.unwrap_err();
    assert!(error.to_string().contains("no_such_parameter"), "{error}");
}

#[tokio::test]
async fn sentinels_replace_a_killed_primary_and_readmit_it() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let old = set.primary().await.unwrap();
    assert_eq!(old.port(), set.nodes()[0].port());
    set_and_wait(old, "key", "value", 2);

    let start = Instant::now();
    old.kill9().await.unwrap();
    let new = set.primary().await.unwrap();
    println!("failover: {:?}", start.elapsed());
    assert_ne!(new.port(), old.port());
    assert_eq!(text(new, &["GET", "key"]).await, "value");
    text(new, &["SET", "key", "newer"]).await;

    let start = Instant::now();
    old.start().await.unwrap();
    set.settled().await.unwrap();
    println!("back as a replica: {:?}", start.elapsed());
    assert_eq!(text(old, &["GET", "key"]).await, "newer");
    assert_eq!(set.primary().await.unwrap().port(), new.port());
}

#[tokio::test]
async fn sentinels_replace_a_paused_primary() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let old = set.primary().await.unwrap();
    old.pause().await.unwrap();
    let new = set.primary().await.unwrap();
    assert_ne!(new.port(), old.port());
    old.resume().await.unwrap();
    set.settled().await.unwrap();
    assert_eq!(set.primary().await.unwrap().port(), new.port());
}

#[tokio::test]
async fn a_cluster_has_three_primaries_with_all_slots() {
    let cluster = RedisCluster::launch(0, &[]).await.unwrap();
    assert_eq!(cluster.nodes().len(), 3);
    let mut seen = Vec::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        let primary = cluster.primary_of(key).await.unwrap();
        assert_eq!(text(primary, &["SET", key, "1"]).await, "OK");
        seen.push(primary.port());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_replica_takes_over_from_a_killed_primary_of_a_cluster() {
    let cluster = RedisCluster::launch(1, &[]).await.unwrap();
    let old = cluster.primary_of("key").await.unwrap();
    set_and_wait(old, "key", "value", 1);

    let start = Instant::now();
    old.kill9().await.unwrap();
    let new = cluster.primary_of("key").await.unwrap();
    println!("failover: {:?}", start.elapsed());
    assert_ne!(new.port(), old.port());
    assert_eq!(text(new, &["GET", "key"]).await, "value");

    old.start().await.unwrap();
    cluster.settled().await.unwrap();
    assert_eq!(cluster.primary_of("key").await.unwrap().port(), new.port());
}

#[tokio::test]
async fn postgres_keeps_its_data_and_its_port() {
    let postgres = Postgres::launch(&[("timezone", "Asia/Kathmandu")]).await.unwrap();
    let query = |query: &str| psql(&postgres, &postgres.url(), query);
    assert_eq!(query("show fsync").unwrap(), "on");
    assert_eq!(query("show timezone").unwrap(), "Asia/Kathmandu");
    let (schema, port) = (namespace(), postgres.port());
    query(&format!("create schema {schema}; create table {schema}.kept (how text)")).unwrap();

    query(&format!("insert into {schema}.kept values ('stopped')")).unwrap();
    postgres.stop().await.unwrap();
    assert_down(&postgres).await;
    postgres.start().await.unwrap();

    query(&format!("insert into {schema}.kept values ('killed')")).unwrap();
    postgres.kill9().await.unwrap();
    assert_down(&postgres).await;
    postgres.start().await.unwrap();
    assert_eq!(query(&format!("select how from {schema}.kept order by how")).unwrap(), "killed\nstopped");
    assert_eq!(postgres.port(), port);

    // Existing connections do not answer either: their processes are paused as well.
    let mut sleeper = postgres.tool("psql").args(["-c", "select pg_sleep(0.5)"]).spawn().unwrap();
    let start = Instant::now();
    while query("select count(*) from pg_stat_activity where query like 'select pg_sleep%'").unwrap() != "1" {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    postgres.pause().await.unwrap();
    query("select 1").unwrap_err();
    assert_eq!(sleeper.try_wait().unwrap(), None);
    postgres.resume().await.unwrap();
    assert!(sleeper.wait().unwrap().success());
    assert_eq!(query("select 1").unwrap(), "1");
}

#[tokio::test]
async fn pgbouncer_is_a_pool_in_transaction_mode() {
    let postgres = Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap();
    assert_eq!(psql(&postgres, &postgres.url(), "show fsync").unwrap(), "off");
    let pool = PgBouncer::launch(&postgres, &[("default_pool_size", "1")]).await.unwrap();
    let query = |query: &str| psql(&postgres, &pool.url(), query);

    // Only in session mode does an idle client keep its server connection between transactions. There is one.
    let mut idle = postgres.tool("psql");
    let idle = idle.args(["--dbname", &pool.url(), "-XAtq"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut idle = idle.spawn().unwrap();
    let (mut queries, answers) = (idle.stdin.take().unwrap(), idle.stdout.take().unwrap());
    queries.write_all(b"select pg_backend_pid();\n").unwrap();
    let mut first = String::new();
    BufReader::new(answers).read_line(&mut first).unwrap();
    assert_eq!(query("select pg_backend_pid()").unwrap(), first.trim());
    drop(queries);
    assert!(idle.wait().unwrap().success());

    pool.kill9().await.unwrap();
    query("select 1").unwrap_err();
    pool.start().await.unwrap();
    assert_eq!(query("select 1").unwrap(), "1");
    pool.stop().await.unwrap();
    assert_down(&pool).await;
}
