//! Starts servers as tests do, prints their URLs, and keeps them running until it is ended.
//!
//! `cargo run -p session-testbed --bin servers -- redis redis-sentinel redis-cluster postgres pgbouncer`
//!
//! Prints a line for each: its name, then its URL. `REDIS_URL` and `DATABASE_URL` take precedence.

use std::process::ExitCode;

use session_testbed::servers::{
    PgBouncer, Postgres, ServerError, postgres_url, redis_cluster, redis_sentinel, redis_url,
};

#[tokio::main]
async fn main() -> ExitCode {
    // Kept alive until this process ends.
    let mut pools = Vec::new();
    for name in std::env::args().skip(1) {
        match start(&name, &mut pools).await {
            Ok(urls) => println!("{name} {urls}"),
            Err(error) => {
                eprintln!("{name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    std::future::pending().await
}

async fn start(name: &str, pools: &mut Vec<(PgBouncer, Postgres)>) -> Result<String, Box<dyn std::error::Error>> {
    Ok(match name {
        "redis" => redis_url().await?,
        "redis-sentinel" => redis_sentinel().await?.url(),
        "redis-cluster" => redis_cluster().await?.url(),
        "postgres" => postgres_url().await?,
        "pgbouncer" => pool(pools).await?,
        _ => return Err("not one of: redis redis-sentinel redis-cluster postgres pgbouncer".into()),
    })
}

async fn pool(pools: &mut Vec<(PgBouncer, Postgres)>) -> Result<String, ServerError> {
    let postgres = Postgres::launch(&[Postgres::FSYNC_OFF]).await?;
    let pool = PgBouncer::launch(&postgres, &[]).await?;
    let url = pool.url();
    pools.push((pool, postgres));
    Ok(url)
}
