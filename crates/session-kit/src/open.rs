//! A store by its URL: [`open`], and with choices, [`OpenOptions`].

use std::fmt;
use std::sync::Arc;

use session_core::store::{Count, Inspection, SessionStore};
use session_core::{Namespace, StoreError, Timestamp};

/// How long migrations may take: another node may be running them.
#[cfg(feature = "postgres")]
const MIGRATIONS: std::time::Duration = std::time::Duration::from_secs(30);

/// Why there is no store. Never quotes the URL, which may have a password in it, but for the path of a file.
///
/// `Display` and `Debug` have all causes and say what to do next, so that a `main` that returns this error, with `?`, reports
/// it well. There is no [`source`](std::error::Error::source) that would say it again.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL has no form that is known.
    #[error(
        "the URL of the session store is not understood. It may be\n  \
         memory:\n  \
         sqlite:path/to/a/file\n  \
         redis://[user:password@]host[:port][/db]\n  \
         redis+sentinel://[user:password@]host[:port],…/service\n  \
         redis+cluster://[user:password@]host[:port],…\n  \
         unix:///path/to/the/socket/of/redis\n  \
         postgres://[user[:password]@]host[:port]/database\n\
         with rediss for TLS; special characters in a user or password are percent-encoded"
    )]
    NotUnderstood,
    /// The store is that of a feature that is not enabled: its name.
    #[error("this session store needs the feature `{0}`, which is not enabled: cargo add session-kit --features {0}")]
    MissingFeature(&'static str),
    /// What comes behind `sqlite:` is not the path of a file, but may be meant well.
    #[error(
        "the URL of the session store names no file: {0}. It may be sqlite:sessions.db, or sqlite:/var/lib/shop/sessions.db"
    )]
    NoPath(&'static str),
    /// A setting in the URL is not supported.
    #[error("the URL of the session store is refused: {0}")]
    Refused(String),
    /// The server cannot be used: why.
    #[error(
        "the session store cannot be used: {0}\n\
         Is the server running, and are the address, the user and the password in the URL right?"
    )]
    Unavailable(String),
    /// The file cannot be used: why.
    #[error("the session store cannot be used: {0}")]
    UnusableFile(String),
    /// The server has no store of this application, and none was to be made: [`OpenOptions::existing`]. The database, and the
    /// namespace.
    #[error(
        "the database `{database}` has no sessions of `{namespace}`: there is no schema of that name with tables of ours. Are \
         the namespace and the database in the URL right, and was the application started once, which creates them, or were \
         its migrations run?"
    )]
    NotMigrated {
        /// The name of the database.
        database: String,
        /// The application.
        namespace: Namespace,
    },
}

/// As `Display`: what `main` prints.
impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How long it may take to find out why there is no connection.
#[cfg(feature = "postgres")]
const PROBE: std::time::Duration = std::time::Duration::from_secs(1);

/// A kind of store.
enum Kind {
    Memory,
    Sqlite,
    Redis,
    Postgres,
}

/// Opens the store that `url` names, for the application `namespace`, and waits until its server answers: a wrong address or
/// password is an error at the start, not at the first request. Costs a few round trips, once.
///
/// | URL | store | feature |
/// |---|---|---|
/// | `memory:` | in this process; of this process alone, so the namespace does not matter | `moka` |
/// | `sqlite:PATH` | a file, made if it is missing and brought up to date. All behind the colon is the path, as it is | `sqlite` |
/// | `redis://`, `redis+sentinel://`, `redis+cluster://`, `unix://` | Redis or Valkey; `rediss` for TLS, `valkey` for `redis` | `redis` |
/// | `postgres://`, `postgresql://` | PostgreSQL, brought up to date with a pool of its own | `postgres` |
///
/// So a store is chosen by configuration, in one place:
///
/// ```
/// use session_kit::{Namespace, OpenError, Policy, SessionManager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url = std::env::var("SESSION_STORE").unwrap_or("memory:".to_owned());
/// let store = session_kit::open(&url, Namespace::new("shop")?).await?;
/// let sessions = SessionManager::new(store, Policy::standard());
/// # let _ = sessions;
/// # Ok(())
/// # }
/// ```
///
/// What a URL does not say is as the store recommends. For anything else, such as a pool that the application shares, replicas
/// that writes wait for, or a file that is closed at shutdown, build the store with the types in [`store`](crate::store).
///
/// Must be called inside a tokio runtime with a timer, which must live as long as the store.
///
/// # Errors
/// If the URL is not understood, the feature is not enabled, or the server or file cannot be used; the text says what to do.
pub async fn open(url: &str, namespace: Namespace) -> Result<Arc<dyn SessionStore>, OpenError> {
    OpenOptions::new().open(url, namespace).await.map(OpenedStore::into_shared)
}

/// How a store is opened by its URL: [`open`] is this with the defaults.
///
/// ```
/// use session_kit::{Namespace, OpenOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = OpenOptions::new().existing().open("memory:", Namespace::new("shop")?).await?.into_shared();
/// assert_eq!(store.name(), "moka");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct OpenOptions {
    publishes: bool,
    is_existing: bool,
}

impl OpenOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self { publishes: false, is_existing: false }
    }

    /// Tells others what this store does, as `publish_changes` of `RedisStoreBuilder` and `PostgresStoreBuilder` do: what the caches
    /// of all processes listen to. **On Redis every process opens it so**, those without a cache too, before the first one follows;
    /// see [the manual](crate::manual::cache#feeds). Other stores have nobody to tell.
    ///
    /// ```no_run
    /// # #[cfg(feature = "cache")]
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use session_kit::store::cache::CachedStore;
    /// use session_kit::{Namespace, OpenOptions, Policy, SessionManager};
    ///
    /// let options = OpenOptions::new().publish_changes();
    /// let store = options.open("redis://127.0.0.1", Namespace::new("shop")?).await?.into_shared();
    /// let store = CachedStore::builder(store, Duration::from_secs(5)).follow()?.build();
    /// let sessions = SessionManager::new(store.clone(), Policy::standard());
    /// println!("{:?}", store.stats()); // hits, misses, whether the feed is followed
    /// # let _ = sessions;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn publish_changes(mut self) -> Self {
        self.publishes = true;
        self
    }

    /// Makes nothing, and brings nothing up to date: a file or a schema that is not there is an error, and so is a file with
    /// tables of an older release. For whoever looks at what an application keeps. Redis has nothing to make.
    pub const fn existing(mut self) -> Self {
        self.is_existing = true;
        self
    }

    /// Opens the store, as [`open`] does.
    ///
    /// # Errors
    /// As [`open`], and [`OpenError::NotMigrated`].
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "redis", feature = "postgres")),
        expect(unused_variables, reason = "a store in memory needs no name")
    )]
    pub async fn open(self, url: &str, namespace: Namespace) -> Result<OpenedStore, OpenError> {
        match Kind::of(url)? {
            #[cfg(feature = "moka")]
            Kind::Memory => Ok(OpenedStore::Memory(session_moka::MokaStore::new())),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => sqlite(self, url, namespace).await.map(OpenedStore::Sqlite),
            #[cfg(feature = "redis")]
            Kind::Redis => redis(self, url, namespace).await.map(OpenedStore::Redis),
            #[cfg(feature = "postgres")]
            Kind::Postgres => postgres(self, url, namespace).await.map(OpenedStore::Postgres),
            #[allow(unreachable_patterns, reason = "some features are not enabled")]
            missing => Err(OpenError::MissingFeature(missing.feature())),
        }
    }
}

/// A store that was opened by its URL, as the type that it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OpenedStore {
    /// `memory:`
    #[cfg(feature = "moka")]
    Memory(session_moka::MokaStore),
    /// `sqlite:`
    #[cfg(feature = "sqlite")]
    Sqlite(session_sqlite::SqliteStore),
    /// `redis://` and its siblings.
    #[cfg(feature = "redis")]
    Redis(session_redis::RedisStore),
    /// `postgres://`
    #[cfg(feature = "postgres")]
    Postgres(session_postgres::PostgresStore),
}

#[allow(unreachable_patterns, reason = "without features there is no store")]
impl OpenedStore {
    /// The store, whichever it is.
    #[must_use]
    pub fn into_shared(self) -> Arc<dyn SessionStore> {
        match self {
            #[cfg(feature = "moka")]
            Self::Memory(store) => Arc::new(store),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => Arc::new(store),
            #[cfg(feature = "redis")]
            Self::Redis(store) => Arc::new(store),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Arc::new(store),
        }
    }

    /// What the servers say of themselves, for an operator. A few round trips; none for a store in memory, which has no server.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn inspect(&self) -> Result<Inspection, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.inspect().await,
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.inspect().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.inspect().await,
            _ => Ok(Inspection::default()),
        }
    }

    /// How many records have expired and wait to be deleted; `None` where the store drops them by itself. One round trip.
    ///
    /// # Errors
    /// If the store failed.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(unused_variables, reason = "there is no such store")
    )]
    pub async fn count_expired(&self, now: Timestamp) -> Result<Option<Count>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.count_expired(now).await.map(Some),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.count_expired(now).await.map(Some),
            _ => Ok(None),
        }
    }
}

impl Kind {
    fn of(url: &str) -> Result<Self, OpenError> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        // With `+sentinel` and the like, which session-redis knows.
        match scheme.split('+').next().unwrap_or_default() {
            "memory" if scheme == "memory" && rest.is_empty() => Ok(Self::Memory),
            "sqlite" if scheme == "sqlite" => Ok(Self::Sqlite),
            "postgres" | "postgresql" if !scheme.contains('+') => Ok(Self::Postgres),
            "redis" | "rediss" | "valkey" | "valkeys" | "unix" => Ok(Self::Redis),
            _ => Err(OpenError::NotUnderstood),
        }
    }

    fn feature(&self) -> &'static str {
        match self {
            Self::Memory => "moka",
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }
}

/// The path is taken as it is: nothing in it is decoded, and `~` is a matter of the shell.
#[cfg(feature = "sqlite")]
async fn sqlite(
    options: OpenOptions,
    url: &str,
    namespace: Namespace,
) -> Result<session_sqlite::SqliteStore, OpenError> {
    let path = url.strip_prefix("sqlite:").unwrap_or_default();
    if path.is_empty() {
        return Err(OpenError::NoPath("sqlite: is followed by the path of a file"));
    }
    if path.starts_with("//") {
        return Err(OpenError::NoPath("the path comes right behind sqlite:, without the slashes of a URL"));
    }
    if path.starts_with(":memory:") {
        return Err(OpenError::NoPath(
            "what sqlite::memory: keeps ends with the process, which is what memory: is for",
        ));
    }
    if path.contains('?') {
        return Err(OpenError::NoPath("there are no settings behind the path, and no ? in it"));
    }
    let builder = session_sqlite::SqliteStore::builder(path, namespace);
    let builder = if options.is_existing { builder.existing() } else { builder };
    builder.open().await.map_err(|error| OpenError::UnusableFile(causes(&format!("sqlite: open {path}"), &error)))
}

#[cfg(feature = "redis")]
async fn redis(options: OpenOptions, url: &str, namespace: Namespace) -> Result<session_redis::RedisStore, OpenError> {
    use session_redis::ConnectError;

    let builder = session_redis::RedisStore::builder(url, namespace);
    let builder = if options.publishes { builder.publish_changes() } else { builder };
    match builder.connect().await {
        Ok(store) => Ok(store),
        Err(ConnectError::Url) => Err(OpenError::NotUnderstood),
        // It names the feature of its own crate.
        Err(ConnectError::Tls) if cfg!(feature = "tls") => Err(OpenError::Refused(
            "TLS needs a provider of cryptography. Before the store is opened, once: \
             session_kit::rustls::crypto::ring::default_provider().install_default()"
                .to_owned(),
        )),
        Err(ConnectError::Tls) => Err(OpenError::MissingFeature("tls")),
        Err(ConnectError::Unavailable(error)) => Err(OpenError::Unavailable(causes("redis: connect", &error))),
        Err(error) => Err(OpenError::Refused(error.to_string())),
    }
}

#[cfg(feature = "postgres")]
async fn postgres(
    options: OpenOptions,
    url: &str,
    namespace: Namespace,
) -> Result<session_postgres::PostgresStore, OpenError> {
    // Dropped, because the error may quote the URL.
    let server: sqlx::postgres::PgConnectOptions = url.parse().map_err(|_| OpenError::NotUnderstood)?;
    let pool = session_postgres::recommended_pool_options().connect_lazy_with(server.clone());
    let builder = session_postgres::PostgresStore::builder(pool, namespace.clone());
    let store = if options.publishes { builder.publish_changes() } else { builder }.build();
    if options.is_existing {
        return is_there(&store, namespace, &server).await.map(|()| store);
    }
    match tokio::time::timeout(MIGRATIONS, store.migrate()).await {
        Ok(Ok(())) => Ok(store),
        Ok(Err(error)) => Err(unavailable("postgres: migrate", &error, &server).await),
        Err(_) => Err(OpenError::Unavailable("postgres: migrate: no end within 30 seconds".to_owned())),
    }
}

/// # Errors
/// If there is no schema of this application.
#[cfg(feature = "postgres")]
async fn is_there(
    store: &session_postgres::PostgresStore,
    namespace: Namespace,
    server: &sqlx::postgres::PgConnectOptions,
) -> Result<(), OpenError> {
    let found = match store.inspect().await {
        Ok(found) => found,
        Err(error) => return Err(unavailable("postgres: connect", &error, server).await),
    };
    if found.schema != session_core::store::SchemaState::Missing {
        return Ok(());
    }
    let facts = found.servers.into_iter().flat_map(|server| server.facts);
    let database =
        facts.into_iter().find_map(|(name, value)| (name == "database").then_some(value)).unwrap_or_default();
    Err(OpenError::NotMigrated { database, namespace })
}

/// `error`, or what the operating system says of the address: a pool tries again until its time is over, and does not tell why.
#[cfg(feature = "postgres")]
async fn unavailable(context: &str, error: &StoreError, server: &sqlx::postgres::PgConnectOptions) -> OpenError {
    use sqlx::{Connection as _, PgConnection};

    let connecting = tokio::time::timeout(PROBE, PgConnection::connect_with(server));
    OpenError::Unavailable(match connecting.await {
        // It has nothing of the URL.
        Ok(Err(sqlx::Error::Io(reason))) => format!("{context}: {}:{}: {reason}", server.get_host(), server.get_port()),
        Ok(Ok(_) | Err(_)) | Err(_) => causes(context, error),
    })
}

/// What failed, the error and its causes.
#[cfg(any(feature = "sqlite", feature = "redis", feature = "postgres"))]
fn causes(context: &str, error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.fold(context.to_owned(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    /// Tests have all features; without one, its URLs are this error.
    #[test]
    fn a_missing_feature_is_named() {
        for (url, feature) in [
            ("memory:", "moka"),
            ("sqlite:sessions.db", "sqlite"),
            ("redis+cluster://:hunter2@localhost", "redis"),
            ("unix:///run/redis.sock", "redis"),
            ("postgresql://app:hunter2@localhost/app", "postgres"),
        ] {
            let error = OpenError::MissingFeature(Kind::of(url).unwrap().feature());
            let text = format!("{error:?}");
            assert!(text.ends_with(&format!("cargo add session-kit --features {feature}")), "{url}: {text}");
        }
    }
}
