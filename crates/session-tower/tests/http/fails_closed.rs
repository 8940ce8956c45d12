//! What no extractor and no guard does: let a request pass because the store that would refuse it is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::{any, get};
use session_conformance::{Intercepted, ReferenceStore};
use session_core::{Assurance, ManualClock, OsEntropy, Policy, SessionManager};
use session_jwt::{Algorithm, JwtSeal, KeyRing, Rotation};
use session_tower::{Authenticated, Fresh, Rejection, Session};

use crate::common::{Behaviour, Events, Site, Switches, call, request, routes, send};

/// Routes that count how often they are reached.
#[derive(Clone, Default)]
struct Reached(Arc<AtomicUsize>);

impl Reached {
    /// Reached if this extractor lets the request pass.
    fn by<E: FromRequestParts<()> + Send + 'static>(&self) -> axum::routing::MethodRouter {
        let reached = self.clone();
        any(async move |_: E| {
            reached.0.fetch_add(1, Ordering::SeqCst);
        })
    }

    fn routes(&self) -> Router {
        let required = async |session: Authenticated| {
            session.require_fresh(Duration::from_secs(300), Assurance::Aal1).await?;
            Ok::<_, Rejection>(())
        };
        Router::new()
            .route("/session", self.by::<Session>())
            .route("/authenticated", self.by::<Authenticated>())
            .route("/fresh", self.by::<Fresh<300>>())
            .route("/maybe-session", self.by::<Option<Session>>())
            .route("/maybe-authenticated", self.by::<Option<Authenticated>>())
            .route("/maybe-fresh", self.by::<Option<Fresh<300>>>())
            .route("/required", get(required))
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

const PATHS: [&str; 7] =
    ["/session", "/authenticated", "/fresh", "/maybe-session", "/maybe-authenticated", "/maybe-fresh", "/required"];

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
        let app = reached.routes().merge(login_routes()).layer(site.layer());
        let cookie = call(&app, "POST", "/usual/login/alice", "").await.cookie();
        let stale = call(&app, "POST", "/usual/login/bob", "").await.cookie();
        call(&app, "POST", "/usual/logout", &stale).await;
        for path in PATHS {
            assert_eq!(call(&app, "GET", path, &cookie).await.status, 200, "{kind} {path}");
        }
        assert_eq!(reached.take(), PATHS.len() - 1);
        for behaviour in [Behaviour::Fails, Behaviour::Hangs] {
            site.on_read(behaviour);
            for path in PATHS {
                for cookie in [&cookie, &stale] {
                    let answer = call(&app, "GET", path, cookie).await;
                    assert_eq!((kind, path, answer.status.as_u16()), (kind, path, 503), "{behaviour:?}");
                    answer.assert_rejected(503, "session_store_unavailable");
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
            let transfer = async move |session: Authenticated| {
                store.reads.set(behaviour);
                session.require_fresh(Duration::from_secs(300), Assurance::Aal1).await?;
                Ok::<_, Rejection>("transferred")
            };
            let app = Router::new().route("/", any(transfer)).merge(login_routes()).layer(site.layer());
            let cookie = call(&app, "POST", "/usual/login/alice", "").await.cookie();
            let answer = call(&app, "GET", "/", &cookie).await;
            assert_eq!((answer.status.as_u16(), kind), (503, kind), "{behaviour:?}");
            site.on_read(Behaviour::Works);
        }
    }
}

/// The guard against cross-site requests needs no store, and refuses before it is asked.
#[tokio::test]
async fn the_origin_guard_refuses_while_the_store_is_down() {
    let site = Site::standard();
    let app = login_routes().layer(site.layer());
    let cookie = call(&app, "POST", "/usual/login/alice", "").await.cookie();
    let before = site.store.calls();
    site.on_read(Behaviour::Fails);
    site.on_write(Behaviour::Fails);
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
        let mut request = request("POST", "/usual/count", &cookie);
        request.headers_mut().insert(name, value.parse().unwrap());
        send(&app, request).await.assert_rejected(403, "cross_origin");
    }
    assert_eq!(site.store.calls(), before);
}

/// Those of every site, apart from the paths of this one.
fn login_routes() -> Router {
    Router::new().nest("/usual", routes())
}
