//! Real servers for tests: found or installed, started in private, and gone when their handle or this process is.
//!
//! [`redis_url`] and [`postgres_url`] are for tests that need some server: the one of `REDIS_URL` or `DATABASE_URL`, or
//! one for the whole process. Tests that stop or kill a server start their own: [`Redis`], [`RedisSentinel`],
//! [`RedisCluster`], [`Postgres`], [`PgBouncer`]. All of them listen on 127.0.0.1, on free ports.
//!
//! ```no_run
//! # use session_testbed::proxy::{Mode, Proxy};
//! # use session_testbed::servers::{Redis, namespace};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = Redis::launch(&[("maxmemory", "100mb")]).await?;
//! let proxy = Proxy::start(redis.address()).await?;
//! let (url, prefix) = (format!("redis://{}", proxy.address()), namespace());
//! // … open a store there, then:
//! proxy.set(Mode::CutReply(0));
//! redis.kill9().await?;
//! redis.start().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A missing program is installed by `apt-get`, as root or through `sudo` without a password; on other systems the
//! error names the command to run. It is never a reason to skip a test.
//!
//! Every server has a small supervisor, a shell script that holds one end of a pipe. The other end is held by this
//! process alone. When it is closed, because the handle is dropped or this process ended, even by `SIGKILL`, the
//! supervisor ends the server with all that it has started, and removes its folder. Should the supervisor be killed,
//! the kernel kills the server.

mod cluster;
mod install;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod redis;
mod resp;
mod sentinel;
mod shared;
pub mod tools;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

pub use cluster::RedisCluster;
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use process::Server;
pub use redis::Redis;
pub use resp::Reply;
pub use sentinel::RedisSentinel;
pub use shared::{postgres_url, redis_cluster, redis_sentinel, redis_url};

/// A server could not be found, installed, started or asked. The message says which and why, with the end of its log.
#[derive(Debug)]
pub struct ServerError(String);

impl ServerError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// For `map_err`: what was tried, and the error.
    fn of<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

/// A name for a key prefix or a schema that nobody else uses: `t_` and 16 hexadecimal digits.
#[must_use]
pub fn namespace() -> String {
    format!("t_{:016x}", random())
}

/// Different in every call, in every process.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Does blocking work of a test bed where it does not hold up the tasks of a test.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, ServerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ServerError::of("the test bed failed")(error)),
    }
}

/// Asks again and again until there is an answer.
fn wait_for<T, E: fmt::Display>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, ServerError> {
    let begin = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(why) if begin.elapsed() > limit => {
                return Err(ServerError::new(format!("{what}: not within {} s: {why}", limit.as_secs())));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
