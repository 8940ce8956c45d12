//! A site whose store fails on demand, and a client that compares every byte.

use std::future::ready;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{self, Bytes, Path, ServiceConfig};
use actix_web::{App, Error, Handler, HttpResponse, Responder};
use session_actix::{Authenticated, Fresh, Rejection, Session, SessionMiddleware};
use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::store::Freshness;
use session_core::{
    Event, EventKind, Key, Login, ManualClock, Policy, SessionManager, SessionObserver, StepUp, StoreError,
    StoreErrorKind, UserId,
};

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

    pub(crate) fn middleware(&self) -> SessionMiddleware {
        SessionMiddleware::new(self.manager.clone())
    }

    /// The usual routes, in the usual middleware.
    pub(crate) async fn app(&self) -> Served {
        self.app_with(|_| ()).await
    }

    /// Beside others.
    pub(crate) async fn app_with(&self, others: impl FnOnce(&mut ServiceConfig)) -> Served {
        serve(App::new().wrap(self.middleware()).configure(others).configure(routes)).await
    }

    pub(crate) fn on_read(&self, behaviour: Behaviour) {
        self.store.reads.set(behaviour);
    }

    pub(crate) fn on_write(&self, behaviour: Behaviour) {
        self.store.writes.set(behaviour);
    }
}

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/plain", web::get().to(|| ready("plain")))
        .route("/plain", web::post().to(|| ready("plain")))
        .route("/read", web::get().to(async |session: Session| Ok::<_, Rejection>(number(session.get(COUNT)?))))
        .route("/count", web::post().to(count))
        .route("/note", web::post().to(note))
        .route("/login/{user}", web::post().to(login))
        .route("/step-up/{user}", web::post().to(step_up))
        .route("/logout", web::post().to(logout))
        .route("/me", web::get().to(async |session: Authenticated| session.user().as_str().to_owned()))
        .route("/fresh", web::get().to(async |session: Fresh<300>| session.user().as_str().to_owned()));
}

async fn count(session: Session) -> Result<&'static str, Rejection> {
    session.update(COUNT, |count| *count += 1)?;
    Ok("counted")
}

async fn note(session: Session, note: String) -> Result<&'static str, Rejection> {
    session.insert(NOTE, &note)?;
    Ok("noted")
}

async fn login(session: Session, user: Path<String>) -> Result<&'static str, Rejection> {
    session.login(Login::new(UserId::new(user.into_inner()).unwrap()).carry_over(NOTE))?;
    Ok("welcome")
}

async fn step_up(session: Session, user: Path<String>) -> Result<&'static str, Rejection> {
    session.step_up(StepUp::new(UserId::new(user.into_inner()).unwrap()))?;
    Ok("thanks")
}

async fn logout(session: Session) -> Result<HttpResponse, Rejection> {
    session.logout()?;
    Ok(HttpResponse::NoContent().finish())
}

fn number(count: Option<u64>) -> String {
    count.unwrap_or_default().to_string()
}

type Answered = Pin<Box<dyn Future<Output = Result<ServiceResponse, Error>>>>;

/// An application that is served.
pub(crate) struct Served(Box<dyn Fn(TestRequest) -> Answered>);

impl Served {
    /// The response in flight. Dropped, the request is.
    pub(crate) fn begin(&self, request: TestRequest) -> Answered {
        self.0(request)
    }
}

pub(crate) async fn serve<T, B>(app: App<T>) -> Served
where
    T: ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<B>, Error = Error, InitError = ()>,
    T: 'static,
    B: MessageBody + 'static,
{
    let service = init_service(app).await;
    Served(Box::new(move |request| {
        let answered = service.call(request.to_request());
        Box::pin(async move { Ok(answered.await?.map_into_boxed_body()) })
    }))
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of<B: MessageBody>(response: HttpResponse<B>) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: to_bytes(response.into_body()).await.ok().unwrap() }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).map(|value| value.to_str().unwrap()).collect()
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

pub(crate) fn request(method: &str, path: &str, cookie: &str) -> TestRequest {
    let request = TestRequest::with_uri(path).method(method.parse().unwrap()).insert_header(("host", "shop.example"));
    if cookie.is_empty() { request } else { request.insert_header(("cookie", cookie)) }
}

pub(crate) async fn send(app: &Served, request: TestRequest) -> Answer {
    // An extractor that does not return must have left an answer.
    let answered = tokio::time::timeout(Duration::from_secs(20), app.begin(request)).await;
    match answered.expect("an answer") {
        Ok(response) => Answer::of(response.into_parts().1).await,
        // As the server does.
        Err(error) => Answer::of(error.error_response()).await,
    }
}

pub(crate) async fn call(app: &Served, method: &str, path: &str, cookie: &str) -> Answer {
    send(app, request(method, path, cookie)).await
}

/// One route, `/`, for every method.
pub(crate) fn single<F, Args>(handler: F) -> impl FnOnce(&mut ServiceConfig)
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: actix_web::FromRequest + 'static,
{
    move |config| {
        config.route("/", web::to(handler));
    }
}

/// A response with these headers.
pub(crate) fn with_headers(headers: &[(&'static str, &'static str)]) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for (name, value) in headers {
        response.append_header((HeaderName::from_static(name), *value));
    }
    response.finish()
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
