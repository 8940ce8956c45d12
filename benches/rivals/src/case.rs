//! What is measured: a [`Case`], and the [`Subject`]s that take turns in it.

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use crate::app::App;
use crate::rival::{axum_session, ruts, tower_sessions};
use crate::{actix, floor, ours};

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Asks for no session, and has no cookie.
    Untouched,
    /// Reads a number.
    Read,
    /// Changes a number.
    Write,
    /// Logs in, and changes a number.
    Login,
}

/// Where sessions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In this process.
    Moka,
    /// Redis.
    Redis,
    /// Valkey: no rival makes use of what it has more.
    Valkey,
    /// PostgreSQL.
    Postgres,
    /// Redis, with a cache in front.
    Cached,
}

/// One request on one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The request.
    pub request: Request,
    /// The backend.
    pub backend: Backend,
}

/// The URLs of servers, whose data is deleted.
#[derive(Clone, Debug)]
pub struct Servers {
    /// Redis.
    pub redis: Option<String>,
    /// Valkey.
    pub valkey: Option<String>,
    /// PostgreSQL, as a user who may create databases.
    pub postgres: Option<String>,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Nobody: the least work that could do the job. What follows in the list is compared with it.
    Floor,
    /// This project.
    Ours,
    /// Another library.
    Rival,
}

/// Which subjects are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Ours and the floor.
    Ours,
}

/// An application under a name.
pub struct Subject {
    /// The name in the report.
    pub name: &'static str,
    /// Whose it is.
    pub side: Side,
    /// Itself.
    pub app: App,
}

impl Case {
    /// All of them, in the order of the report.
    pub fn all() -> Vec<Self> {
        use Backend::{Cached, Moka, Postgres, Redis, Valkey};
        let requests = [Request::Read, Request::Write, Request::Login].into_iter();
        let backends = [Moka, Redis, Valkey, Postgres, Cached];
        let with_session = requests.flat_map(|request| backends.map(move |backend| Self { request, backend }));
        [Self { request: Request::Untouched, backend: Moka }].into_iter().chain(with_session).collect()
    }

    /// For `--only`.
    pub fn name(self) -> String {
        format!("{:?}/{:?}", self.request, self.backend).to_lowercase()
    }

    /// The applications, each on an empty store.
    pub async fn subjects(self, servers: &Servers, selection: Selection) -> Vec<Subject> {
        use Side::{Floor, Ours, Rival};
        let mut list = List { selection, subjects: Vec::new() };
        let redis = servers.redis.as_deref();
        match self.backend {
            Backend::Moka if self.request == Request::Untouched => {
                list.add("axum alone", Floor, floor::bare()).await;
                list.add("session-tower", Ours, ours::moka()).await;
                list.add("tower-sessions", Rival, tower_sessions::memory()).await;
                list.add("axum_session", Rival, axum_session::memory()).await;
                list.add("ruts", Rival, ruts::moka()).await;
                list.add("actix-web alone", Floor, actix::bare()).await;
                list.add("session-actix", Ours, ours::actix_moka()).await;
                if let Some(redis) = redis {
                    list.add("actix-session", Rival, actix::session(redis)).await;
                }
            }
            Backend::Moka => {
                list.add("moka", Floor, floor::moka()).await;
                list.add("session-moka, tower", Ours, ours::moka()).await;
                list.add("session-moka, actix", Ours, ours::actix_moka()).await;
                list.add("tower-sessions MemoryStore", Rival, tower_sessions::memory()).await;
                list.add("tower-sessions moka", Rival, tower_sessions::moka()).await;
                list.add("axum_session", Rival, axum_session::memory()).await;
                list.add("ruts", Rival, ruts::moka()).await;
            }
            Backend::Redis => {
                let Some(url) = redis else { return Vec::new() };
                empty(url).await;
                list.add("redis", Floor, floor::redis(url)).await;
                list.add("session-redis, tower", Ours, ours::redis(url)).await;
                list.add("session-redis, actix", Ours, ours::actix_redis(url)).await;
                list.add("tower-sessions, 6 connections", Rival, tower_sessions::redis_pool(url)).await;
                list.add("tower-sessions, 1 connection", Rival, tower_sessions::redis(url)).await;
                list.add("axum_session", Rival, axum_session::redis(url)).await;
                list.add("actix-session", Rival, actix::session(url)).await;
            }
            Backend::Valkey => {
                let Some(url) = servers.valkey.as_deref() else { return Vec::new() };
                empty(url).await;
                list.add("valkey", Floor, floor::redis(url)).await;
                list.add("session-redis, tower", Ours, ours::redis(url)).await;
                list.add("session-redis, actix", Ours, ours::actix_redis(url)).await;
            }
            Backend::Cached => {
                let Some(url) = redis else { return Vec::new() };
                empty(url).await;
                if self.request == Request::Read {
                    list.add("moka", Floor, floor::moka()).await;
                } else {
                    list.add("redis", Floor, floor::redis(url)).await;
                }
                list.add("session-cache", Ours, ours::cached(url)).await;
                list.add("tower-sessions", Rival, tower_sessions::cached(url)).await;
                list.add("axum_session", Rival, axum_session::cached(url)).await;
            }
            Backend::Postgres => {
                let Some(url) = servers.postgres.as_deref() else { return Vec::new() };
                let url = &new_database(url).await;
                list.add("sqlx", Floor, floor::postgres(url)).await;
                list.add("session-postgres, tower", Ours, ours::postgres(url)).await;
                list.add("tower-sessions", Rival, tower_sessions::postgres(url)).await;
                list.add("axum_session", Rival, axum_session::postgres(url)).await;
                list.add("ruts", Rival, ruts::postgres(url)).await;
            }
        }
        list.subjects
    }

    /// The server, if it tells how long it has computed.
    pub fn server(self, servers: &Servers) -> Option<&str> {
        match self.backend {
            Backend::Redis | Backend::Cached => servers.redis.as_deref(),
            Backend::Valkey => servers.valkey.as_deref(),
            Backend::Moka | Backend::Postgres => None,
        }
    }
}

impl Request {
    /// The path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Untouched => "/untouched",
            Self::Read => "/read",
            Self::Write => "/write",
            Self::Login => "/login",
        }
    }
}

/// The subjects so far.
struct List {
    selection: Selection,
    subjects: Vec<Subject>,
}

impl List {
    async fn add(&mut self, name: &'static str, side: Side, app: impl Future<Output = App>) {
        if self.selection == Selection::All || side != Side::Rival {
            self.subjects.push(Subject { name, side, app: app.await });
        }
    }
}

/// A Redis server without data.
pub async fn empty(redis: &str) {
    let mut connection = redis::Client::open(redis).unwrap().get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
}

/// An empty database of our own, which replaces the one before.
async fn new_database(url: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for statement in ["DROP DATABASE IF EXISTS rivals WITH (FORCE)", "CREATE DATABASE rivals"] {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/rivals")
}
