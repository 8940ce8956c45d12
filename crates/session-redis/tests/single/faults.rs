//! A server that dies, freezes or cannot be reached, and a network that drops data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, Freshness, SessionStore, TouchOutcome};
use session_core::{SessionId, StoreError, StoreErrorKind};
use session_redis::{ConnectError, RedisStore};
use session_testbed::calls::Sessions;
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::records::{MINUTE, NOW, insert, load, record, shop, user};
use session_testbed::servers::Redis;

use crate::support::{CALLS, cut_clients, eventually};

pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);
/// How much later than its time limit an operation may end on a busy machine. Waiting for a connection instead would
/// take five seconds.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);
/// How soon the store has to work again; some hundred milliseconds were measured.
const BACK: Duration = Duration::from_secs(4);

pub(crate) async fn open(url: &str) -> RedisStore {
    RedisStore::builder(url, shop()).operation_timeout(TIMEOUT).connect().await.unwrap()
}

pub(crate) fn url(proxy: &Proxy) -> String {
    format!("redis://{}", proxy.address())
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Paused,
    Network(Mode),
}

/// Every operation at once, several times, under each fault: each fails in time, with an error that says nothing about
/// the session. Afterwards each works, and has taken effect once. Prints how long it took until the store worked again.
async fn survives(faults: impl IntoIterator<Item = Fault>) {
    const ROUNDS: usize = 3;
    for fault in faults {
        let server = Redis::launch(&[]).await.unwrap();
        let proxy = Proxy::start(server.address()).await.unwrap();
        let (store, direct) = (open(&url(&proxy)).await, open(&server.url()).await);
        let mut back = Vec::new();
        for round in 0..ROUNDS {
            let mut stored = Vec::new();
            for call in CALLS {
                stored.push((*call, Arc::new(Sessions::store(&direct).await)));
            }
            // In the first round connection and scripts are new, later they have been used.
            store.list_by_user(&user("nobody"), NOW).await.unwrap();
            match fault {
                Fault::Killed => server.kill9().await.unwrap(),
                Fault::Paused => server.pause().await.unwrap(),
                Fault::Network(mode) => proxy.set(mode),
            }
            // Long enough, in the last round, for attempts to connect to fail, too.
            for _ in 0..=3 * round {
                let calls = stored.iter().map(|(call, sessions)| {
                    let (store, call, sessions) = (store.clone(), *call, Arc::clone(sessions));
                    let answer = async move { sessions.call(&store, call).await };
                    tokio::spawn(failed(format!("{fault:?}: {call:?}"), answer))
                });
                for call in calls.collect::<Vec<_>>() {
                    call.await.unwrap();
                }
            }
            proxy.set(Mode::Pass);
            server.resume().await.unwrap();
            server.start().await.unwrap();
            let works = async |store: &RedisStore| store.list_by_user(&user("nobody"), NOW).await.is_ok();
            back.push(eventually("the store works again", async || works(&store).await).await);
            eventually("so does the other store", async || works(&direct).await).await;
            for (call, sessions) in stored {
                let answer = sessions.call(&store, call).await.unwrap();
                assert!(call.answers().contains(&answer.as_str()), "{fault:?}: {call:?}: {answer}");
                sessions.assert_done(&store, call).await;
            }
        }
        back.sort_unstable();
        println!("{fault:?}: works again after {:?} (median), {:?} (longest)", back[ROUNDS / 2], back[ROUNDS - 1]);
        assert!(back[ROUNDS / 2] < BACK, "{fault:?}: {back:?}");
    }
}

/// A load is repeated on a new connection, which a fault of the network may reach a moment later: then it may find what
/// there is.
async fn failed(what: String, call: impl Future<Output = Result<String, StoreError>>) {
    let start = Instant::now();
    let error = match call.await {
        Ok(answer) => {
            let is_repeated = what.starts_with("Network(") && what.ends_with("Load");
            return assert!(is_repeated && answer == "found", "{what}: {answer}");
        }
        Err(error) => error,
    };
    assert!(start.elapsed() < TIMEOUT + MARGIN, "{what} took {:?}", start.elapsed());
    assert!(matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Timeout), "{what}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_or_frozen_is_unavailable_and_not_empty() {
    survives([Fault::Killed, Fault::Paused]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_is_unavailable_and_not_an_answer() {
    survives([Mode::Cut, Mode::HalfClose, Mode::CutReply(0), Mode::CutReply(1), Mode::CutReply(8)].map(Fault::Network))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_falls_silent_costs_the_time_limit_and_no_more() {
    survives([Mode::BlackHole, Mode::Truncate(0), Mode::Truncate(1), Mode::Truncate(8)].map(Fault::Network)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_unavailable_at_once() {
    let server = Redis::launch(&[]).await.unwrap();
    // A time limit that is too long to have been waited for.
    let builder = RedisStore::builder(&server.url(), shop()).operation_timeout(Duration::from_secs(60));
    let store = builder.connect().await.unwrap();
    server.kill9().await.unwrap();
    for _ in 0..20 {
        let error = store.load(&SessionId::from_bytes([0; 16]), Freshness::Latest).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// With the default time limit, and one request at a time: the first one without a reply is enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_replaced_after_one_request() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = RedisStore::connect(&url(&proxy), shop()).await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    let connections = proxy.connections();
    proxy.set(Mode::Truncate(1));
    assert_eq!(store.load(&session.id(), Freshness::Latest).await.unwrap_err().kind(), StoreErrorKind::Timeout);
    // The old connection stays silent for good.
    proxy.set(Mode::Pass);
    eventually("there is another connection", async || proxy.connections() > connections).await;
    eventually("it is used", async || exists_if_known(&store, &session.id()).await).await;
}

async fn exists_if_known(store: &RedisStore, id: &SessionId) -> bool {
    store.load(id, Freshness::Latest).await.is_ok_and(|stored| stored.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_between_requests_is_not_noticed() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    for _ in 0..20 {
        cut_clients(&server).await;
        assert!(load(&store, &session.id()).await.is_some());
        cut_clients(&server).await;
        assert_eq!(store.touch(&session.id(), None, NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_to_a_frozen_server_each_cost_the_time_limit_at_most() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = open(&server.url()).await;
    let session = record(Some(&user("alice")), NOW);
    insert(&store, &session).await;
    server.pause().await.unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        let requests = (0..16).map(|_| {
            let (store, id) = (store.clone(), session.id());
            let load = async move { Ok(format!("{:?}", store.load(&id, Freshness::Latest).await?.is_some())) };
            tokio::spawn(failed("load".to_owned(), load))
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.unwrap();
        }
    }
    server.resume().await.unwrap();
    eventually("the store works again", async || exists_if_known(&store, &session.id()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_a_timeout() {
    // The operating system accepts connections, and no process reads from them.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let start = Instant::now();
    let error = RedisStore::builder(&url, shop()).operation_timeout(TIMEOUT).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unavailable(error) if error.kind() == StoreErrorKind::Timeout), "{error}");
    assert!(start.elapsed() < TIMEOUT + MARGIN, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_may_start_before_the_server() {
    let server = Redis::launch(&[]).await.unwrap();
    server.stop().await.unwrap();
    assert!(matches!(RedisStore::connect(&server.url(), shop()).await, Err(ConnectError::Unavailable(_))));
    let store = RedisStore::builder(&server.url(), shop()).operation_timeout(TIMEOUT).connect_lazy().unwrap();
    let session = record(None, NOW);
    assert_eq!(store.create(CreateRequest::new(&session), NOW).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    server.start().await.unwrap();
    eventually("the store works", async || store.load(&session.id(), Freshness::Latest).await.is_ok()).await;
    insert(&store, &session).await;
}
