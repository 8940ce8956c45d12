//! The proxy of the test bed: each mode does what it says, and the counts are exact.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use session_testbed::proxy::{Mode, Proxy};
use session_testbed::servers::{Redis, redis_url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Long enough for everything that happens, and waited for in full where nothing must happen.
const MOMENT: Duration = Duration::from_millis(300);

const PING: &[u8] = b"PING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

struct Bed {
    redis: Redis,
    proxy: Proxy,
}

impl Bed {
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

/// What comes until the connection is closed, by an end or a reset.
async fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut reply = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut reply)).await.expect("it is closed");
    reply
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(MOMENT, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn it_counts_connections_and_round_trips() {
    let bed = Bed::new().await;
    let (mut one, mut two) = (bed.connect().await, bed.connect().await);
    for _ in 0..10 {
        ping(&mut one).await.unwrap();
    }
    ping(&mut two).await.unwrap();
    assert_eq!((bed.proxy.connections(), bed.proxy.round_trips()), (2, 11));

    // Sent together, or in pieces: one round trip. A big reply, too.
    one.write_all(&PING.repeat(3)).await.unwrap();
    read(&mut one, &PONG.repeat(3)).await.unwrap();
    assert_eq!(bed.proxy.round_trips(), 12);
    for piece in PING.chunks(2) {
        one.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    read(&mut one, PONG).await.unwrap();
    assert_eq!(bed.proxy.round_trips(), 13);
    bed.redis.command(&["SETRANGE", "big", "999999", "x"]).await.unwrap();
    one.write_all(b"GET big\r\n").await.unwrap();
    let mut reply = vec![0; b"$1000000\r\n".len() + 1_000_000 + 2];
    one.read_exact(&mut reply).await.unwrap();
    assert_eq!(bed.proxy.round_trips(), 14);
    assert_eq!(bed.proxy.connections(), 2);
}

#[tokio::test]
async fn delay_holds_each_request_back() {
    let bed = Bed::new().await;
    let mut stream = bed.connect().await;
    let delay = Duration::from_secs(1);
    bed.proxy.set(Mode::Delay(delay));
    let begin = Instant::now();
    ping(&mut stream).await.unwrap();
    ping(&mut stream).await.unwrap();
    assert!(begin.elapsed() >= 2 * delay, "{:?}", begin.elapsed());
    bed.proxy.set(Mode::Pass);
    let begin = Instant::now();
    ping(&mut stream).await.unwrap();
    assert!(begin.elapsed() < delay, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn cut_closes_all_connections() {
    let bed = Bed::new().await;
    let mut old = bed.connect().await;
    ping(&mut old).await.unwrap();
    bed.proxy.set(Mode::Cut);
    assert_eq!(read_to_close(&mut old).await, b"");
    let mut new = bed.connect().await;
    assert_eq!(read_to_close(&mut new).await, b"");
    bed.proxy.set(Mode::Pass);
    let mut stream = bed.connect().await;
    ping(&mut stream).await.unwrap();

    // A cut that is over at once is a cut.
    bed.proxy.set(Mode::Cut);
    bed.proxy.set(Mode::Pass);
    assert_eq!(read_to_close(&mut stream).await, b"");
    ping(&mut bed.connect().await).await.unwrap();
}

#[tokio::test]
async fn a_reply_is_cut_after_so_many_bytes() {
    let bed = Bed::new().await;
    let mut stream = bed.connect().await;
    ping(&mut stream).await.unwrap();
    bed.proxy.set(Mode::CutReply(3));
    stream.write_all(PING).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"+PO");

    // Each connection, each reply. A shorter one passes.
    bed.proxy.set(Mode::CutReply(PONG.len()));
    let mut stream = bed.connect().await;
    ping(&mut stream).await.unwrap();
    ping(&mut stream).await.unwrap();
    stream.write_all(b"ECHO longer\r\n").await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"$6\r\nlon");

    // The request is carried out, its reply is lost.
    bed.proxy.set(Mode::CutReply(0));
    let mut stream = bed.connect().await;
    stream.write_all(b"INCR count\r\n").await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"");
    assert_eq!(bed.count().await, 1);
}

#[tokio::test]
async fn one_reply_is_cut() {
    let bed = Bed::new().await;
    let mut stream = bed.connect().await;
    bed.proxy.cut_one_reply(1, Mode::Pass);
    stream.write_all(PING).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"+");
    let mut stream = bed.connect().await;
    ping(&mut stream).await.unwrap();

    // What follows is there before the connection is gone.
    bed.proxy.cut_one_reply(0, Mode::BlackHole);
    stream.write_all(PING).await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"");
    let mut stream = bed.connect().await;
    stream.write_all(PING).await.unwrap();
    assert!(is_silent(&mut stream).await);
}

#[tokio::test]
async fn a_reply_is_truncated_and_the_connection_stays_open_and_silent() {
    let bed = Bed::new().await;
    let mut stream = bed.connect().await;
    bed.proxy.set(Mode::Truncate(3));
    stream.write_all(PING).await.unwrap();
    read(&mut stream, b"+PO").await.unwrap();
    assert!(is_silent(&mut stream).await);
    // For good: what follows would be taken for the rest of that reply.
    bed.proxy.set(Mode::Pass);
    stream.write_all(b"INCR count\r\n").await.unwrap();
    assert!(is_silent(&mut stream).await);
    assert_eq!(bed.count().await, 0);
    ping(&mut bed.connect().await).await.unwrap();
}

#[tokio::test]
async fn a_black_hole_forwards_nothing_until_it_ends() {
    let bed = Bed::new().await;
    let mut old = bed.connect().await;
    ping(&mut old).await.unwrap();
    bed.proxy.set(Mode::BlackHole);
    let mut new = bed.connect().await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"INCR count\r\n").await.unwrap();
        assert!(is_silent(stream).await);
    }
    assert_eq!(bed.count().await, 0);
    bed.proxy.set(Mode::Pass);
    for stream in [&mut old, &mut new] {
        let mut reply = [0; 4];
        stream.read_exact(&mut reply).await.unwrap();
    }
    assert_eq!(bed.count().await, 2);
}

#[tokio::test]
async fn half_close_ends_the_replies_only() {
    let bed = Bed::new().await;
    let mut stream = bed.connect().await;
    ping(&mut stream).await.unwrap();
    bed.proxy.set(Mode::HalfClose);
    assert_eq!(read_to_close(&mut stream).await, b"");
    stream.write_all(b"INCR count\r\n").await.unwrap();
    let begin = Instant::now();
    while bed.count().await != 1 {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(read_to_close(&mut bed.connect().await).await, b"");
}

#[tokio::test]
async fn the_end_of_either_side_reaches_the_other() {
    let bed = Bed::new().await;
    let mut stream = bed.connect().await;
    ping(&mut stream).await.unwrap();
    bed.redis.kill9().await.unwrap();
    assert_eq!(read_to_close(&mut stream).await, b"");
    // Nobody is there: accepted, and closed.
    assert_eq!(read_to_close(&mut bed.connect().await).await, b"");
    bed.redis.start().await.unwrap();
    let mut stream = bed.connect().await;
    ping(&mut stream).await.unwrap();
    stream.write_all(b"CLIENT SETNAME gone\r\n").await.unwrap();
    read(&mut stream, b"+OK\r\n").await.unwrap();
    drop(stream);
    let begin = Instant::now();
    while bed.redis.command(&["CLIENT", "LIST"]).await.unwrap().text().contains("name=gone") {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn dropping_it_closes_its_connections_and_its_port() {
    let bed = Bed::new().await;
    let mut stream = bed.connect().await;
    ping(&mut stream).await.unwrap();
    let Bed { redis: _redis, proxy } = bed;
    let address = proxy.address();
    drop(proxy);
    assert_eq!(read_to_close(&mut stream).await, b"");
    let begin = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn the_shared_server_is_one_for_all() {
    assert_eq!(redis_url().await.unwrap(), redis_url().await.unwrap());
}
