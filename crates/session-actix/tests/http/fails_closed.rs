//! What no extractor does, whatever actix-web wraps it in: let a request pass because the store that would refuse it is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Either, FromRequest, HttpRequest, HttpResponse};
use session_actix::{Authenticated, Fresh, Rejection, RejectionKind, Session};
use session_conformance::{Intercepted, ReferenceStore};
use session_core::{Assurance, ManualClock, OsEntropy, Policy, SessionManager, UserId};
use session_jwt::{Algorithm, JwtSeal, KeyRing, Rotation};

use crate::common::{Answer, Behaviour, COUNT, Events, Served, Site, Switches, call, request, send, serve, single};

/// Routes that count how often they are reached.
#[derive(Clone, Default)]
struct Reached(Arc<AtomicUsize>);

impl Reached {
    /// Reached if this extractor lets the request pass.
    fn by<E: FromRequest + 'static>(&self) -> actix_web::Route {
        let reached = self.clone();
        web::get().to(move |_: E| {
            reached.0.fetch_add(1, Ordering::SeqCst);
            std::future::ready("passed")
        })
    }

    fn routes(&self, config: &mut ServiceConfig) {
        config
            .route("/session", self.by::<Session>())
            .route("/authenticated", self.by::<Authenticated>())
            .route("/fresh", self.by::<Fresh<300>>())
            .route("/maybe-session", self.by::<Option<Session>>())
            .route("/maybe-authenticated", self.by::<Option<Authenticated>>())
            .route("/maybe-fresh", self.by::<Option<Fresh<300>>>())
            .route("/result-session", self.by::<Result<Session, Rejection>>())
            .route("/result-authenticated", self.by::<Result<Authenticated, Rejection>>())
            .route("/result-error", self.by::<Result<Authenticated, actix_web::Error>>())
            .route("/either", self.by::<Either<Fresh<300>, HttpRequest>>())
            .route("/tuple", self.by::<(HttpRequest, Option<Authenticated>)>());
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

const PATHS: [&str; 11] = [
    "/session",
    "/authenticated",
    "/fresh",
    "/maybe-session",
    "/maybe-authenticated",
    "/maybe-fresh",
    "/result-session",
    "/result-authenticated",
    "/result-error",
    "/either",
    "/tuple",
];

/// A site whose sessions are in cookies, with a deny list that fails on demand.
fn client_side() -> Site {
    let (store, clock, events) = (Switches::default(), ManualClock::default(), Events::default());
    let rotation = Rotation::builder().verify_for(Duration::from_secs(7 * 24 * 3600)).build().unwrap();
    let ring = KeyRing::generate(Algorithm::Hs256, rotation, session_core::Clock::now(&clock), &OsEntropy).unwrap();
    let seal = JwtSeal::new("https://shop.example", ring, &Policy::standard()).unwrap();
    let deny_list = Arc::new(Intercepted::new(ReferenceStore::new(), store.clone()));
    let manager = SessionManager::client_side(seal, Some(deny_list)).clock(clock.clone()).observer(events.clone());
    Site { store, clock, events, manager: manager.build() }
}

#[tokio::test(start_paused = true)]
async fn no_extractor_lets_anybody_pass_while_the_store_or_the_deny_list_is_down() {
    for (kind, site) in [("store", Site::standard()), ("deny list", client_side())] {
        let reached = Reached::default();
        let app = site.app_with(|config| reached.routes(config)).await;
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        let stale = call(&app, "POST", "/login/bob", "").await.cookie();
        call(&app, "POST", "/logout", &stale).await;
        for path in PATHS {
            assert_eq!(call(&app, "GET", path, &cookie).await.status, 200, "{kind} {path}");
        }
        assert_eq!(reached.take(), PATHS.len());
        for behaviour in [Behaviour::Fails, Behaviour::Hangs] {
            site.on_read(behaviour);
            for path in PATHS {
                for cookie in [&cookie, &stale] {
                    let answer = call(&app, "GET", path, cookie).await;
                    assert_eq!((kind, path, answer.status.as_u16()), (kind, path, 503), "{behaviour:?}");
                    answer.assert_rejected(503, "session_store_unavailable");
                    assert_eq!(answer.all("vary"), ["Cookie"]);
                }
            }
            assert_eq!(reached.take(), 0, "{kind}: {behaviour:?}");
            site.on_read(Behaviour::Works);
        }
        assert_eq!(call(&app, "GET", "/authenticated", &cookie).await.status, 200, "{kind}: nobody was logged out");
        call(&app, "GET", "/authenticated", &stale).await.assert_rejected(401, "unauthenticated");
    }
}

/// What was read in time is no permission for what is asked later.
#[tokio::test(start_paused = true)]
async fn a_guard_after_the_load_asks_again() {
    for (kind, site) in [("store", Site::standard()), ("deny list", client_side())] {
        for behaviour in [Behaviour::Fails, Behaviour::Hangs] {
            let store = site.store.clone();
            let transfer = move |session: Authenticated| {
                store.reads.set(behaviour);
                async move {
                    session.require_fresh(Duration::from_secs(300), Assurance::Aal1).await?;
                    Ok::<_, Rejection>("transferred")
                }
            };
            let app = site.app_with(single(transfer)).await;
            let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
            let answer = call(&app, "GET", "/", &cookie).await;
            assert_eq!((answer.status.as_u16(), kind), (503, kind), "{behaviour:?}");
            site.on_read(Behaviour::Works);
        }
    }
}

/// Who each of the extractors found, in a letter: none, visitor, user.
fn letter(user: Option<Option<UserId>>) -> &'static str {
    match user {
        None => "-",
        Some(None) => "v",
        Some(Some(_)) => "u",
    }
}

fn optional(config: &mut ServiceConfig) {
    config
        .route("/s", web::get().to(async |it: Option<Session>| letter(it.map(|it| it.user()))))
        .route("/a", web::get().to(async |it: Option<Authenticated>| letter(it.map(|it| Some(it.user().clone())))))
        .route("/f", web::get().to(async |it: Option<Fresh<300>>| letter(it.map(|it| Some(it.user().clone())))));
}

async fn found(app: &Served, cookie: &str) -> String {
    let mut letters = String::new();
    for path in ["/s", "/a", "/f"] {
        let answer = call(app, "GET", path, cookie).await;
        assert_eq!(answer.status, 200, "{path}");
        letters.push_str(answer.text());
    }
    letters
}

#[tokio::test]
async fn none_is_not_logged_in_or_too_long_ago() {
    let site = Site::standard();
    let app = site.app_with(optional).await;
    assert_eq!(found(&app, "").await, "v--");
    assert_eq!(found(&app, "__Host-id=x").await, "v--");
    let anonymous = call(&app, "POST", "/count", "").await.cookie();
    assert_eq!(found(&app, &anonymous).await, "v--");
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(found(&app, &cookie).await, "uuu");
    site.clock.advance(Duration::from_secs(299));
    assert_eq!(found(&app, &cookie).await, "uuu");
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(found(&app, &cookie).await, "uu-");
    site.manager.revoke_all(&UserId::new("alice").unwrap()).await.unwrap();
    assert_eq!(found(&app, &cookie).await, "v--");
}

/// What an `Err` says is that there is nothing, and why.
#[tokio::test]
async fn a_result_says_why_there_is_nothing() {
    async fn why<E>(found: Result<E, Rejection>) -> String {
        found.map_or_else(|rejection| rejection.code().to_owned(), |_| "found".to_owned())
    }
    let site = Site::standard();
    let app = site.app_with(|config| {
        config.route("/a", web::get().to(why::<Authenticated>)).route("/f", web::get().to(why::<Fresh<300>>));
    });
    let app = app.await;
    assert_eq!(call(&app, "GET", "/a", "").await.text(), "unauthenticated");
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    site.clock.advance(Duration::from_secs(300));
    assert_eq!(call(&app, "GET", "/a", &cookie).await.text(), "found");
    assert_eq!(call(&app, "GET", "/f", &cookie).await.text(), "reauthentication_required");
}

/// `Fresh` loads a second time. A handler that is ended there leaves nothing behind of what it had begun.
#[tokio::test]
async fn a_session_that_ends_or_a_store_that_fails_between_two_loads() {
    async fn second(site: &Site, meanwhile: impl Fn() + Clone + 'static) -> Answer {
        let between = move |session: Session, request: HttpRequest| {
            session.update(COUNT, |count| *count += 1).unwrap();
            meanwhile();
            async move {
                let fresh = Option::<Fresh<300>>::extract(&request).await;
                fresh.map(|fresh| letter(fresh.map(|session| Some(session.user().clone()))))
            }
        };
        let app = site.app_with(single(between)).await;
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        let answer = call(&app, "GET", "/", &cookie).await;
        site.on_read(Behaviour::Works);
        let expected = if answer.status == 200 && answer.text() == "u" { "1" } else { "0" };
        assert_eq!(call(&app, "GET", "/read", &cookie).await.text(), expected);
        answer
    }
    let site = Site::standard();
    assert_eq!(second(&site, || ()).await.text(), "u");

    let site = Site::standard();
    let store = site.store.clone();
    let answer = second(&site, move || store.reads.set(Behaviour::Fails)).await;
    answer.assert_rejected(503, "session_store_unavailable");
    assert_eq!((answer.all("vary"), answer.all("cache-control")), (vec!["Cookie"], vec!["private, no-store"]));
    assert_eq!(site.store.calls().1, 1, "the login");

    let site = Site::standard();
    let clock = site.clock.clone();
    let answer = second(&site, move || clock.advance(Duration::from_secs(30 * 60))).await;
    assert_eq!(answer.text(), "-", "it expired after the first load");
}

/// A handler that gives up on its extractor, or waits for it elsewhere, is ended all the same.
#[tokio::test]
async fn whoever_does_not_wait_for_the_extractor_is_answered_all_the_same() {
    use futures::FutureExt as _;

    let site = Site::standard();
    let impatient = async |request: HttpRequest| {
        let user = Option::<Authenticated>::extract(&request).now_or_never();
        if user.is_some() { "user" } else { "visitor" }
    };
    let elsewhere = async |request: HttpRequest| {
        let task = tokio::task::spawn_local(async move { Option::<Authenticated>::extract(&request).await });
        if task.await.unwrap().unwrap().is_some() { "user" } else { "visitor" }
    };
    let app = site.app_with(|config| {
        config.route("/impatient", web::get().to(impatient)).route("/elsewhere", web::get().to(elsewhere));
    });
    let app = app.await;
    let local = tokio::task::LocalSet::new();
    let work = local.run_until(async {
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        for path in ["/impatient", "/elsewhere"] {
            site.on_read(Behaviour::Works);
            assert_eq!(call(&app, "GET", path, &cookie).await.text(), "user");
            site.on_read(Behaviour::Fails);
            call(&app, "GET", path, &cookie).await.assert_rejected(503, "session_store_unavailable");
        }
    });
    work.await;
    // The task was told that its request is over.
    tokio::time::timeout(Duration::from_secs(10), local).await.expect("no task is left");
}

/// Only `Option<Session>` is for this, but actix-web makes `None` of all; the log has an error.
#[tokio::test]
async fn without_a_middleware() {
    let app = serve(App::new().configure(optional)).await;
    for path in ["/s", "/a", "/f"] {
        assert_eq!(call(&app, "GET", path, "").await.text(), "-");
    }
}

#[tokio::test]
async fn the_session_of_a_visitor_can_be_written_through_an_option() {
    let site = Site::standard();
    let writes = async |session: Option<Session>| {
        if let Some(session) = session {
            session.update(COUNT, |count| *count += 1)?;
        }
        Ok::<_, Rejection>("")
    };
    let app = site.app_with(single(writes)).await;
    let cookie = call(&app, "POST", "/", "").await.cookie();
    assert_eq!(call(&app, "GET", "/read", &cookie).await.text(), "1");
}

/// Whoever wants to answer a failed store otherwise words the rejection.
#[tokio::test]
async fn a_store_that_fails_can_be_worded() {
    let site = Site::standard();
    let words = |rejection: Rejection, _: &_| {
        assert_eq!(rejection.kind(), RejectionKind::StoreUnavailable);
        HttpResponse::ServiceUnavailable().body("back soon")
    };
    let app = serve(App::new().wrap(site.middleware().on_rejection(words)).configure(optional)).await;
    let login = site.app().await;
    let cookie = call(&login, "POST", "/login/alice", "").await.cookie();
    site.on_read(Behaviour::Fails);
    assert_eq!(call(&app, "GET", "/a", &cookie).await.text(), "back soon");
}

/// The guard against cross-site requests needs no store, and refuses before it is asked.
#[tokio::test]
async fn the_origin_guard_refuses_while_the_store_is_down() {
    let site = Site::standard();
    let app = site.app().await;
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let before = site.store.calls();
    site.on_read(Behaviour::Fails);
    site.on_write(Behaviour::Fails);
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
        let request = request("POST", "/count", &cookie).insert_header((name, value));
        send(&app, request).await.assert_rejected(403, "cross_origin");
    }
    assert_eq!(site.store.calls(), before);
}
