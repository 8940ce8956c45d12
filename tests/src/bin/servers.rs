//! Starts servers as tests do, prints their URLs, and keeps them running until it is ended.
//!
//! `cargo run -p session-testbed --bin servers -- redis redis-sentinel redis-cluster postgres pgbouncer chromium`
//!
//! Prints a line for each: its name, then its URL, or the flags of a Chromium for which nginx serves one site.
//! `REDIS_URL` and `DATABASE_URL` take precedence.

use std::process::ExitCode;

use session_testbed::browser::Chromium;
use session_testbed::servers::{
    Nginx, PgBouncer, Postgres, ServerError, postgres_url, redis_cluster, redis_sentinel, redis_url,
};

/// What is kept alive until this process ends.
#[derive(Default)]
struct Kept {
    pools: Vec<(PgBouncer, Postgres)>,
    browsers: Vec<(Chromium, Nginx)>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut kept = Kept::default();
    for name in std::env::args().skip(1) {
        match start(&name, &mut kept).await {
            Ok(urls) => println!("{name} {urls}"),
            Err(error) => {
                eprintln!("{name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    std::future::pending().await
}

async fn start(name: &str, kept: &mut Kept) -> Result<String, Box<dyn std::error::Error>> {
    Ok(match name {
        "redis" => redis_url().await?,
        "redis-sentinel" => redis_sentinel().await?.url(),
        "redis-cluster" => redis_cluster().await?.url(),
        "postgres" => postgres_url().await?,
        "pgbouncer" => pool(&mut kept.pools).await?,
        "chromium" => browser(&mut kept.browsers).await?,
        _ => return Err("not one of: redis redis-sentinel redis-cluster postgres pgbouncer chromium".into()),
    })
}

async fn pool(pools: &mut Vec<(PgBouncer, Postgres)>) -> Result<String, ServerError> {
    let postgres = Postgres::launch(&[Postgres::FSYNC_OFF]).await?;
    let pool = PgBouncer::launch(&postgres, &[]).await?;
    let url = pool.url();
    pools.push((pool, postgres));
    Ok(url)
}

async fn browser(browsers: &mut Vec<(Chromium, Nginx)>) -> Result<String, ServerError> {
    let nginx = Nginx::launch(&[("site.test", "location / { return 200 'hello'; }")]).await?;
    let flags = nginx.chromium_flags();
    let chromium = Chromium::launch(&flags).await?;
    chromium.profile().page().await?.open("https://site.test/").await?;
    browsers.push((chromium, nginx));
    Ok(flags.join(" "))
}
