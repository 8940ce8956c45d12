//! Whoever forgets something finds the reason in the log, without any setting.

use std::error::Error as StdError;

use session_core::store::SessionStore;
use session_core::{Error, Login, Policy, SessionManager, UserId};
use session_postgres::PostgresStore;
use session_redis::RedisStore;
use session_sqlite::SqliteStore;
use session_testbed::servers::{Redis, namespace, postgres_url};
use session_testbed::{Client, Log};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// A login at this store fails, and one line has all of `parts`, and nothing of the user.
async fn assert_logged(store: impl SessionStore, parts: &[&str]) {
    let manager = SessionManager::new(store, Policy::standard());
    let (log, _guard) = Log::keep();
    let login = Login::new(UserId::new("alice-7c1f").unwrap());
    let refused = Client::new(&manager).request(async |session| session.login(login)).await;
    assert!(matches!(refused, Err(Error::Store(_))), "{refused:?}");
    let lines = log.take();
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("the session store failed")).collect();
    assert!(!told.is_empty(), "{lines:?}");
    for line in told {
        for part in ["ERROR session: ", "db.operation.name=\"create\""].iter().chain(parts) {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("alice") && !line.contains("hunter2"), "{line}");
    }
}

#[tokio::test]
async fn migrations_that_were_forgotten() {
    let pool = PgPoolOptions::new().max_connections(3).connect(&postgres_url().await.unwrap()).await.unwrap();
    let parts = [
        "db.system.name=\"postgresql\"",
        "error.type=\"other\"",
        "postgres: create: failed",
        "run the migrations",
        "SQLSTATE 3F000",
    ];
    assert_logged(PostgresStore::new(pool, namespace()), &parts).await;
}

#[tokio::test]
async fn a_right_that_was_forgotten() -> Result<(), Box<dyn StdError>> {
    let server = Redis::launch(&[]).await?;
    let rule = ["ACL", "SETUSER", "app", "on", ">hunter2", "~*", "&*", "+@all", "-evalsha", "-eval"];
    server.command(&rule).await?;
    let store = RedisStore::connect(&format!("redis://app:hunter2@{}", server.address()), namespace()).await?;
    let parts = ["db.system.name=\"redis\"", "error.type=\"other\"", "redis: create: failed", "NOPERM", "evalsha"];
    assert_logged(store, &parts).await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_has_stopped() -> Result<(), Box<dyn StdError>> {
    let server = Redis::launch(&[]).await?;
    let store = RedisStore::connect(&server.url(), namespace()).await?;
    server.stop().await?;
    let parts = ["db.system.name=\"redis\"", "error.type=\"unavailable\"", "redis: create: unavailable"];
    assert_logged(store, &parts).await;
    Ok(())
}

#[tokio::test]
async fn a_table_that_somebody_dropped() -> Result<(), Box<dyn StdError>> {
    let folder = std::env::temp_dir().join(format!("session-observing-{}", namespace().as_str()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("sessions.db");
    let store = SqliteStore::open(&file, namespace()).await?;
    let mut other = SqliteConnectOptions::new().filename(&file).connect().await?;
    let tables = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'session.%'");
    let tables: Vec<String> = tables.fetch_all(&mut other).await?;
    for table in tables {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE \"{table}\""))).execute(&mut other).await?;
    }
    other.close().await?;
    let parts = ["db.system.name=\"sqlite\"", "error.type=\"other\"", "sqlite: create: failed", "no such table"];
    assert_logged(store, &parts).await;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
