//! One pool of connections to PostgreSQL, for the application and its sessions.

use std::error::Error;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use session_kit::axum::{Authenticated, SessionLayer};
use session_kit::store::postgres::PostgresStore;
use session_kit::store::postgres::sqlx::{self, PgPool}; // the sqlx of the store: another version has other types
use session_kit::{Namespace, Policy, SessionManager};

/// Migrations of both, then the site. `pool` is yours, with your options; `recommended_pool_options()` is a beginning.
pub(crate) async fn open(pool: PgPool) -> Result<(SessionManager, Router), Box<dyn Error>> {
    // Yours, in your schema; in place of this line: sqlx::migrate!().run(&pool).await?
    sqlx::query("CREATE TABLE IF NOT EXISTS orders (buyer text NOT NULL)").execute(&pool).await?;
    // Ours, in a schema named after the namespace: neither sees the tables of the other. Several nodes may do it at once.
    let store = PostgresStore::new(pool.clone(), Namespace::new("shop")?);
    store.migrate().await?;
    let sessions = SessionManager::new(store, Policy::standard());
    tokio::spawn(sessions.clone().sweep()); // PostgreSQL expires nothing by itself
    Ok((sessions.clone(), app(sessions, pool)))
}

async fn order(State(pool): State<PgPool>, session: Authenticated) -> Result<String, StatusCode> {
    let insert = sqlx::query("INSERT INTO orders (buyer) VALUES ($1)").bind(session.user().as_str());
    insert.execute(&pool).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let count =
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM orders WHERE buyer = $1").bind(session.user().as_str());
    let count = count.fetch_one(&pool).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(format!("{count} orders"))
}

fn app(sessions: SessionManager, pool: PgPool) -> Router {
    Router::new().route("/orders", post(order)).with_state(pool).layer(SessionLayer::new(sessions))
}
