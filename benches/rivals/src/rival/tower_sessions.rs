//! tower-sessions, with its stores. Changes the id at login; overwrites without comparing.
//!
//! Its `CachingSessionStore` is only in the cases of caches: other processes change what it has cached, and it does not notice.

use time::Duration;
use tower_sessions_014 as v014;
use tower_sessions_moka_store::MokaStore;
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{Client, ClientLike as _, Config, Pool};
use tower_sessions_sqlx_store::PostgresStore;
use tower_sessions_sqlx_store::sqlx::postgres::PgPoolOptions;

use crate::app::{App, POSTGRES_CONNECTIONS, Profile, TTL, of_router};
use crate::site::{Session, routes};

/// 0.15 with its own store.
pub async fn memory() -> App {
    use ::tower_sessions::{Expiry, MemoryStore, SessionManagerLayer};
    let expiry = Expiry::OnInactivity(Duration::seconds(TTL.into()));
    of_router(
        routes::<::tower_sessions::Session>()
            .layer(SessionManagerLayer::new(MemoryStore::default()).with_expiry(expiry)),
    )
}

/// In this process.
pub async fn moka() -> App {
    app(MokaStore::new(None))
}

/// The pool of six connections that its example has.
pub async fn redis_pool(url: &str) -> App {
    let pool = Pool::new(Config::from_url(url).unwrap(), None, None, None, 6).unwrap();
    pool.init().await.unwrap();
    app(RedisStore::new(pool))
}

/// One connection.
pub async fn redis(url: &str) -> App {
    let client = Client::new(Config::from_url(url).unwrap(), None, None, None);
    client.init().await.unwrap();
    app(RedisStore::new(client))
}

/// One connection, with its cache in front.
pub async fn cached(url: &str) -> App {
    let client = Client::new(Config::from_url(url).unwrap(), None, None, None);
    client.init().await.unwrap();
    app(v014::CachingSessionStore::new(MokaStore::new(None), RedisStore::new(client)))
}

/// PostgreSQL.
pub async fn postgres(url: &str) -> App {
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).min_connections(POSTGRES_CONNECTIONS);
    let store = PostgresStore::new(pool.connect(url).await.unwrap());
    store.migrate().await.unwrap();
    app(store)
}

fn app(store: impl v014::SessionStore + Clone) -> App {
    let expiry = v014::Expiry::OnInactivity(Duration::seconds(TTL.into()));
    of_router(routes::<v014::Session>().layer(v014::SessionManagerLayer::new(store).with_expiry(expiry)))
}

macro_rules! session {
    ($session:ty) => {
        impl Session for $session {
            async fn get(&self, key: &'static str) -> Option<u64> {
                self.get(key).await.unwrap()
            }

            async fn set(&self, key: &'static str, value: u64) {
                self.insert(key, value).await.unwrap();
            }

            async fn set_profile(&self) {
                self.insert("profile", Profile::new()).await.unwrap();
            }

            async fn login(&self) {
                self.cycle_id().await.unwrap();
            }

            async fn logout(&self) {
                self.flush().await.unwrap();
            }
        }
    };
}

session!(::tower_sessions::Session);
session!(v014::Session);
