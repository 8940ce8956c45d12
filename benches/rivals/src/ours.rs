//! Ours, as users of the library write it, with the standard policy.
//!
//! A login is a real one: a new id and token, an index by user, the limit of ten sessions, values carried over, where rivals
//! only change the id. Each write compares versions, where rivals overwrite.

use std::time::Duration;

use actix_web::test;
use session_cache::CachedStore;
use session_core::{Key, Login, Namespace, Policy, SessionManager, UserId};
use session_moka::MokaStore;
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::RedisStore;
use session_tower::SessionLayer;

use crate::actix::{self, LocalSession};
use crate::app::{App, POSTGRES_CONNECTIONS, Profile, of_router};
use crate::site::{self, routes};

/// Of the cache: what its manual begins with.
const MAX_STALE: Duration = Duration::from_secs(5);

const PROFILE: Key<Profile> = Key::new("profile");

/// session-tower, in this process.
pub async fn moka() -> App {
    tower(SessionManager::new(MokaStore::new(), Policy::standard()))
}

/// session-tower, on Redis or Valkey.
pub async fn redis(url: &str) -> App {
    tower(on_redis(url).await)
}

/// session-tower, on Redis, with a cache in front that follows what other nodes do.
pub async fn cached(url: &str) -> App {
    let store = RedisStore::builder(url, Namespace::new("ours").unwrap()).publish_changes().connect().await.unwrap();
    let feed = Box::new(store.feed().unwrap());
    tower(SessionManager::new(CachedStore::builder(store, MAX_STALE).feed(feed).build(), Policy::standard()))
}

/// session-tower, on PostgreSQL.
pub async fn postgres(url: &str) -> App {
    let pool = recommended_pool_options().max_connections(POSTGRES_CONNECTIONS).connect(url).await.unwrap();
    let store = PostgresStore::new(pool, Namespace::new("ours").unwrap());
    store.migrate().await.unwrap();
    tower(SessionManager::new(store, Policy::standard()))
}

/// session-actix, in this process.
pub async fn actix_moka() -> App {
    in_actix(SessionManager::new(MokaStore::new(), Policy::standard())).await
}

/// session-actix, on Redis or Valkey.
pub async fn actix_redis(url: &str) -> App {
    in_actix(on_redis(url).await).await
}

async fn on_redis(url: &str) -> SessionManager {
    let store = RedisStore::connect(url, Namespace::new("ours").unwrap()).await.unwrap();
    SessionManager::new(store, Policy::standard())
}

fn tower(manager: SessionManager) -> App {
    of_router(routes::<session_tower::Session>().layer(SessionLayer::new(manager)))
}

async fn in_actix(manager: SessionManager) -> App {
    let sessions = session_actix::SessionMiddleware::new(manager);
    let app = actix_web::App::new().wrap(sessions).configure(actix::routes::<session_actix::Session>);
    actix::app(test::init_service(app).await)
}

fn get(session: &session_core::Session, key: &'static str) -> Option<u64> {
    session.get(Key::new(key)).unwrap()
}

fn set(session: &session_core::Session, key: &'static str, value: u64) {
    session.insert(Key::new(key), &value).unwrap();
}

/// Each client is a user of its own.
fn login(session: &session_core::Session) {
    let first = || UserId::new(format!("user-{}", session.id().unwrap())).unwrap();
    let mut login = Login::new(session.user().unwrap_or_else(first)).carry_over(PROFILE);
    for key in ["user_id", "counter", "login"] {
        login = login.carry_over(Key::<u64>::new(key));
    }
    session.login(login).unwrap();
}

impl site::Session for session_tower::Session {
    async fn get(&self, key: &'static str) -> Option<u64> {
        get(self, key)
    }

    async fn set(&self, key: &'static str, value: u64) {
        set(self, key, value);
    }

    async fn set_profile(&self) {
        self.insert(PROFILE, &Profile::new()).unwrap();
    }

    async fn login(&self) {
        login(self);
    }

    async fn logout(&self) {
        session_core::Session::logout(self).unwrap();
    }
}

impl LocalSession for session_actix::Session {
    fn get(&self, key: &'static str) -> Option<u64> {
        get(self, key)
    }

    fn set(&self, key: &'static str, value: u64) {
        set(self, key, value);
    }

    fn set_profile(&self) {
        self.insert(PROFILE, &Profile::new()).unwrap();
    }

    fn login(&self) {
        login(self);
    }
}
