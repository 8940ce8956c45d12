//! How much memory a session occupies.

use std::sync::Arc;

use session_core::store::SessionStore;
use session_moka::MokaStore;
use sqlx::Row as _;

use crate::backend::{self, Backend};
use crate::op::Failure;
use crate::populate::{Population, populate};
use crate::process;
use crate::report::Memory;
use crate::servers::Addresses;

/// Sessions in Redis, PostgreSQL and SQLite.
const STORED: usize = 200_000;
/// Sessions in this process: enough for the memory of the process itself not to matter.
const RESIDENT: usize = 1_000_000;

/// Bytes per session: `used_memory` of Redis, table and indexes of PostgreSQL, the file of SQLite, resident memory of this
/// process.
///
/// # Errors
/// If a store failed.
pub async fn memory(addresses: &Addresses) -> Result<Vec<Memory>, Failure> {
    let mut rows = vec![resident().await?];
    for population in [Population::Anonymous, Population::Users] {
        addresses.clear().await?;
        rows.push(redis(addresses, population).await?);
    }
    for population in [Population::Anonymous, Population::Users] {
        addresses.clear().await?;
        rows.push(postgres(addresses, population).await?);
    }
    for population in [Population::Anonymous, Population::Users] {
        addresses.clear().await?;
        rows.push(sqlite(addresses, population).await?);
    }
    Ok(rows)
}

fn row(backend: Backend, population: Population, measured: &str, sessions: usize, bytes: u64) -> Memory {
    Memory {
        backend: backend.name().to_owned(),
        what: format!("{measured}; {}", population.name()),
        sessions,
        bytes_per_session: bytes as f64 / sessions as f64,
    }
}

async fn resident() -> Result<Memory, Failure> {
    eprintln!("memory: moka, {RESIDENT} sessions …");
    let store: Arc<dyn SessionStore> = Arc::new(MokaStore::new());
    populate(&store, Population::Users, 1000, RESIDENT).await?;
    let before = resident_set()?;
    populate(&store, Population::Users, RESIDENT, 0).await?;
    let after = resident_set()?;
    drop(store);
    Ok(row(Backend::Moka, Population::Users, "resident set", RESIDENT, after.saturating_sub(before)))
}

/// The resident set of this process, in bytes.
fn resident_set() -> Result<u64, Failure> {
    Ok(process::memory("self", "VmRSS").ok_or("no VmRSS")?)
}

async fn redis(addresses: &Addresses, population: Population) -> Result<Memory, Failure> {
    eprintln!("memory: redis, {STORED} sessions, {} …", population.name());
    let store = Backend::Redis.store(addresses).await?;
    // Connects and loads the scripts before the first look.
    populate(&store, population, 1000, STORED).await?;
    let before = addresses.redis_memory("used_memory").await?;
    populate(&store, population, STORED, 0).await?;
    let after = addresses.redis_memory("used_memory").await?;
    Ok(row(Backend::Redis, population, "used_memory", STORED, after.saturating_sub(before)))
}

async fn postgres(addresses: &Addresses, population: Population) -> Result<Memory, Failure> {
    eprintln!("memory: postgres, {STORED} sessions, {} …", population.name());
    let store = Backend::Postgres.store(addresses).await?;
    populate(&store, population, STORED, 0).await?;
    let pool = addresses.postgres_pool(1)?;
    let sizes = sqlx::query(
        "SELECT pg_table_size(c.oid)::bigint, pg_indexes_size(c.oid)::bigint FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'session' AND n.nspname ~ '^t_[0-9a-f]{16}$'",
    );
    let sizes = sizes.fetch_one(&pool).await?;
    let (table, indexes): (i64, i64) = (sizes.try_get(0)?, sizes.try_get(1)?);
    let per = |bytes: i64| bytes as f64 / STORED as f64;
    let measured = format!("table {:.0} + indexes {:.0}", per(table), per(indexes));
    Ok(row(Backend::Postgres, population, &measured, STORED, u64::try_from(table + indexes)?))
}

async fn sqlite(addresses: &Addresses, population: Population) -> Result<Memory, Failure> {
    eprintln!("memory: sqlite, {STORED} sessions, {} …", population.name());
    let file = addresses.new_file();
    let store = backend::sqlite(&file).await?;
    populate(&(Arc::new(store.clone()) as Arc<dyn SessionStore>), population, STORED, 0).await?;
    // Everything is in the file then.
    store.close().await;
    Ok(row(Backend::Sqlite, population, "the file", STORED, std::fs::metadata(&file)?.len()))
}
