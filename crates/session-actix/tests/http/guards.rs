//! The guard against cross-site request forgery, `Authenticated` and `Fresh`, what events say, and plain http; seen from
//! outside. The rules are tested in session-core.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::test::TestRequest;
use actix_web::{App, Error, HttpMessage as _, web};
use async_trait::async_trait;
use session_actix::{
    Authenticated, Bearer, Enforcement, MissingOrigin, OriginGuard, RequestInfo, Session, SessionMiddleware,
};
use session_conformance::ReferenceStore;
use session_core::store::Freshness;
use session_core::{
    Event, EventKind, OriginRefusal, Policy, RequestContext, SessionManager, VisitorDecision, VisitorGate,
};
use session_testbed::Log;
use tokio::sync::broadcast;

use crate::common::{Answer, Served, Site, call, request, routes, send, serve, single};

#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.assert_rejected(403, "cross_origin");
    assert_eq!(answer.all("vary"), ["Sec-Fetch-Site, Origin"]);
}

/// `SameSite=Strict` changes nothing: the guard does not rely on it.
#[tokio::test]
async fn logins_and_anonymous_sessions_are_covered_and_nothing_is_stored() {
    let site = Site::new(Policy::high_assurance());
    let app = site.app().await;
    for path in ["/login/mallory", "/count", "/logout", "/plain"] {
        let request = request("POST", path, "").insert_header(("sec-fetch-site", "cross-site"));
        assert_refused(&send(&app, request).await);
        assert_eq!(site.events.take(), [EventKind::CrossOrigin(OriginRefusal::OtherSite)]);
    }
    assert_eq!(site.store.calls(), (0, 0));
}

fn with(request: TestRequest, headers: &[(&'static str, &str)]) -> TestRequest {
    headers.iter().fold(request, |request, header| request.append_header(*header))
}

/// The guard sees the method, the target and every header; credentials beside the cookie do not switch it off.
#[tokio::test]
async fn the_guard_sees_the_whole_head() {
    let app = Site::standard().app().await;
    let (own, evil) = ("https://shop.example", "https://evil.example");
    let get = || TestRequest::with_uri("/plain");
    let post = || TestRequest::post().uri("/plain");
    let absolute = || TestRequest::post().uri("https://shop.example/plain");
    let websocket = [("cookie", "__Host-id=x"), ("upgrade", "h2c"), ("upgrade", "websocket"), ("origin", evil)];
    for (request, headers, expected) in [
        (get(), &[("sec-fetch-site", "cross-site")][..], 200),
        (post(), &[("sec-fetch-site", "cross-site")], 403),
        (post(), &[("sec-fetch-site", "cross-site"), ("authorization", "Bearer x"), ("cookie", "__Host-id=x")], 403),
        (post(), &[("sec-fetch-site", "none"), ("origin", evil)], 200),
        (post(), &[("sec-fetch-site", "none"), ("sec-fetch-site", "none")], 403),
        (post(), &[("host", "shop.example"), ("origin", own)], 200),
        (post(), &[("host", "shop.example"), ("host", "shop.example"), ("origin", own)], 403),
        (absolute(), &[("host", "evil.example"), ("origin", own)], 200),
        (absolute(), &[("host", "evil.example"), ("origin", evil)], 403),
        (get(), &websocket, 403),
        (get(), &websocket[1..], 200),
    ] {
        assert_eq!(send(&app, with(request, headers)).await.status, expected, "{headers:?}");
    }
    assert_eq!(call(&app, "POST", "/plain", "").await.all("vary"), [""; 0], "a response that passes does not vary");
}

#[tokio::test]
async fn a_guard_of_the_application_takes_the_place_of_the_default() {
    let trusted = OriginGuard::new().trusted_origin("https://pay.example:8443").unwrap();
    let strict = OriginGuard::new().missing_origin(MissingOrigin::Refuse);
    let report_only = OriginGuard::new().enforcement(Enforcement::ReportOnly);
    let from_trusted = [("origin", "https://pay.example:8443")];
    for (guard, headers, expected, events) in [
        (OriginGuard::new(), &from_trusted[..], 403, &[EventKind::CrossOrigin(OriginRefusal::OtherHost)][..]),
        (trusted, &from_trusted, 200, &[]),
        (OriginGuard::new(), &[], 200, &[]),
        (strict, &[], 403, &[EventKind::CrossOrigin(OriginRefusal::Missing)]),
        (report_only, &from_trusted, 200, &[EventKind::CrossOrigin(OriginRefusal::OtherHost)]),
    ] {
        let site = Site::standard();
        let middleware = site.middleware().origin_guard(guard.clone());
        let app = serve(App::new().wrap(middleware).configure(routes)).await;
        let request = with(request("POST", "/plain", ""), headers);
        assert_eq!(send(&app, request).await.status, expected, "{guard:?}");
        assert_eq!(site.events.take(), events, "{guard:?}");
    }
}

#[tokio::test]
async fn authenticated_means_logged_in_and_nothing_less() {
    let site = Site::standard();
    let app = site.app().await;
    let answer = call(&app, "GET", "/me", "").await;
    answer.assert_rejected(401, "unauthenticated");
    assert_eq!(answer.all("www-authenticate"), ["Cookie"], "a 401 has a challenge (RFC 9110)");
    let anonymous = call(&app, "POST", "/count", "").await.cookie();
    call(&app, "GET", "/me", &anonymous).await.assert_rejected(401, "unauthenticated");
    let cookie = call(&app, "POST", "/login/alice", &anonymous).await.cookie();
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
    call(&app, "GET", "/me", &anonymous).await.assert_rejected(401, "unauthenticated");
}

#[tokio::test]
async fn authenticated_keeps_the_user_that_was_logged_in() {
    let site = Site::standard();
    let leave = async |session: Authenticated| {
        session.logout().unwrap();
        let inner: &Session = &session;
        assert_eq!(inner.user(), None);
        session.user().as_str().to_owned()
    };
    let app = site.app_with(single(leave)).await;
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(call(&app, "POST", "/", &cookie).await.text(), "alice");
    call(&app, "GET", "/me", &cookie).await.assert_rejected(401, "unauthenticated");
}

/// Activity is no proof of identity. The guard of a sensitive action reads the store.
#[tokio::test]
async fn fresh_ends_exactly_at_its_age_and_a_step_up_renews_it() {
    let site = Site::standard();
    let app = site.app().await;
    call(&app, "GET", "/fresh", "").await.assert_rejected(401, "unauthenticated");
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    site.clock.advance(Duration::from_millis(299_999));
    site.store.take_loads();
    assert_eq!(call(&app, "GET", "/fresh", &cookie).await.text(), "alice");
    assert_eq!(site.store.take_loads().last(), Some(&Freshness::Latest));
    call(&app, "POST", "/count", &cookie).await;
    site.clock.advance(Duration::from_millis(1));
    call(&app, "GET", "/fresh", &cookie).await.assert_rejected(403, "reauthentication_required");
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
    let cookie = call(&app, "POST", "/step-up/alice", &cookie).await.cookie();
    assert_eq!(call(&app, "GET", "/fresh", &cookie).await.text(), "alice");
}

/// Refuses every visitor, and remembers the requests.
#[derive(Clone, Debug, Default)]
struct Closed(Arc<Mutex<Vec<RequestContext>>>);

#[async_trait]
impl VisitorGate for Closed {
    async fn admit(&self, request: Option<&RequestContext>) -> VisitorDecision {
        self.0.lock().unwrap().extend(request.cloned());
        VisitorDecision::Refuse
    }
}

async fn describe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let info = RequestInfo::new().client("::ffff:192.0.2.1".parse().unwrap()).request_id("r-\n1");
    request.extensions_mut().insert(info);
    next.call(request).await
}

#[tokio::test]
async fn the_application_says_who_sent_a_request_and_by_which_id_it_is_known() {
    let (events, mut audit) = broadcast::channel::<Event>(16);
    let gate = Closed::default();
    let builder = SessionManager::builder(Arc::new(ReferenceStore::new())).policy(Policy::standard());
    let manager = builder.observer(events).visitor_gate(gate.clone()).build();
    let shop = web::scope("/shop").wrap(SessionMiddleware::new(manager)).configure(routes);
    let app = serve(App::new().service(shop).wrap(from_fn(describe))).await;

    let refused = call(&app, "POST", "/shop/count", "").await;
    refused.assert_rejected(429, "visitor_refused");
    let event = audit.try_recv().unwrap();
    assert_eq!(event.kind, EventKind::VisitorRefused);
    for context in [&**event.request.as_ref().unwrap(), &gate.0.lock().unwrap()[0]] {
        assert_eq!((&*context.method, &*context.path), ("POST", "/shop/count"));
        assert_eq!(context.client, Some([192, 0, 2, 1].into()), "an IPv4 address is one");
        assert_eq!(context.request_id.as_deref(), Some("r-\u{fffd}1"), "nothing that breaks a log line");
    }
}

/// Once for a site, whatever the number of its workers: clones of a middleware share the guard.
#[tokio::test]
async fn a_login_that_the_browser_will_lose_is_noticed_once() {
    let site = Site::standard();
    let middleware = site.middleware();
    let worker = async || serve(App::new().wrap(middleware.clone()).configure(routes)).await;
    let log_in = async |app: &Served, origin: &str, host: &str| {
        let request = TestRequest::post().uri("/login/alice");
        assert_eq!(send(app, with(request, &[("origin", origin), ("host", host)])).await.status, 200);
    };
    let (log, _guard) = Log::keep();
    let (one, two) = (worker().await, worker().await);
    log_in(&one, "https://shop.lan", "shop.lan").await;
    log_in(&one, "http://127.0.0.1:3000", "127.0.0.1:3000").await;
    assert_eq!(log.take(), [] as [String; 0]);
    log_in(&one, "http://shop.lan", "shop.lan").await;
    let lines = log.take();
    let [line] = &*lines else { panic!("{lines:?}") };
    for part in ["WARN session: ", "is Secure", "plain http", "local_development", "shop.lan"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    log_in(&one, "http://shop.lan", "shop.lan").await;
    log_in(&two, "http://shop.lan", "shop.lan").await;
    assert_eq!(log.take(), [] as [String; 0], "once is enough");
}

/// actix-web would make `None` of it, and say nothing. Once in each worker, for each kind of extractor: it may be meant so.
#[test]
fn routes_without_a_middleware_are_errors_in_the_log() {
    let worker = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = App::new()
                .route("/session", web::get().to(async |session: Option<Session>| session.is_some().to_string()))
                .route("/user", web::get().to(async |user: Option<Authenticated>| user.is_some().to_string()))
                .route("/token", web::get().to(async |bearer: Option<Bearer>| bearer.is_some().to_string()));
            let app = serve(app).await;
            let (log, _guard) = Log::keep();
            for path in ["/session", "/user", "/token"] {
                assert_eq!(call(&app, "GET", path, "").await.text(), "false");
                let lines = log.take();
                assert!(
                    matches!(&*lines, [line] if line.contains("ERROR session") && line.contains(".wrap(")),
                    "{lines:?}"
                );
                assert_eq!(call(&app, "GET", path, "").await.text(), "false");
                assert_eq!(log.take(), [] as [String; 0], "once is enough");
            }
        });
    };
    // A thread without other tests.
    std::thread::spawn(worker).join().unwrap();
}
