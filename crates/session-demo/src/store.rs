//! Where sessions are stored: the option `--store`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::SessionStore;
use session_core::{Namespace, Policy};
use session_moka::MokaStore;
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::{ConnectError, RedisStore};
use sqlx::postgres::PgConnectOptions;

/// How long migrations may take: another node may be running them.
const MIGRATIONS: Duration = Duration::from_secs(30);

/// The option as given. Parsed only when opened: an error of the command line would quote it, and with it a password.
#[derive(Clone)]
pub struct StoreUrl(String);

/// Why there is no store. Never quotes the URL.
#[derive(Debug)]
pub enum OpenError {
    /// The URL has no supported form.
    NotUnderstood,
    /// A setting in it is not supported.
    Refused(ConnectError),
    /// The server cannot be used: what failed, the error and its causes.
    Unavailable(Vec<String>),
}

impl StoreUrl {
    /// Opens the store of the application `namespace`, and waits until its server answers. One in PostgreSQL is brought up
    /// to date. One in memory is of this process alone, and needs no name. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the URL is not understood, or the server cannot be used.
    pub async fn open(&self, policy: &Policy, namespace: Namespace) -> Result<Arc<dyn SessionStore>, OpenError> {
        // Shorter than the timeout of core, so that the error names the cause.
        let timeout = policy.store_timeout() * 3 / 4;
        if self.0 == "memory" {
            return Ok(Arc::new(MokaStore::new()));
        }
        let (scheme, _) = self.0.split_once("://").unwrap_or_default();
        if matches!(scheme, "postgres" | "postgresql") {
            return postgres(&self.0, namespace, timeout).await;
        }
        match RedisStore::builder(&self.0, namespace).operation_timeout(timeout).connect().await {
            Ok(store) => Ok(Arc::new(store)),
            Err(ConnectError::Unavailable(error)) => Err(OpenError::unavailable("redis: connect", &error)),
            Err(ConnectError::Url) => Err(OpenError::NotUnderstood),
            Err(error) => Err(OpenError::Refused(error)),
        }
    }
}

async fn postgres(url: &str, namespace: Namespace, timeout: Duration) -> Result<Arc<dyn SessionStore>, OpenError> {
    // Dropped, because the error may quote the URL.
    let options: PgConnectOptions = url.parse().map_err(|_| OpenError::NotUnderstood)?;
    let pool = recommended_pool_options().acquire_timeout(timeout).connect_lazy_with(options);
    let store = PostgresStore::builder(pool, namespace).operation_timeout(timeout).build();
    match tokio::time::timeout(MIGRATIONS, store.migrate()).await {
        Ok(Ok(())) => Ok(Arc::new(store)),
        Ok(Err(error)) => Err(OpenError::unavailable("postgres: migrate", &error)),
        Err(_) => Err(OpenError::Unavailable(vec!["postgres: migrate: no end within 30 seconds".to_owned()])),
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
        let causes = std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string);
        Self::Unavailable(std::iter::once(context.to_owned()).chain(causes).collect())
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnderstood => f.write_str(
                "--store is not understood. It may be\n  \
                 memory\n  \
                 redis://[user:password@]host[:port][/db]\n  \
                 redis+sentinel://[user:password@]host[:port],…/service\n  \
                 redis+cluster://[user:password@]host[:port],…\n  \
                 unix:///path/to/the/socket/of/redis\n  \
                 postgres://[user[:password]@]host[:port]/database\n\
                 with rediss for TLS, valkey and valkeys for redis and rediss, postgresql for postgres; special \
                 characters in a user or password are percent-encoded",
            ),
            Self::Refused(error) => write!(f, "--store: {error}"),
            Self::Unavailable(causes) => {
                write!(f, "the store cannot be used: {}", causes.join(": "))?;
                f.write_str(
                    "\nIs the server running, and are the address, the user and the password in --store right? Without \
                     a server, try the demo with --store memory",
                )
            }
        }
    }
}

impl Error for OpenError {}
