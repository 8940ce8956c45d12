//! Sessions in Redis (7.0 or later) or Valkey, shared by many nodes: on a single server, behind Sentinel, or in a
//! Cluster.
//!
//! ```no_run
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! use session_core::{Namespace, Policy, SessionManager};
//! use session_redis::RedisStore;
//!
//! let url = "redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster";
//! let store = RedisStore::connect(url, Namespace::new("shop")?).await?;
//! let sessions = SessionManager::new(store, Policy::standard());
//! # Ok(())
//! # }
//! ```
//!
//! # What it guarantees
//! The contract of [`SessionStore`](session_core::store::SessionStore), on all three kinds of servers:
//!
//! * Every change is one Lua script, or one command that compares, so it is atomic. All keys of a user are in one slot of
//!   a Cluster, so the session limit is exact, and `delete_by_user` is atomic too.
//! * No write depends on the server's clock. Keys expire a minute after the session's deadline.
//! * A request whose connection is lost is repeated; every request is idempotent. An update that may have been executed
//!   twice, with another update in between, fails as [`Unavailable`](session_core::StoreErrorKind::Unavailable) and not
//!   as a conflict, which core would answer by applying the change again. A read that gets no reply within half of the
//!   time limit is repeated on a new connection.
//! * Applications are apart: each has its [`Namespace`](session_core::Namespace), and no operation reads or writes a key
//!   of another. Nodes that open the store under the same name share its sessions.
//! * What was ended stays ended: for two minutes, longer than any operation takes, the key of a session that was
//!   deleted, evicted or replaced holds a tombstone of one byte, so that a `create` which is repeated or late is
//!   refused; five seconds where a visitor made room for another.
//! * A record of a newer format is left as it is, and hides no other. It counts towards a session limit, and only an
//!   eviction or `delete_by_user` ends it. An index entry of a newer form is left as it is until its session ends. A
//!   session with such an entry is listed and ended like any other, but counts only for releases that know the form:
//!   to the others the limit is higher by one, and they do not evict it.
//! * Every operation ends within [`operation_timeout`](RedisStoreBuilder::operation_timeout), connected or not. A lost
//!   connection is repaired in the background: service is back at most about half a second after the server is, a
//!   second later if the network had dropped attempts to connect. A connection on which a request got no reply is
//!   replaced: one that is dead costs at most one request.
//! * A session of any size holds up no other: beyond 64 KiB it is read and written over a second connection, which is
//!   opened when it is needed, two at a time. Lists do not read values. Only writes that
//!   [wait for replicas](RedisStoreBuilder::wait_for_replicas) share one connection, whatever their size: replicas get
//!   them in this order anyway.
//! * The store may be used from any runtime. The one it was opened in must live.
//!
//! # What it costs
//! | operation | round trips |
//! |---|---|
//! | `load` | 1, which concurrent loads share, except in a Cluster; 2 if the session is larger than 64 KiB |
//! | `create`, also a login that replaces a session | 1 |
//! | `create` at the session limit | 2: evicted sessions have to be named. More while the user logs in elsewhere |
//! | `create` that replaces a session in another slot of a Cluster (an anonymous user logs in) | 3; at the limit, 4 |
//! | `update`, `touch`, `delete` | 1; an `update` 2 if the session was touched since it was read |
//! | `list_by_user`, `delete_by_user` | 2: the index, then the sessions; 1 if there are none |
//! | `list_all`, a page of 1000 | 1; up to 16 if few keys are those of sessions. In a Cluster, 1 more |
//! | `count` | 1; in a Cluster, 1 and one for each primary. Estimated beyond 10 000 keys |
//! | `delete_expired` | 0 |
//!
//! One more when a server does not have the script yet, and once for each connection to find out whether the server
//! compares whole values: Valkey does from 8.1 on, and an update that moves no deadline costs it little more than a `SET`.
//! An anonymous session takes about 220 bytes of the server's
//! memory, a user's about 480 with its entry in the index, plus the application's data (Redis 7.0).
//!
//! A page of `list_all` has about 1000 sessions at most, and looks at as many keys at a time until it has a quarter of the
//! sessions that were asked for. In a Cluster it goes on with the next primary where one ends.
//!
//! # Logging in, in a Cluster
//! An anonymous session has a slot of its own, and a login moves it to the user's. That takes two steps: the new
//! session is created, then the old one is deleted if it has not changed; if it has, the new one is rolled back.
//! Cancellation does not interrupt these steps. If the process dies in between, or the servers do not answer in time,
//! the old session stays as it was, and the new one counts towards the limit until its idle timeout, although no client
//! has its token. Sessions that were evicted for it stay evicted.
//!
//! # Operating it
//! * **Memory**: set `maxmemory-policy noeviction`. With any other policy Redis logs users out when it reaches
//!   `maxmemory`, and may evict the index of a user, so that `delete_by_user` misses sessions. The store warns about it
//!   when it connects (in a Cluster, it asks one node). At `maxmemory` the server refuses what visitors write
//!   ([`Full`](session_core::StoreErrorKind::Full)). Logouts work, and whatever users write ends visitors, those of a few
//!   shards, until there is memory for it. Of visitors there are never more than
//!   [`max_visitors`](session_core::PolicyBuilder::max_visitors); each that ends to make room leaves some 150 bytes for 5
//!   seconds.
//! * **Persistence**: with `appendonly yes`, a restart loses the last second at most. A logout in that second is
//!   undone.
//! * **Failover**: replication is asynchronous, so a failover can undo the latest acknowledged writes, logouts
//!   included. [`wait_for_replicas`](RedisStoreBuilder::wait_for_replicas) makes writes wait for replicas; if it waits
//!   for every replica that may be promoted, none is lost. Set `min-replicas-to-write` as well, so that a primary that
//!   was cut off accepts no logins that will be lost. Service is back as soon as there is a new primary.
//!   The sentinels are asked every second: a primary that was replaced is left, even if it still answers, a second
//!   after most of the sentinels say so, and at once if it lacks replicas. Until then, and for as long as the
//!   application reaches only the old primary, what it reads may be out of date, logouts included. In a Cluster such a
//!   node stops answering after `cluster-node-timeout`; one that is frozen rather than dead delays requests to the
//!   others, too, for a second or two until it is replaced. Set `cluster-require-full-coverage no`, or all of the
//!   Cluster is down until then.
//! * **Time limits**: keep `operation_timeout` below the policy's store timeout.
//! * **Clocks**: those of the nodes must agree to within less than a minute.
//! * **Moving slots**: while some keys of a user are on one node of a Cluster and the others on another, Redis executes
//!   none of the user's logins. They are repeated for three quarters of the time limit: move slots one at a time.
//!   Sessions of a primary whose slots change between two pages of `list_all` may be on none of them: begin again
//!   afterwards.
//! * **Following changes**: a [feed](RedisStore::feed) tells what all nodes do, for caches: on one server and with Sentinel by
//!   [`publish_changes`](RedisStoreBuilder::publish_changes), in a Cluster by what its primaries say of their keys. It has a
//!   connection of its own to each primary, over RESP3. With Sentinel, the URL names every sentinel of the service: a feed
//!   asks each.
//! * **Servers**: Redis 7.0 or later, or Valkey. RESP2 will do where a proxy does not know `HELLO`, but not in a
//!   Cluster, whose client repeats requests and says so by RESP3 only. A replica, a node of a Cluster behind `redis://`
//!   and the like are refused when the store connects.
//! * **Keys**: all begin with `{namespace:`. `{namespace:shard}:s:id` is a session, `{namespace:shard}:u:user` a user's
//!   index, `{namespace:shard}:v` that of the visitors in a shard. They contain no token. Read access to them shows which
//!   users are logged in; write access allows a login as any user. Applications that do not trust each other need users of their own, with the rights below: a namespace keeps
//!   them apart, but locks nobody out. `list_all` and `count` walk over the keys of all.
//! * **ACL**: the commands `GET`, `GETRANGE`, `SET`, `SETRANGE`, `PEXPIRE`, `HGET`, `HSET`, `HDEL`, `HGETALL`, `HKEYS`,
//!   `HLEN`, `HSETNX`, `EVAL`, `EVALSHA` on the keys `{namespace:*`; `HELLO`; `SCAN` for `list_all`; `SCAN`, `DBSIZE` and
//!   `RANDOMKEY` for `count`; `WAIT` for `wait_for_replicas`; `CONFIG GET` to check the `maxmemory-policy`; `INFO` to
//!   check the version where there is no `HELLO`, and for `list_all` to notice that a server was replaced between two
//!   pages, and show all of the new one, and for `inspect`; `CLUSTER SLOTS` in a Cluster. On the
//!   sentinels: `SENTINEL MASTER` and `SENTINEL GET-MASTER-ADDR-BY-NAME`, without which a store may stay with the old primary
//!   until all replicas follow the new one. With [`publish_changes`](RedisStoreBuilder::publish_changes): `PUBLISH` on the channel
//!   `{namespace:changes}` (`+publish &{namespace:changes}`; Redis gives no channel by default). For a [feed](RedisStore::feed):
//!   `SUBSCRIBE` on it, and on the sentinels `SENTINEL SENTINELS` and `SENTINEL MYID`; in a Cluster, which has no channel, `CLIENT TRACKING`, `CLUSTER NODES` and `CLUSTER INFO`.
//!
//! # Features
//! | feature | brings |
//! |---|---|
//! | `tls-rustls` | `rediss://` and its siblings, with rustls. The application installs a `CryptoProvider` before the store is opened |

// `store`, `pages` and `replace` have the operations, in terms of `script` and `error`; `feed` tells what came of them, `inspect` what the servers say of themselves. `link` repairs and shares connections,
// `config` opens stores.
mod config;
mod error;
mod feed;
mod inspect;
mod link;
mod pages;
mod replace;
mod room;
mod script;
mod store;

pub use config::builder::{RedisStore, RedisStoreBuilder};
pub use config::credentials::{Credentials, CredentialsProvider};
pub use config::error::ConnectError;
