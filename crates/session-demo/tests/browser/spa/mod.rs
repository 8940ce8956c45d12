//! Single-page applications, with the refresh token in a cookie. The demo keeps its refresh tokens in bodies, so each test has
//! a server of its own: the token routes, and a resource that asks the store.

mod origins;
mod tabs;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;
use session_core::{
    CookiePolicy, Event, EventKind, Login, ManualClock, OsEntropy, Policy, SameSite, SessionManager, SessionObserver,
    SessionSummary, UserId,
};
use session_jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, Attempt, KeyRing, Rotation, TokenPolicy,
    TokenService,
};
use session_moka::MokaStore;
use session_testbed::browser::{Context, Cookie, Page};
use session_tower::{Authenticator, BearerLayer, LiveBearer, OriginGuard, TokenRoutes};
use tokio::sync::Semaphore;
use tower_http::cors::CorsLayer;

use crate::bed::{BLANK, bed};

/// What of the server is different from test to test.
struct Options<'a> {
    refresh: Refresh,
    /// The origin that CORS answers with credentials.
    cors: Option<&'a str>,
    /// The origin that the guard trusts.
    trusted: Option<&'a str>,
}

/// Where refresh tokens are.
#[derive(Clone, Copy, PartialEq)]
enum Refresh {
    Cookie,
    Body,
}

impl Options<'_> {
    /// For pages of its own origin.
    const COOKIE: Self = Self { refresh: Refresh::Cookie, cors: None, trusted: None };
}

/// The server of an application, and what a test sees and moves of it.
struct Server {
    origin: String,
    manager: SessionManager,
    /// Stands still unless a test moves it.
    clock: ManualClock,
    events: Events,
    log: Log,
    gate: Gate,
}

impl Server {
    /// At `https://<name>.spa.example.test`.
    async fn start(name: &str, options: Options<'_>) -> Self {
        let (clock, events, log, gate) = (ManualClock::default(), Events::default(), Log::default(), Gate::default());
        let manager = SessionManager::builder(Arc::new(MokaStore::new()))
            .policy(Policy::standard())
            .clock(clock.clone())
            .observer(events.clone())
            .build();
        let names = TokenPolicy::new("https://login.example.test", "https://api.example.test").unwrap();
        let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), manager.now(), &OsEntropy).unwrap();
        let access = Arc::new(AccessTokens::new(names, ring).unwrap());
        let tokens = Arc::new(TokenService::new(manager.clone(), access, Book).unwrap());

        let mut routes = TokenRoutes::new(Arc::clone(&tokens), Book);
        if options.refresh == Refresh::Cookie {
            let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).build().unwrap();
            routes = routes.refresh_in_cookie(cookie).unwrap();
        }
        if let Some(origin) = options.trusted {
            routes = routes.origin_guard(OriginGuard::new().trusted_origin(origin).unwrap());
        }
        let me = get(|bearer: LiveBearer| async move { bearer.user.as_str().to_owned() });
        let mut app = Router::new()
            .route("/api/me", me)
            .layer(BearerLayer::new(tokens))
            .nest("/api", routes.router())
            .layer(from_fn_with_state(gate.clone(), Gate::pass));
        if let Some(origin) = options.cors {
            let cors = CorsLayer::new()
                .allow_origin(HeaderValue::from_str(origin).unwrap())
                .allow_credentials(true)
                .allow_methods([Method::GET, Method::POST])
                .allow_headers([AUTHORIZATION, CONTENT_TYPE]);
            app = app.layer(cors);
        }
        let app = app.layer(from_fn_with_state(log.clone(), Log::pass));
        let origin = bed().await.applications.add(name, app);
        Self { origin, manager, clock, events, log, gate }
    }

    /// How many sessions alice has.
    async fn sessions(&self) -> usize {
        self.manager.list(&UserId::new("alice").unwrap()).await.unwrap().len()
    }
}

/// Everybody's password is "right".
#[derive(Debug)]
struct Book;

#[async_trait]
impl Accounts for Book {
    async fn status(&self, _: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[async_trait]
impl Authenticator for Book {
    type Credentials = Credentials;

    async fn authenticate(&self, credentials: Credentials, _: &Parts) -> Result<Attempt, AccountsError> {
        let user = UserId::new(credentials.username).ok().filter(|_| credentials.password == "right");
        Ok(user.map(|user| Login::new(user).method("pwd")).into())
    }
}

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

impl Events {
    /// Those since the last call.
    fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What arrived, and was answered: `POST /api/token 200`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    async fn pass(State(log): State<Self>, request: Request, next: Next) -> Response {
        let head = format!("{} {}", request.method(), request.uri().path());
        let answer = next.run(request).await;
        log.0.lock().unwrap().push(format!("{head} {}", answer.status().as_u16()));
        answer
    }

    /// Those since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Keeps back answers to refreshes: what was to be done is done, and the browser does not know it yet.
#[derive(Clone)]
struct Gate {
    to_keep: Arc<AtomicUsize>,
    kept: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        Self { to_keep: Arc::default(), kept: none(), released: none() }
    }
}

impl Gate {
    async fn pass(State(gate): State<Self>, request: Request, next: Next) -> Response {
        let is_refresh = request.uri().path() == "/api/token/refresh";
        let one_less = |left: usize| left.checked_sub(1);
        let keep = is_refresh && gate.to_keep.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        let answer = next.run(request).await;
        if keep {
            gate.kept.add_permits(1);
            gate.released.acquire().await.unwrap().forget();
        }
        answer
    }

    /// Keeps back the answer to the next refresh that arrives.
    fn keep_next(&self) {
        self.to_keep.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until it is there.
    async fn kept(&self) {
        self.kept.acquire().await.unwrap().forget();
    }

    /// Sends it.
    fn release(&self) {
        self.released.add_permits(1);
    }
}

/// What the scripts of an application have in common. `call` resolves to the status, 0 if the browser shows no answer, and
/// what is in the body.
const SCRIPT: &str = "
    globalThis.call = async (url, how = {}) => {
        try {
            const answer = await fetch(url, { method: 'POST', ...how });
            const text = await answer.text();
            return [answer.status, text.startsWith('{') ? JSON.parse(text) : text];
        } catch (error) {
            return [0, String(error)];
        }
    };
    globalThis.json = value => ({ headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) });
    globalThis.alice = { username: 'alice', password: 'right' };
    globalThis.bearer = token => ({ method: 'GET', headers: { authorization: 'Bearer ' + token } });
    globalThis.moment = longest => new Promise(later => setTimeout(later, Math.random() * longest));
    true";

/// A page with those scripts.
struct Tab(Page);

impl Tab {
    /// A new one of this person.
    async fn open(person: &Context, origin: &str) -> Self {
        let tab = Self(person.page().await.unwrap());
        tab.load(origin).await;
        tab
    }

    async fn load(&self, origin: &str) {
        self.0.open(&format!("{origin}{BLANK}")).await.unwrap();
        self.0.evaluate(SCRIPT).await.unwrap();
    }

    /// The value of an expression.
    async fn run(&self, script: &str) -> Value {
        self.0.evaluate(script).await.unwrap()
    }

    /// What a `call` resolves to.
    async fn call(&self, arguments: &str) -> (u64, Value) {
        let mut answer = self.run(&format!("call({arguments})")).await;
        (answer[0].as_u64().unwrap(), answer[1].take())
    }
}

/// The refresh cookie, the only one that the person has, which no script sees.
async fn cookie(person: &Context) -> Cookie {
    let cookies = person.cookies().await.unwrap();
    let [cookie] =
        <[Cookie; 1]>::try_from(cookies).unwrap_or_else(|cookies| panic!("one cookie expected: {cookies:?}"));
    let Cookie { name, path, secure, http_only, same_site, .. } = &cookie;
    assert_eq!((&**name, &**path, *secure, *http_only), ("__Host-refresh", "/", true, true));
    assert_eq!(same_site.as_deref(), Some("Strict"));
    cookie
}
