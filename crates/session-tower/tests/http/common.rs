//! A site whose store fails on demand, and a client that compares every byte.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use session_conformance::ReferenceStore;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{
    DeleteOutcome, Event, EventKind, Key, Login, ManualClock, Policy, SessionId, SessionManager, SessionObserver,
    SessionSummary, StepUp, StoreError, StoreErrorKind, Timestamp, UserId,
};
use session_tower::{Authenticated, Fresh, Rejection, Session, SessionLayer};
use tower::ServiceExt as _;

pub(crate) const COUNT: Key<u64> = Key::new("count");
pub(crate) const NOTE: Key<String> = Key::new("note");

/// How reads or writes behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behaviour {
    #[default]
    Works,
    Fails,
    Hangs,
}

/// Reads or writes: how many there were, and how the next ones behave.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    count: AtomicUsize,
    behaviour: Mutex<Behaviour>,
}

impl Calls {
    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    async fn call<T>(&self, operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Works => operation.await,
            Behaviour::Fails => Err(StoreError::new(StoreErrorKind::Unavailable, "told to fail")),
            Behaviour::Hangs => std::future::pending().await,
        }
    }
}

/// The reference store with its calls recorded, which fails and hangs on demand.
#[derive(Debug, Default)]
pub(crate) struct TestStore {
    inner: ReferenceStore,
    pub(crate) reads: Calls,
    pub(crate) writes: Calls,
    loads: Mutex<Vec<Freshness>>,
}

impl TestStore {
    /// The number of reads and writes.
    pub(crate) fn calls(&self) -> (usize, usize) {
        (self.reads.count.load(Ordering::SeqCst), self.writes.count.load(Ordering::SeqCst))
    }

    /// How fresh each load since the last call had to be.
    pub(crate) fn take_loads(&self) -> Vec<Freshness> {
        std::mem::take(&mut self.loads.lock().unwrap())
    }
}

#[async_trait]
impl SessionStore for TestStore {
    fn name(&self) -> &'static str {
        "test"
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.loads.lock().unwrap().push(freshness);
        self.reads.call(self.inner.load(id, freshness)).await
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.writes.call(self.inner.create(request, now)).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.writes.call(self.inner.update(record, expected, now)).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.writes.call(self.inner.touch(id, user, now)).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.writes.call(self.inner.delete(id, user)).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.reads.call(self.inner.list_by_user(user, now)).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.writes.call(self.inner.delete_by_user(user, keep)).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.writes.call(self.inner.delete_expired(now, limit)).await
    }
}

/// Records the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

impl Events {
    /// The events since the last call.
    pub(crate) fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) struct Site {
    pub(crate) store: Arc<TestStore>,
    pub(crate) clock: ManualClock,
    pub(crate) events: Events,
    pub(crate) manager: SessionManager,
}

impl Site {
    pub(crate) fn new(policy: Policy) -> Self {
        let store = Arc::new(TestStore::default());
        let clock = ManualClock::default();
        let events = Events::default();
        let manager = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>)
            .policy(policy)
            .clock(clock.clone())
            .observer(events.clone())
            .build();
        Self { store, clock, events, manager }
    }

    pub(crate) fn standard() -> Self {
        Self::new(Policy::standard())
    }

    pub(crate) fn layer(&self) -> SessionLayer {
        SessionLayer::new(self.manager.clone())
    }

    /// The usual routes, in the usual layer.
    pub(crate) fn app(&self) -> Router {
        routes().layer(self.layer())
    }

    pub(crate) fn on_read(&self, behaviour: Behaviour) {
        self.store.reads.set(behaviour);
    }

    pub(crate) fn on_write(&self, behaviour: Behaviour) {
        self.store.writes.set(behaviour);
    }
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/plain", get(|| async { "plain" }).post(|| async { "plain" }))
        .route("/read", get(|session: Session| async move { Ok::<_, Rejection>(number(session.get(COUNT)?)) }))
        .route(
            "/count",
            post(|session: Session| async move {
                session.update(COUNT, |count| *count += 1)?;
                Ok::<_, Rejection>("counted")
            }),
        )
        .route(
            "/note",
            post(|session: Session, note: String| async move {
                session.insert(NOTE, &note)?;
                Ok::<_, Rejection>("noted")
            }),
        )
        .route(
            "/login/{user}",
            post(|session: Session, Path(user): Path<String>| async move {
                session.login(Login::new(UserId::new(user).unwrap()).carry_over(NOTE))?;
                Ok::<_, Rejection>("welcome")
            }),
        )
        .route(
            "/step-up/{user}",
            post(|session: Session, Path(user): Path<String>| async move {
                session.step_up(StepUp::new(UserId::new(user).unwrap()))?;
                Ok::<_, Rejection>("thanks")
            }),
        )
        .route(
            "/logout",
            post(|session: Session| async move {
                session.logout()?;
                Ok::<_, Rejection>(StatusCode::NO_CONTENT)
            }),
        )
        .route("/me", get(|session: Authenticated| async move { session.user().as_str().to_owned() }))
        .route("/fresh", get(|session: Fresh<300>| async move { session.user().as_str().to_owned() }))
}

fn number(count: Option<u64>) -> String {
    count.unwrap_or_default().to_string()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of<B: axum::body::HttpBody<Data = Bytes>>(response: Response<B>) -> Self
    where
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The `name=value` of the one `Set-Cookie`, as a client sends it back.
    pub(crate) fn cookie(&self) -> String {
        let [cookie] = self.all("set-cookie")[..] else { panic!("one Set-Cookie expected: {:?}", self.headers) };
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Asserts that this is the library's own answer for a rejection, and that no cookie changes.
    #[track_caller]
    pub(crate) fn assert_rejected(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.text()), (status, &*format!("{{\"error\":\"{code}\"}}")));
        assert_eq!(self.all("content-type"), ["application/json"]);
        assert_eq!(self.all("set-cookie"), [""; 0]);
    }
}

pub(crate) fn request(method: &str, path: &str, cookie: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "shop.example");
    if !cookie.is_empty() {
        request = request.header("cookie", cookie);
    }
    request.body(Body::empty()).unwrap()
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    Answer::of(app.clone().oneshot(request).await.unwrap()).await
}

pub(crate) async fn call(app: &Router, method: &str, path: &str, cookie: &str) -> Answer {
    send(app, request(method, path, cookie)).await
}

/// A router with one route, `/`, for every method.
pub(crate) fn single<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/", axum::routing::any(handler))
}

/// The text of a `Set-Cookie` with its token replaced.
pub(crate) fn masked(set_cookie: &str) -> String {
    let (name, rest) = set_cookie.split_once('=').unwrap();
    let (value, attributes) = rest.split_once(';').unwrap();
    let value = match value.len() {
        0 => "",
        64 => "<token>",
        other => panic!("a value of {other} characters"),
    };
    format!("{name}={value};{attributes}")
}
