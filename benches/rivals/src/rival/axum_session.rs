//! axum_session. Changes the id at login; overwrites without comparing.
//!
//! On a server, its memory is off, but in the cases of caches: other processes change what it has cached, and it does not notice.

use ::axum_session::{DatabasePool, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use axum_session_redispool::SessionRedisPool;
use axum_session_sqlx::SessionPgPool;
use sqlx::postgres::PgPoolOptions;
use time::Duration;

use crate::app::{App, POSTGRES_CONNECTIONS, Profile, of_router};
use crate::site::{Session, routes};

/// In this process.
pub async fn memory() -> App {
    app(None::<SessionNullPool>, SessionConfig::default()).await
}

/// Redis.
pub async fn redis(url: &str) -> App {
    let pool = redis_pool::RedisPool::from(redis::Client::open(url).unwrap());
    app(Some(SessionRedisPool::from(pool)), without_memory()).await
}

/// Redis, with its memory, as it is by default.
pub async fn cached(url: &str) -> App {
    let pool = redis_pool::RedisPool::from(redis::Client::open(url).unwrap());
    app(Some(SessionRedisPool::from(pool)), SessionConfig::default()).await
}

/// PostgreSQL.
pub async fn postgres(url: &str) -> App {
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).min_connections(POSTGRES_CONNECTIONS);
    app(Some(SessionPgPool::from(pool.connect(url).await.unwrap())), without_memory()).await
}

fn without_memory() -> SessionConfig {
    SessionConfig::default().with_memory_lifetime(Duration::ZERO)
}

async fn app<D: Pool>(pool: Option<D>, config: SessionConfig) -> App {
    let store = SessionStore::new(pool, config).await.unwrap();
    of_router(routes::<::axum_session::Session<D>>().layer(SessionLayer::new(store)))
}

/// What its extractor requires.
trait Pool: DatabasePool + Clone + std::fmt::Debug + Send + Sync + 'static {}

impl<D: DatabasePool + Clone + std::fmt::Debug + Send + Sync + 'static> Pool for D {}

impl<D: Pool> Session for ::axum_session::Session<D> {
    async fn get(&self, key: &'static str) -> Option<u64> {
        self.get(key)
    }

    async fn set(&self, key: &'static str, value: u64) {
        self.set(key, value);
    }

    async fn set_profile(&self) {
        self.set("profile", Profile::new());
    }

    async fn login(&self) {
        self.renew();
    }

    async fn logout(&self) {
        self.destroy();
    }
}
