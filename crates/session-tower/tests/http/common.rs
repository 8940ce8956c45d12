//! A site whose store fails on demand, and a client that compares every byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::store::Freshness;
use session_core::{
    Event, EventKind, Key, Login, ManualClock, Policy, SessionManager, SessionObserver, StepUp, StoreError,
    StoreErrorKind, UserId,
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

/// Reads or writes: how many there were, and how the next ones behave. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    count: Arc<AtomicUsize>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Calls {
    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }
}

/// What happened to the store, and what is to happen to it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switches {
    pub(crate) reads: Calls,
    pub(crate) writes: Calls,
    loads: Arc<Mutex<Vec<Freshness>>>,
}

impl Switches {
    /// The number of reads and writes.
    pub(crate) fn calls(&self) -> (usize, usize) {
        (self.reads.count.load(Ordering::SeqCst), self.writes.count.load(Ordering::SeqCst))
    }

    /// How fresh each load since the last call had to be.
    pub(crate) fn take_loads(&self) -> Vec<Freshness> {
        std::mem::take(&mut self.loads.lock().unwrap())
    }
}

impl Intercept for Switches {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.loads.lock().unwrap().extend(call.freshness);
        let calls = if matches!(call.operation, "load" | "list_by_user") { &self.reads } else { &self.writes };
        calls.count.fetch_add(1, Ordering::SeqCst);
        let behaviour = *calls.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Works => execute.await,
            Behaviour::Fails => Err(StoreError::new(StoreErrorKind::Unavailable, "told to fail")),
            Behaviour::Hangs => std::future::pending().await,
        }
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
    pub(crate) store: Switches,
    pub(crate) clock: ManualClock,
    pub(crate) events: Events,
    pub(crate) manager: SessionManager,
}

impl Site {
    pub(crate) fn new(policy: Policy) -> Self {
        let store = Switches::default();
        let clock = ManualClock::default();
        let events = Events::default();
        let manager = SessionManager::builder(Arc::new(Intercepted::new(ReferenceStore::new(), store.clone())))
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
