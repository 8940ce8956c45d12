//! ruts. Changes the id at login. Its store for Redis needs `HEXPIRE` (Redis 7.4) and is left out.

use std::sync::Arc;

use ::ruts::store::SessionStore;
use ::ruts::store::moka::MokaStore;
use ::ruts::store::postgres::PostgresStoreBuilder;
use ::ruts::{CookieOptions, SessionLayer};
use tower_cookies::CookieManagerLayer;
use tower_sessions_sqlx_store::sqlx::postgres::PgPoolOptions;

use crate::app::{App, POSTGRES_CONNECTIONS, Profile, TTL, of_router};
use crate::site::{Session, routes};

/// In this process.
pub async fn moka() -> App {
    app(MokaStore::builder().max_capacity(10_000_000).build())
}

/// PostgreSQL.
pub async fn postgres(url: &str) -> App {
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).min_connections(POSTGRES_CONNECTIONS);
    let pool = pool.connect(url).await.unwrap();
    app(PostgresStoreBuilder::new(pool).create_table(true).build().await.unwrap())
}

fn app<S: SessionStore>(store: S) -> App {
    let cookie = CookieOptions::build().name("session").http_only(true).secure(true).max_age(TTL.into()).path("/");
    let sessions = SessionLayer::new(Arc::new(store)).with_cookie_options(cookie);
    of_router(routes::<::ruts::Session<S>>().layer(sessions).layer(CookieManagerLayer::new()))
}

fn ttl() -> ::ruts::store::Ttl {
    ::ruts::store::Ttl::new(TTL.into()).unwrap()
}

impl<S: SessionStore> Session for ::ruts::Session<S> {
    async fn get(&self, key: &'static str) -> Option<u64> {
        self.get(key).await.unwrap()
    }

    async fn set(&self, key: &'static str, value: u64) {
        self.set(key, &value, ttl(), None).await.unwrap();
    }

    async fn set_profile(&self) {
        self.set("profile", &Profile::new(), ttl(), None).await.unwrap();
    }

    async fn login(&self) {
        self.prepare_regenerate();
    }

    async fn logout(&self) {
        self.delete().await.unwrap();
    }
}
