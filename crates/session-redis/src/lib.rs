//! Sessions in Redis (7.0 or later) or Valkey, shared by many nodes: on a single server, behind Sentinel, or in a
//! Cluster.
//!
//! ```no_run
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! use session_core::{Policy, SessionManager};
//! use session_redis::RedisStore;
//!
//! let store = RedisStore::connect("redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster").await?;
//! let sessions = SessionManager::new(store, Policy::standard());
//! # Ok(())
//! # }
//! ```
//!
//! # What it guarantees
//! The contract of [`SessionStore`](session_core::store::SessionStore), on all three kinds of servers:
//!
//! * Every change is one Lua script, so it is atomic. Everything of one user is in one slot of a Cluster, so the
//!   session limit is exact, and `delete_by_user` is atomic too.
//! * No write depends on the clock of the server. Redis removes a key a minute after the session's deadline.
//! * A request whose connection is lost is repeated, and every request is safe to repeat. One exception proves it: an
//!   update that may have been executed, and meets somebody else's when it is repeated, fails as
//!   [`Unavailable`](session_core::StoreErrorKind::Unavailable) and not as a conflict, which core would answer by
//!   applying the change again.
//! * Every operation ends within [`operation_timeout`](RedisStoreBuilder::operation_timeout), connected or not. A lost
//!   connection is repaired in the background: service is back at most about half a second after the server is, a
//!   second later if the network had swallowed attempts to connect. A connection on which one request got no answer is
//!   replaced, and used until then.
//!
//! # What it costs
//! | operation | round trips |
//! |---|---|
//! | `load` | 1 (`GET`; many that meet share an `MGET`, but not in a Cluster) |
//! | `create`, also a login that replaces a session | 1 |
//! | `create` at the session limit | 2: the victims' keys have to be named. More while others log the same user in |
//! | `create` that replaces a session in another slot of a Cluster (login of a visitor) | 3; at the limit, 4 |
//! | `update`, `touch`, `delete` | 1 |
//! | `list_by_user`, `delete_by_user` | 2: the index, then the sessions; 1 if there are none |
//! | `delete_expired` | 0 |
//!
//! One more when a server meets a script for the first time. A visitor's session takes about 220 bytes of the server's
//! memory, a user's about 480 with its entry in the index, plus what the application stores in it (Redis 7.0).
//!
//! # Logging a visitor in, in a Cluster
//! A visitor's session is in a slot of its own, and the login moves it to the user's. That is two steps: the new
//! session is created, then the old one is deleted if it has not changed; if it has, the new one is taken back. The
//! steps are finished even if the caller gives up. A process that dies in between, or servers that do not answer in
//! time, leave the old session as it was, and a new one whose token nobody has, and which counts towards the limit
//! until its idle timeout. Sessions that were evicted to make room stay so.
//!
//! # Operating it
//! * **Memory**: set `maxmemory-policy noeviction`. With any other policy Redis logs users out when its memory is full,
//!   and may drop the index of a user, so that `delete_by_user` misses sessions. The store warns about it when it
//!   connects (in a Cluster, it asks one node). A full server refuses new sessions and changes
//!   ([`Full`](session_core::StoreErrorKind::Full)), but logouts work.
//! * **Persistence**: with `appendonly yes`, a restart loses the last second at most. A logout in that second is
//!   undone.
//! * **Failover**: replication is asynchronous, so a failover can undo what was acknowledged last, logouts included.
//!   [`wait_for_replicas`](RedisStoreBuilder::wait_for_replicas) makes writes wait for replicas, and with as many as
//!   may be promoted none is lost; set `min-replicas-to-write` as well, so that a primary that was cut off accepts no
//!   logins that will be lost. Service is back as soon as there is a new primary. In a Cluster, a node that is frozen
//!   rather than dead holds up requests to the others, too, for a second or two until it is replaced; set
//!   `cluster-require-full-coverage no`, or all of the Cluster is down until then.
//! * **Time limits**: keep `operation_timeout` below the policy's store timeout.
//! * **Clocks**: those of the nodes must agree to within less than a minute.
//! * **Keys**: all begin with `{prefix:`. `{prefix:shard}:s:id` is a session, `{prefix:shard}:u:user` a user's index.
//!   They hold no token; whoever can read them learns who is logged in, and whoever can write them can log in as
//!   anybody.
//! * **Rights** (ACL): the commands `GET`, `MGET`, `GETRANGE`, `SET`, `SETRANGE`, `EXISTS`, `UNLINK`, `PEXPIRE`,
//!   `HSET`, `HDEL`, `HGETALL`, `HKEYS`, `HLEN`, `HEXISTS`, `EVAL`, `EVALSHA` on the keys `{prefix:*`; `HELLO`; `WAIT`
//!   if asked for; `CONFIG GET` if the memory policy is to be checked; `CLUSTER SLOTS` in a Cluster, `ROLE` behind
//!   Sentinel.

mod config;
mod create;
mod error;
mod key;
mod link;
mod script;
mod store;

pub use config::builder::{RedisStore, RedisStoreBuilder};
pub use config::error::ConnectError;
