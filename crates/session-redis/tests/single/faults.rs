//! A server that dies, freezes or cannot be reached, and a network that drops data.

use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, Freshness, Record, SessionStore, TouchOutcome, Version};
use session_core::{SessionId, StoreError, StoreErrorKind, UserId};
use session_redis::{ConnectError, RedisStore};
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::servers::Redis;

use crate::support::records::{MINUTE, NOW, exists, insert, next, record, replacing, user};
use crate::support::{cut_clients, eventually};

pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);
/// How much later than its time limit an operation may end on a busy machine. Waiting for a connection instead would
/// take five seconds.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);
/// How soon the store has to work again; some hundred milliseconds were measured.
const BACK: Duration = Duration::from_secs(4);

pub(crate) async fn open(url: &str) -> RedisStore {
    RedisStore::builder(url).operation_timeout(TIMEOUT).connect().await.unwrap()
}

pub(crate) fn url(proxy: &Proxy) -> String {
    format!("redis://{}", proxy.address())
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Stopped,
    Killed,
    Paused,
    Network(Mode),
}

/// A store on a server behind a proxy.
struct Bed {
    server: Redis,
    proxy: Proxy,
    store: RedisStore,
    /// Not through the proxy.
    direct: RedisStore,
}

impl Bed {
    async fn new() -> Self {
        let server = Redis::launch(&[]).await.unwrap();
        let proxy = Proxy::start(server.address()).await.unwrap();
        let (store, direct) = (open(&url(&proxy)).await, open(&server.url()).await);
        Self { server, proxy, store, direct }
    }

    async fn inject(&self, fault: Fault) {
        match fault {
            Fault::Stopped => self.server.stop().await.unwrap(),
            Fault::Killed => self.server.kill9().await.unwrap(),
            Fault::Paused => self.server.pause().await.unwrap(),
            Fault::Network(mode) => self.proxy.set(mode),
        }
    }

    async fn heal(&self, fault: Fault) {
        match fault {
            Fault::Stopped | Fault::Killed => self.server.start().await.unwrap(),
            Fault::Paused => self.server.resume().await.unwrap(),
            Fault::Network(_) => self.proxy.set(Mode::Pass),
        }
    }
}

/// A session for each operation to work on.
struct Sessions {
    alice: UserId,
    bob: UserId,
    bystanders: Vec<Record>,
    created: Record,
    anonymous: Record,
    login: Record,
    updated: Record,
    update: Record,
    touched: Record,
    deleted: Record,
    of_bob: [Record; 2],
}

impl Sessions {
    async fn insert(store: &RedisStore) -> Self {
        let (alice, bob) = (user("alice"), user("bob"));
        let updated = record(Some(&alice), NOW);
        let this = Self {
            bystanders: (0..5).map(|_| record(Some(&alice), NOW)).collect(),
            created: record(Some(&alice), NOW),
            anonymous: record(None, NOW),
            login: record(Some(&alice), NOW),
            update: next(&updated),
            updated,
            touched: record(Some(&alice), NOW),
            deleted: record(Some(&alice), NOW),
            of_bob: [record(Some(&bob), NOW), record(Some(&bob), NOW)],
            alice,
            bob,
        };
        let single = [&this.anonymous, &this.updated, &this.touched, &this.deleted];
        for session in this.bystanders.iter().chain(single).chain(&this.of_bob) {
            insert(store, session).await;
        }
        this
    }

    /// Every operation at once. Each ends in time, and with an error that says nothing about the session.
    async fn all_fail(&self, store: &RedisStore, fault: Fault) {
        let login = replacing(&self.login, &self.anonymous);
        let alice = Some(&self.alice);
        tokio::join!(
            failed(fault, "load", store.load(&self.touched.summary.id, Freshness::Latest)),
            failed(fault, "load of nothing", store.load(&self.created.summary.id, Freshness::Latest)),
            failed(fault, "create", store.create(CreateRequest::new(&self.created), NOW)),
            failed(fault, "login", store.create(login, NOW)),
            failed(fault, "update", store.update(&self.update, self.updated.version, NOW)),
            failed(fault, "touch", store.touch(&self.touched.summary.id, alice, NOW + MINUTE)),
            failed(fault, "delete", store.delete(&self.deleted.summary.id, alice)),
            failed(fault, "list_by_user", store.list_by_user(&self.alice, NOW)),
            failed(fault, "delete_by_user", store.delete_by_user(&self.bob, None)),
        );
    }

    /// Each is as before the operation, or as after it.
    async fn check(&self, store: &RedisStore, fault: Fault) {
        let version =
            async |of: &Record| store.load(&of.id(), Freshness::Latest).await.unwrap().map(|stored| stored.version);
        // A server that was down has executed nothing.
        let executed = |outcome: bool| match fault {
            Fault::Stopped | Fault::Killed => assert!(!outcome, "{fault:?}: executed"),
            Fault::Paused | Fault::Network(_) => {}
        };
        for session in &self.bystanders {
            assert_eq!(version(session).await, Some(session.version), "{fault:?}: lost");
        }
        assert_eq!(version(&self.touched).await, Some(self.touched.version), "{fault:?}: lost");
        let updated = version(&self.updated).await;
        executed(is(updated, &self.updated, &self.update, fault));
        let created = version(&self.created).await;
        assert!(created.is_none() || created == Some(self.created.version), "{fault:?}: created");
        executed(created.is_some());
        let deleted = version(&self.deleted).await;
        assert!(deleted.is_none() || deleted == Some(self.deleted.version), "{fault:?}: deleted");
        executed(deleted.is_none());
        // What was delayed may be executed between two reads, so these read again.
        let there = async |of: &Record| version(of).await.is_some();
        let replaced = async || there(&self.anonymous).await != there(&self.login).await;
        eventually(&format!("{fault:?}: one of the two, as before or after the login"), replaced).await;
        executed(there(&self.login).await);
        let [one, two] = &self.of_bob;
        let all_or_none = async || there(one).await == there(two).await;
        eventually(&format!("{fault:?}: all of a user or none"), all_or_none).await;
        executed(!there(one).await);
    }
}

fn is(stored: Option<Version>, before: &Record, after: &Record, fault: Fault) -> bool {
    assert!(stored == Some(before.version) || stored == Some(after.version), "{fault:?}: updated");
    stored == Some(after.version)
}

async fn failed<T: std::fmt::Debug>(fault: Fault, what: &str, call: impl Future<Output = Result<T, StoreError>>) {
    let start = Instant::now();
    let error = call.await.expect_err(&format!("{fault:?}: {what} must fail"));
    assert!(start.elapsed() < TIMEOUT + MARGIN, "{fault:?}: {what} took {:?}", start.elapsed());
    let kind = error.kind();
    assert!(matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Timeout), "{fault:?}: {what}: {error}");
}

/// Injects each fault several times into one server, and prints how long it took until the store worked again.
async fn survives(faults: impl IntoIterator<Item = Fault>) {
    const ROUNDS: usize = 3;
    for fault in faults {
        let bed = Bed::new().await;
        let mut back = Vec::new();
        for round in 0..ROUNDS {
            let sessions = Sessions::insert(&bed.direct).await;
            // In the first round connection and scripts are new, later they have been used.
            assert!(exists(&bed.store, &sessions.touched.id()).await);
            bed.inject(fault).await;
            // Long enough, in the last round, for attempts to connect to fail, too.
            for _ in 0..=3 * round {
                sessions.all_fail(&bed.store, fault).await;
            }
            bed.heal(fault).await;
            let works = async || bed.store.load(&sessions.touched.id(), Freshness::Latest).await.is_ok();
            back.push(eventually("the store works again", works).await);
            eventually("so does the other store", async || {
                bed.direct.load(&sessions.touched.id(), Freshness::Latest).await.is_ok()
            })
            .await;
            sessions.check(&bed.direct, fault).await;
            // Everything works: no late reply is taken for the reply to one of these.
            let again = Sessions::insert(&bed.store).await;
            assert_eq!(bed.store.delete_by_user(&again.bob, None).await.unwrap().len() % 2, 0);
            assert!(bed.store.delete_by_user(&again.alice, None).await.unwrap().len() >= 8);
        }
        back.sort_unstable();
        println!("{fault:?}: works again after {:?} (median), {:?} (longest)", back[ROUNDS / 2], back[ROUNDS - 1]);
        assert!(back[ROUNDS / 2] < BACK, "{fault:?}: {back:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_or_frozen_is_unavailable_and_not_empty() {
    survives([Fault::Stopped, Fault::Killed, Fault::Paused]).await;
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
    let builder = RedisStore::builder(&server.url()).operation_timeout(Duration::from_secs(60));
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
    let store = RedisStore::connect(&url(&proxy)).await.unwrap();
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
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    for _ in 0..20 {
        cut_clients(&server).await;
        assert!(exists(&store, &session.id()).await);
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
            tokio::spawn(async move { failed(Fault::Paused, "load", store.load(&id, Freshness::Latest)).await })
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
    let error = RedisStore::builder(&url).operation_timeout(TIMEOUT).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unavailable(error) if error.kind() == StoreErrorKind::Timeout), "{error}");
    assert!(start.elapsed() < TIMEOUT + MARGIN, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_may_start_before_the_server() {
    let server = Redis::launch(&[]).await.unwrap();
    server.stop().await.unwrap();
    assert!(matches!(RedisStore::connect(&server.url()).await, Err(ConnectError::Unavailable(_))));
    let store = RedisStore::builder(&server.url()).operation_timeout(TIMEOUT).connect_lazy().unwrap();
    let session = record(None, NOW);
    assert_eq!(store.create(CreateRequest::new(&session), NOW).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    server.start().await.unwrap();
    eventually("the store works", async || store.load(&session.id(), Freshness::Latest).await.is_ok()).await;
    insert(&store, &session).await;
}
