//! What those who follow a feed cost the server of each write.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use session_core::Namespace;
use session_core::store::{Feed, SessionStore};
use session_redis::RedisStore;
use session_testbed::servers::{Redis, Release, Server, VALKEY};
use tokio::task::JoinSet;

use crate::backend::postgres;
use crate::op::{Benchmark as _, Failure};
use crate::process;
use crate::report::Followers;
use crate::servers::Servers;
use crate::store::{StoreOp, StoreOpKind};

/// How many follow. With `None`, the store publishes nothing.
const FOLLOWERS: [Option<usize>; 5] = [None, Some(0), Some(1), Some(10), Some(50)];
/// Writers at once, and how many writes of each.
const WRITERS: usize = 64;
const WRITES: usize = 400;
/// The median counts.
const ROUNDS: usize = 5;
/// How often a cache with five seconds of `max_stale` asks.
const BEAT: Duration = Duration::from_secs(1);
/// By then, all have heard of the last write.
const SETTLED: Duration = Duration::from_millis(500);

/// Processor time of the server, per write, by the number of followers.
///
/// # Errors
/// If a server cannot be started, or failed.
pub async fn followers(servers: &Servers) -> Result<Vec<Followers>, Failure> {
    let valkey = Redis::launch_release(Release::Pinned(VALKEY), &[]).await?;
    let mut rows = Vec::new();
    for followers in FOLLOWERS {
        eprintln!("followers: {} …", followers.map_or_else(|| "nobody is told".to_owned(), |n| n.to_string()));
        for (backend, server) in [("redis", servers.redis()), ("valkey", &valkey)] {
            let mut builder = RedisStore::builder(&server.url(), Namespace::new("session")?);
            if followers.is_some() {
                builder = builder.publish_changes();
            }
            let store = builder.connect().await?;
            let feeds = feeds(followers, || Ok(Box::new(store.feed()?)))?;
            rows.push(row(backend, followers, server, Arc::new(store), feeds).await?);
        }
        let mut builder = postgres(&servers.addresses())?;
        if followers.is_some() {
            builder = builder.publish_changes();
        }
        let store = builder.build();
        store.migrate().await?;
        let feeds = feeds(followers, || Ok(Box::new(store.feed()?)))?;
        rows.push(row("postgres", followers, servers.postgres(), Arc::new(store), feeds).await?);
        servers.addresses().clear().await?;
    }
    Ok(rows)
}

fn feeds(
    followers: Option<usize>,
    feed: impl Fn() -> Result<Box<dyn Feed>, Failure>,
) -> Result<Vec<Box<dyn Feed>>, Failure> {
    (0..followers.unwrap_or_default()).map(|_| feed()).collect()
}

async fn row(
    backend: &str,
    followers: Option<usize>,
    server: &Server,
    store: Arc<dyn SessionStore>,
    feeds: Vec<Box<dyn Feed>>,
) -> Result<Followers, Failure> {
    let pid = server.pid().await?.ok_or("the server does not run")?;
    // Dropped at the end, and with it all who follow.
    let mut following = JoinSet::new();
    for mut feed in feeds {
        following.spawn(async move {
            loop {
                feed.next(BEAT).await;
            }
        });
    }
    let op = Arc::new(StoreOp::new(store, StoreOpKind::Update)?);
    let _ = op.round(WRITERS, WRITES).await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        // What many writes cost more than few: the preparation of both is the same.
        let few = computed_by(pid, &op, WRITES).await?;
        let many = computed_by(pid, &op, 5 * WRITES).await?;
        rounds.push((many - few) / (4 * WRITES * WRITERS) as f64 * 1e6);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(Followers { backend: backend.to_owned(), followers, server_us: rounds[ROUNDS / 2] })
}

/// Seconds that the server computed for so many writes.
async fn computed_by(pid: u32, op: &Arc<StoreOp>, writes: usize) -> Result<f64, Failure> {
    let before = computed(pid)?;
    let _ = op.round(WRITERS, writes).await?;
    tokio::time::sleep(SETTLED).await;
    Ok(computed(pid)? - before)
}

/// Seconds that a process and its children have computed, those that ended included.
fn computed(pid: u32) -> Result<f64, Failure> {
    let mut seconds = 0.0;
    for entry in fs::read_dir("/proc")? {
        let Ok(number) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // A process may end meanwhile.
        let Some(process) = process::computed(number) else { continue };
        if number == pid {
            seconds += process.own + process.of_ended;
        } else if process.parent == u64::from(pid) {
            seconds += process.own;
        }
    }
    Ok(seconds)
}
