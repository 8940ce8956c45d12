//! The floor: the same handlers by hand. One read, at most one write, and only what the handler needs is decoded.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName};
use moka::sync::Cache;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::{App, POSTGRES_CONNECTIONS, Profile, TTL, USER_ID, of_router};
use crate::site::untouched;

/// axum without sessions.
pub async fn bare() -> App {
    of_router(Router::new().route("/untouched", get(untouched)))
}

/// A cache in this process.
pub async fn moka() -> App {
    site(Moka(Cache::builder().build()))
}

/// One connection to Redis or Valkey.
pub async fn redis(url: &str) -> App {
    site(Redis(redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()))
}

/// Connections without a pool of sqlx, which would ping: one round trip for each statement.
pub async fn postgres(url: &str) -> App {
    let mut connections = Vec::new();
    for _ in 0..POSTGRES_CONNECTIONS {
        connections.push(PgConnection::connect(url).await.unwrap());
    }
    let table = "CREATE TABLE floor (id bytea PRIMARY KEY, expires bigint NOT NULL, data bytea NOT NULL)";
    sqlx::query(table).execute(&mut connections[0]).await.unwrap();
    site(Postgres { free: Semaphore::new(connections.len()), connections: Mutex::new(connections) })
}

type Id = [u8; 32];
type Answer = ([(HeaderName, String); 1], &'static str);

fn site<K: Kv>(store: K) -> App {
    of_router(
        Router::new()
            .route("/untouched", get(untouched))
            .route("/seed", get(seed::<K>))
            .route("/read", get(read::<K>))
            .route("/write", get(write::<K>))
            .route("/login", get(login::<K>))
            .with_state(Arc::new(store)),
    )
}

#[derive(Serialize, Deserialize)]
struct Whole {
    user_id: u64,
    counter: u64,
    #[serde(default)]
    login: u64,
    profile: Profile,
}

#[derive(Deserialize)]
struct OnlyUser {
    user_id: u64,
}

async fn seed<K: Kv>(State(store): State<Arc<K>>) -> Answer {
    let id = new_id();
    let whole = Whole { user_id: USER_ID, counter: 17, login: 0, profile: Profile::new() };
    store.create(&id, serde_json::to_vec(&whole).unwrap()).await;
    set_cookie(&id)
}

async fn read<K: Kv>(State(store): State<Arc<K>>, headers: HeaderMap) -> String {
    let Some(id) = id(&headers) else { return String::new() };
    let value = store.get(id).await.unwrap();
    serde_json::from_slice::<OnlyUser>(&value).unwrap().user_id.to_string()
}

async fn write<K: Kv>(State(store): State<Arc<K>>, headers: HeaderMap) -> &'static str {
    let id = id(&headers).unwrap();
    let mut whole: Whole = serde_json::from_slice(&store.get(id).await.unwrap()).unwrap();
    whole.counter += 1;
    store.set(id, serde_json::to_vec(&whole).unwrap()).await;
    "ok"
}

async fn login<K: Kv>(State(store): State<Arc<K>>, headers: HeaderMap) -> Answer {
    let old = id(&headers).unwrap();
    let mut whole: Whole = serde_json::from_slice(&store.get(old).await.unwrap()).unwrap();
    whole.login += 1;
    let new = new_id();
    store.replace(old, &new, serde_json::to_vec(&whole).unwrap()).await;
    set_cookie(&new)
}

fn id(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(COOKIE)?.as_bytes().strip_prefix(b"id=")
}

fn new_id() -> Id {
    [(); 32].map(|()| b"0123456789abcdef"[rand::random_range(0..16_usize)])
}

fn set_cookie(id: &Id) -> Answer {
    let id = str::from_utf8(id).unwrap();
    ([(SET_COOKIE, format!("id={id}; HttpOnly; SameSite=Lax; Path=/"))], "ok")
}

/// The least that a store must do.
trait Kv: Send + Sync + 'static {
    fn get(&self, id: &[u8]) -> impl Future<Output = Option<Vec<u8>>> + Send;
    fn create(&self, id: &[u8], value: Vec<u8>) -> impl Future<Output = ()> + Send;
    fn set(&self, id: &[u8], value: Vec<u8>) -> impl Future<Output = ()> + Send;
    /// Moves a value to another id, and changes it.
    fn replace(&self, old: &[u8], new: &[u8], value: Vec<u8>) -> impl Future<Output = ()> + Send;
}

struct Moka(Cache<Vec<u8>, Arc<[u8]>>);

impl Kv for Moka {
    async fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.0.get(id).map(|value| value.to_vec())
    }

    async fn create(&self, id: &[u8], value: Vec<u8>) {
        self.set(id, value).await;
    }

    async fn set(&self, id: &[u8], value: Vec<u8>) {
        self.0.insert(id.to_vec(), value.into());
    }

    async fn replace(&self, old: &[u8], new: &[u8], value: Vec<u8>) {
        self.0.insert(new.to_vec(), value.into());
        self.0.invalidate(old);
    }
}

struct Redis(MultiplexedConnection);

impl Kv for Redis {
    async fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        redis::cmd("GET").arg(id).query_async(&mut self.0.clone()).await.unwrap()
    }

    async fn create(&self, id: &[u8], value: Vec<u8>) {
        self.set(id, value).await;
    }

    async fn set(&self, id: &[u8], value: Vec<u8>) {
        let mut set = redis::cmd("SET");
        set.arg(id).arg(value).arg("EX").arg(TTL);
        set.query_async::<()>(&mut self.0.clone()).await.unwrap();
    }

    async fn replace(&self, old: &[u8], new: &[u8], value: Vec<u8>) {
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(new).arg(value).arg("EX").arg(TTL).ignore().cmd("DEL").arg(old).ignore();
        pipe.query_async::<()>(&mut self.0.clone()).await.unwrap();
    }
}

/// Connections, each for one caller at a time.
struct Postgres {
    free: Semaphore,
    connections: Mutex<Vec<PgConnection>>,
}

impl Postgres {
    async fn take(&self) -> (SemaphorePermit<'_>, PgConnection) {
        let permit = self.free.acquire().await.unwrap();
        (permit, self.connections.lock().unwrap().pop().unwrap())
    }

    async fn execute(&self, statement: Query<'_, sqlx::Postgres, PgArguments>) {
        let (_permit, mut connection) = self.take().await;
        statement.execute(&mut connection).await.unwrap();
        self.connections.lock().unwrap().push(connection);
    }
}

/// Never.
const EXPIRES: i64 = 9_999_999_999;

impl Kv for Postgres {
    async fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        let select = sqlx::query_scalar("SELECT data FROM floor WHERE id = $1 AND expires > $2").bind(id).bind(0_i64);
        let (_permit, mut connection) = self.take().await;
        let value = select.fetch_optional(&mut connection).await.unwrap();
        self.connections.lock().unwrap().push(connection);
        value
    }

    async fn create(&self, id: &[u8], value: Vec<u8>) {
        let insert = sqlx::query("INSERT INTO floor (id, data, expires) VALUES ($1, $2, $3)");
        self.execute(insert.bind(id).bind(value).bind(EXPIRES)).await;
    }

    async fn set(&self, id: &[u8], value: Vec<u8>) {
        let update = sqlx::query("UPDATE floor SET data = $2, expires = $3 WHERE id = $1");
        self.execute(update.bind(id).bind(value).bind(EXPIRES)).await;
    }

    async fn replace(&self, old: &[u8], new: &[u8], value: Vec<u8>) {
        let update = sqlx::query("UPDATE floor SET id = $2, data = $3, expires = $4 WHERE id = $1");
        self.execute(update.bind(old).bind(new).bind(value).bind(EXPIRES)).await;
    }
}
