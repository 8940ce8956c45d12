//! Where sessions are stored: the option `--store`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use session_cache::{CacheStats, CachedStore, FeedState};
use session_core::store::SessionStore;
use session_core::{Namespace, Policy};
use session_moka::MokaStore;
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::{ConnectError, RedisStore};
use session_sqlite::SqliteStore;
use sqlx::postgres::PgConnectOptions;

/// How long migrations may take: another node may be running them.
const MIGRATIONS: Duration = Duration::from_secs(30);

/// The option as given. Parsed only when opened: an error of the command line would quote it, and with it a password.
#[derive(Clone)]
pub struct StoreUrl(String);

/// A store that is open. Cheap to clone: clones are the same store.
#[derive(Clone, Debug)]
pub struct OpenStore {
    store: Arc<dyn SessionStore>,
    /// The same, if it is a file of ours.
    file: Option<SqliteStore>,
    /// The same, if there is a cache in front of it.
    cache: Option<Cache>,
}

/// The copies in front of a store, for [`build_router`](crate::build_router).
#[derive(Clone, Debug)]
pub struct Cache(CachedStore<Arc<dyn SessionStore>>);

/// A store as its server has it.
struct Backend {
    store: Arc<dyn SessionStore>,
    file: Option<SqliteStore>,
}

/// Why there is no store. Never quotes the URL, but for the path of a file.
#[derive(Debug)]
pub enum OpenError {
    /// The URL has no supported form.
    NotUnderstood,
    /// What comes behind `sqlite:` is not the path of a file, but may be meant well.
    NoPath(&'static str),
    /// A setting in it is not supported.
    Refused(ConnectError),
    /// The server cannot be used: what failed, the error and its causes.
    Unavailable(Vec<String>),
    /// The file cannot be used: the same.
    UnusableFile(Vec<String>),
}

impl StoreUrl {
    /// Opens the store of the application `namespace`, and waits until its server answers. One in PostgreSQL is brought up
    /// to date; a file is made if it is missing, and brought up to date. One in memory is of this process alone, and needs no
    /// name. With a cache in front of it, if `max_stale` says how far that may be behind. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the URL is not understood, or the server or the file cannot be used.
    pub async fn open(
        &self,
        policy: &Policy,
        namespace: Namespace,
        max_stale: Option<Duration>,
    ) -> Result<OpenStore, OpenError> {
        let Backend { store, file } = self.open_backend(policy, namespace).await?;
        let Some(max_stale) = max_stale else { return Ok(OpenStore { store, file, cache: None }) };
        let cache = CachedStore::builder(store, max_stale).follow();
        let cache = cache.map_err(|error| OpenError::unavailable("the feed of the store", &error))?.build();
        Ok(OpenStore { store: Arc::new(cache.clone()), file, cache: Some(Cache(cache)) })
    }

    async fn open_backend(&self, policy: &Policy, namespace: Namespace) -> Result<Backend, OpenError> {
        // Shorter than the timeout of core, so that the error names the cause.
        let timeout = policy.store_timeout() * 3 / 4;
        if self.0 == "memory" {
            return Ok(Backend::new(MokaStore::new()));
        }
        if let Some(path) = self.0.strip_prefix("sqlite:") {
            return sqlite(path, namespace, timeout).await;
        }
        let (scheme, _) = self.0.split_once("://").unwrap_or_default();
        if matches!(scheme, "postgres" | "postgresql") {
            return postgres(&self.0, namespace, timeout).await;
        }
        // Whether this process has a cache or not: others may.
        let builder = RedisStore::builder(&self.0, namespace).operation_timeout(timeout).publish_changes();
        match builder.connect().await {
            Ok(store) => Ok(Backend::new(store)),
            Err(ConnectError::Unavailable(error)) => Err(OpenError::unavailable("redis: connect", &error)),
            Err(ConnectError::Url) => Err(OpenError::NotUnderstood),
            Err(error) => Err(OpenError::Refused(error)),
        }
    }
}

async fn postgres(url: &str, namespace: Namespace, timeout: Duration) -> Result<Backend, OpenError> {
    // Dropped, because the error may quote the URL.
    let options: PgConnectOptions = url.parse().map_err(|_| OpenError::NotUnderstood)?;
    let pool = recommended_pool_options().acquire_timeout(timeout).connect_lazy_with(options);
    let store = PostgresStore::builder(pool, namespace).operation_timeout(timeout).publish_changes().build();
    match tokio::time::timeout(MIGRATIONS, store.migrate()).await {
        Ok(Ok(())) => Ok(Backend::new(store)),
        Ok(Err(error)) => Err(OpenError::unavailable("postgres: migrate", &error)),
        Err(_) => Err(OpenError::Unavailable(vec!["postgres: migrate: no end within 30 seconds".to_owned()])),
    }
}

/// The path is taken as it is: nothing in it is decoded, and `~` is a matter of the shell.
async fn sqlite(path: &str, namespace: Namespace, timeout: Duration) -> Result<Backend, OpenError> {
    if path.is_empty() {
        return Err(OpenError::NoPath("sqlite: is followed by the path of a file"));
    }
    if path.starts_with("//") {
        return Err(OpenError::NoPath("the path comes right behind sqlite:, without slashes of a URL"));
    }
    if path.starts_with(":memory:") {
        return Err(OpenError::NoPath("what sqlite::memory: keeps ends with the process: --store memory does that"));
    }
    if path.contains('?') {
        return Err(OpenError::NoPath("there are no settings behind the path, and no ? in it"));
    }
    match SqliteStore::builder(path, namespace).operation_timeout(timeout).open().await {
        Ok(store) => Ok(Backend { file: Some(store.clone()), ..Backend::new(store) }),
        // Says what to do.
        Err(error) => Err(OpenError::UnusableFile(causes(&format!("sqlite: open {path}"), &error))),
    }
}

impl Backend {
    fn new(store: impl SessionStore) -> Self {
        Self { store: Arc::new(store), file: None }
    }
}

impl OpenStore {
    /// The cache in front of it.
    #[must_use]
    pub fn cache(&self) -> Option<Cache> {
        self.cache.clone()
    }

    /// The store, for a session manager.
    #[must_use]
    pub fn store(&self) -> Arc<dyn SessionStore> {
        Arc::clone(&self.store)
    }

    /// Ends the use of the store. A file is complete then, and has no others beside it. Servers see our connections end with
    /// this process.
    pub async fn close(&self) {
        if let Some(file) = &self.file {
            file.close().await;
        }
    }
}

impl Cache {
    /// Sets its metrics.
    pub(crate) fn publish(&self) {
        self.0.stats().publish();
    }

    /// What `GET /api/cache` answers: how many loads were answered by copies and how many by the store, how many copies there
    /// are, and how far what is told of other processes is behind, in milliseconds; `null` while nothing is.
    #[must_use]
    pub fn describe(&self) -> Value {
        let CacheStats { hits, misses, entries, feed, .. } = self.0.stats();
        let (feed, lag) = match feed {
            FeedState::None | FeedState::Lost => ("lost", None),
            FeedState::Live { lag } => ("live", u64::try_from(lag.as_millis()).ok()),
        };
        json!({ "hits": hits, "misses": misses, "entries": entries, "feed": feed, "lag_ms": lag })
    }
}

impl From<&str> for StoreUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl(…)")
    }
}

impl OpenError {
    fn unavailable(context: &str, error: &dyn Error) -> Self {
        Self::Unavailable(causes(context, error))
    }
}

/// What failed, the error and its causes.
fn causes(context: &str, error: &dyn Error) -> Vec<String> {
    let causes = std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string);
    std::iter::once(context.to_owned()).chain(causes).collect()
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnderstood => f.write_str(
                "--store is not understood. It may be\n  \
                 memory\n  \
                 sqlite:path/to/a/file\n  \
                 redis://[user:password@]host[:port][/db]\n  \
                 redis+sentinel://[user:password@]host[:port],…/service\n  \
                 redis+cluster://[user:password@]host[:port],…\n  \
                 unix:///path/to/the/socket/of/redis\n  \
                 postgres://[user[:password]@]host[:port]/database\n\
                 with rediss for TLS, valkey and valkeys for redis and rediss, postgresql for postgres; special \
                 characters in a user or password are percent-encoded",
            ),
            Self::NoPath(why) => {
                write!(f, "--store: {why}. It may be sqlite:sessions.db, or sqlite:/var/lib/demo/sessions.db")
            }
            Self::Refused(error) => write!(f, "--store: {error}"),
            Self::Unavailable(causes) => {
                write!(f, "the store cannot be used: {}", causes.join(": "))?;
                f.write_str(
                    "\nIs the server running, and are the address, the user and the password in --store right? Without \
                     a server, try the demo with --store memory",
                )
            }
            Self::UnusableFile(causes) => {
                write!(f, "the store cannot be used: {}", causes.join(": "))?;
                f.write_str("\nWithout a file, try the demo with --store memory")
            }
        }
    }
}

impl Error for OpenError {}
