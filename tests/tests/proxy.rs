//! The proxy: each mode does what it says, and the counts are exact.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use session_testbed::proxy::{Mode, Proxy};
use session_testbed::servers::{Redis, redis_url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any answer takes. Silence is waited for in full.
const MOMENT: Duration = Duration::from_millis(300);

const PING: &[u8] = b"PING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

struct Fixture {
    redis: Redis,
    proxy: Proxy,
}

impl Fixture {
    async fn new() -> Self {
        let redis = Redis::launch(&[]).await.unwrap();
        let proxy = Proxy::start(redis.address()).await.unwrap();
        Self { redis, proxy }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }

    async fn count(&self) -> i64 {
        self.redis.command(&["GET", "count"]).await.unwrap().number().unwrap_or(0)
    }
}

/// Sends a request and reads a reply of the length of `PONG`.
async fn ping(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(PING).await?;
    read(stream, PONG).await
}

async fn read(stream: &mut TcpStream, expected: &[u8]) -> std::io::Result<()> {
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply).await?;
    assert_eq!(reply, expected);
    Ok(())
}

/// Everything up to the end or the reset of the connection.
async fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut reply = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut reply)).await.expect("it is closed");
    reply
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(MOMENT, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn connections_and_round_trips_are_counted() {
    let fixture = Fixture::new().await;
    let (mut one, mut two) = (fixture.connect().await, fixture.connect().await);
    for _ in 0..10 {
        ping(&mut one).await.unwrap();
    }
    ping(&mut two).await.unwrap();
    assert_eq!((fixture.proxy.connections(), fixture.proxy.round_trips()), (2, 11));

    // One round trip: pipelined, in pieces, or with a large reply.
    one.write_all(&PING.repeat(3)).await.unwrap();
    read(&mut one, &PONG.repeat(3)).await.unwrap();
    assert_eq!(fixture.proxy.round_trips(), 12);
    for piece in PING.chunks(2) {
        one.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    read(&mut one, PONG).await.unwrap();
    assert_eq!(fixture.proxy.round_trips(), 13);
    fixture.redis.command(&["SETRANGE", "big", "999999", "x"]).await.unwrap();
    one.write_all(b"GET big\r\n").await.unwrap();
    let mut reply = vec![0; b"$1000000\r\n".len() + 1_000_000 + 2];
    one.read_exact(&mut reply).await.unwrap();
    assert_eq!(fixture.proxy.round_trips(), 14);
    assert_eq!(fixture.proxy.connections(), 2);
}

#[tokio::test]
async fn each_request_is_delayed() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.connect().await;
    let delay = Duration::from_secs(1);
    fixture.proxy.set(Mode::Delay(delay));
    let start = Instant::now();
    ping(&mut stream).await.unwrap();
    ping(&mut stream).await.unwrap();
    assert!(start.elapsed() >= 2 * delay, "{:?}", start.elapsed());
    fixture.proxy.set(Mode::Pass);
    let start = Instant::now();
    ping(&mut stream).await.unwrap();
    assert!(start.elapsed() < delay, "{:?}", start.elapsed());
}

#[tokio::test]
async fn cut_closes_all_connections() {
    let fixture = Fixture::new().await;
    let mut old = fixture.connect().await;
    ping(&mut old).await.unwrap();
    fixture.proxy.set(Mode::Cut);
    assert_eq!(read_to_close(&mut old).await, b"");
    let mut new = fixture.connect().await;
    assert_eq!(read_to_close(&mut new).await, b"");
    fixture.proxy.set(Mode::Pass);
    let mut stream = fixture.connect().await;
    ping(&mut stream).await.unwrap();

    // A cut that is over at once still closes them.
    fixture.proxy.set(Mode::Cut);
    fixture.proxy.set(Mode::Pass);
    assert_eq!(read_to_close(&mut stream).await, b"");
    ping(&mut fixture.connect().await).await.unwrap();
}

#[tokio::test]
async fn replies_are_cut_after_a_number_of_bytes() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.connect().await;
    ping(&mut stream).await.unwrap();
    fixture.proxy.set(Mode::CutReply(3));
    stream.write_all(PING).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"+PO");

    // Every reply on every connection; shorter ones pass.
    fixture.proxy.set(Mode::CutReply(PONG.len()));
    let mut stream = fixture.connect().await;
    ping(&mut stream).await.unwrap();
    ping(&mut stream).await.unwrap();
    stream.write_all(b"ECHO longer\r\n").await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"$6\r\nlon");

    // The request takes effect, and its reply is lost.
    fixture.proxy.set(Mode::CutReply(0));
    let mut stream = fixture.connect().await;
    stream.write_all(b"INCR count\r\n").await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"");
    assert_eq!(fixture.count().await, 1);
}

#[tokio::test]
async fn one_reply_is_cut() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.connect().await;
    fixture.proxy.cut_one_reply(1, Mode::Pass);
    stream.write_all(PING).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"+");
    let mut stream = fixture.connect().await;
    ping(&mut stream).await.unwrap();

    // The next mode is set before the connection closes.
    fixture.proxy.cut_one_reply(0, Mode::BlackHole);
    stream.write_all(PING).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"");
    let mut stream = fixture.connect().await;
    stream.write_all(PING).await.unwrap();
    assert!(is_silent(&mut stream).await);
}

#[tokio::test]
async fn after_a_truncated_reply_the_connection_stays_open_and_silent() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.connect().await;
    fixture.proxy.set(Mode::Truncate(3));
    stream.write_all(PING).await.unwrap();
    read(&mut stream, b"+PO").await.unwrap();
    assert!(is_silent(&mut stream).await);
    // For good: later bytes would be taken for the rest of that reply.
    fixture.proxy.set(Mode::Pass);
    stream.write_all(b"INCR count\r\n").await.unwrap();
    assert!(is_silent(&mut stream).await);
    assert_eq!(fixture.count().await, 0);
    ping(&mut fixture.connect().await).await.unwrap();
}

#[tokio::test]
async fn a_black_hole_forwards_nothing_until_it_ends() {
    let fixture = Fixture::new().await;
    let mut old = fixture.connect().await;
    ping(&mut old).await.unwrap();
    fixture.proxy.set(Mode::BlackHole);
    let mut new = fixture.connect().await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"INCR count\r\n").await.unwrap();
        assert!(is_silent(stream).await);
    }
    assert_eq!(fixture.count().await, 0);
    fixture.proxy.set(Mode::Pass);
    for stream in [&mut old, &mut new] {
        let mut reply = [0; 4];
        stream.read_exact(&mut reply).await.unwrap();
    }
    assert_eq!(fixture.count().await, 2);
}

#[tokio::test]
async fn half_close_ends_the_replies_only() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.connect().await;
    ping(&mut stream).await.unwrap();
    fixture.proxy.set(Mode::HalfClose);
    assert_eq!(read_to_close(&mut stream).await, b"");
    stream.write_all(b"INCR count\r\n").await.unwrap();
    let start = Instant::now();
    while fixture.count().await != 1 {
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(read_to_close(&mut fixture.connect().await).await, b"");
}

#[tokio::test]
async fn closing_one_side_closes_the_other() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.connect().await;
    ping(&mut stream).await.unwrap();
    fixture.redis.kill9().await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"");
    // Without a server, connections are accepted and closed.
    assert_eq!(read_to_close(&mut fixture.connect().await).await, b"");
    fixture.redis.start().await.unwrap();
    let mut stream = fixture.connect().await;
    ping(&mut stream).await.unwrap();
    stream.write_all(b"CLIENT SETNAME gone\r\n").await.unwrap();
    read(&mut stream, b"+OK\r\n").await.unwrap();
    drop(stream);
    let start = Instant::now();
    while fixture.redis.command(&["CLIENT", "LIST"]).await.unwrap().text().contains("name=gone") {
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn dropping_the_proxy_closes_its_connections_and_its_port() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.connect().await;
    ping(&mut stream).await.unwrap();
    let Fixture { redis: _redis, proxy } = fixture;
    let address = proxy.address();
    drop(proxy);
    assert_eq!(read_to_close(&mut stream).await, b"");
    let start = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn the_shared_server_is_started_once() {
    assert_eq!(redis_url().await.unwrap(), redis_url().await.unwrap());
}
