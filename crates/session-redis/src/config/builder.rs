//! [`RedisStore`], a handle to the servers, and how it is opened: [`RedisStoreBuilder`].

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use session_core::Namespace;
use tokio::sync::Mutex;

use super::credentials::CredentialsProvider;
use super::error::ConnectError;
use super::target::Target;
use super::tls::Certificates;
use super::url::Topology;
use crate::link::Link;
use crate::script::Keys;

/// The longest time limit of an operation.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Sessions in Redis or Valkey. Cheap to clone; clones share their connections. See the [crate] for what it
/// guarantees, what it costs and how to operate it.
///
/// ```no_run
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// use session_core::Namespace;
/// use session_redis::RedisStore;
///
/// let store = RedisStore::connect("redis://127.0.0.1:6379", Namespace::new("shop")?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    pub(crate) keys: Keys,
    pub(crate) link: Arc<Link>,
    /// Logins at the limit queue inside this process, by shard, so that nodes contend, not requests.
    pub(crate) login_locks: Arc<[Mutex<()>; 64]>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("keys", &self.keys).field("link", &self.link).finish_non_exhaustive()
    }
}

/// Opens a [`RedisStore`] with settings, from [`RedisStore::builder`].
///
/// ```no_run
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use session_core::Namespace;
/// use session_redis::RedisStore;
///
/// let url = "redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster";
/// let store = RedisStore::builder(url, Namespace::new("shop")?)
///     .operation_timeout(Duration::from_millis(500))
///     .wait_for_replicas(NonZeroU32::MIN)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisStoreBuilder {
    url: String,
    namespace: Namespace,
    operation_timeout: Duration,
    wait_for_replicas: Option<NonZeroU32>,
    credentials: Option<Arc<dyn CredentialsProvider>>,
    certificates: Certificates,
    publishes: bool,
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("namespace", &self.namespace)
            .field("operation_timeout", &self.operation_timeout)
            .field("wait_for_replicas", &self.wait_for_replicas)
            .field("publishes", &self.publishes)
            .finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects to the servers of `url` with the default settings, for the application `namespace`:
    /// [`builder`](Self::builder), then [`connect`](RedisStoreBuilder::connect).
    ///
    /// # Errors
    /// As [`RedisStoreBuilder::connect`].
    pub async fn connect(url: &str, namespace: Namespace) -> Result<Self, ConnectError> {
        Self::builder(url, namespace).connect().await
    }

    /// A builder for the store of the application `namespace` on the servers of `url`. Its keys begin with the namespace,
    /// which is the same on every node of the application.
    ///
    /// | URL | servers |
    /// |---|---|
    /// | `redis://[user:password@]host[:port][/db]` (or `?db=…`) | one server |
    /// | `unix:///path/to/socket[?db=…&user=…&pass=…]` | one server |
    /// | `redis+sentinel://[user:password@]host[:port],…/service[?db=…&sentinel_user=…&sentinel_password=…]` | the primary of `service`, found through these sentinels (port 26379). The user and password are those of the primary |
    /// | `redis+cluster://[user:password@]host[:port],…` | a Cluster, found through these nodes |
    ///
    /// With `rediss` instead of `redis`, all connections use TLS and trust the certificate authorities that the
    /// operating system trusts (feature `tls-rustls`). The certificate of a server is checked against the name or address
    /// by which the URL, the sentinels or the Cluster call it. `valkey` and `valkeys` are synonyms of `redis` and `rediss`.
    /// User, password and socket path are percent-encoded. `protocol=resp2` keeps the store from trying RESP3 first,
    /// which a Cluster needs.
    /// What a URL cannot mean, such as any other parameter or a user without a password, is an error.
    pub fn builder(url: &str, namespace: Namespace) -> RedisStoreBuilder {
        RedisStoreBuilder {
            url: url.to_owned(),
            namespace,
            operation_timeout: Duration::from_secs(1),
            wait_for_replicas: None,
            credentials: None,
            certificates: Certificates::default(),
            publishes: false,
        }
    }
}

impl RedisStoreBuilder {
    /// The time limit of every operation, including all its round trips and the wait for a connection. Should be below
    /// the policy's store timeout. At most a minute. Default: 1 second.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// Makes `create`, `update`, `delete` and `delete_by_user` wait (`WAIT`) until this many replicas (of the shard, in
    /// a Cluster) have confirmed the write, so that a failover to one of them does not undo an acknowledged logout,
    /// login or change. With fewer than there are, a replica that has not confirmed may be promoted if it is the only
    /// one left. Default: none.
    ///
    /// If too few confirm within three quarters of the time limit, the operation fails with
    /// [`StoreErrorKind::Timeout`](session_core::StoreErrorKind::Timeout), although the primary has executed it.
    ///
    /// These operations have a connection of their own, on which each waits until the replicas have confirmed the one
    /// before: a process makes about as many of them per second as a replica has round trips, and fewer while replicas
    /// copy a large session. While replicas are missing, they fail, and reads and touches go on. After a failover, one
    /// is missing until the old primary has become a replica.
    pub fn wait_for_replicas(mut self, replicas: NonZeroU32) -> Self {
        self.wait_for_replicas = Some(replicas);
        self
    }

    /// Tells those who [follow the changes](RedisStore::feed) what this store does, in the same atomic step: `PUBLISH` on the
    /// channel `{namespace:changes}`, which costs the server about a microsecond for each write, and another for each
    /// follower. Touches are not told. Default: off.
    ///
    /// The user of the servers needs the right to it: `PUBLISH`, and the channel (`&{namespace:changes}`), which is not among
    /// those that Redis gives by default. A server that refuses an empty message there is not connected to.
    ///
    /// A feed hears only those that tell: turn it on in **every** node of the application before the first of them follows the
    /// changes. In a Cluster, where the servers tell by themselves, it is not needed, and does nothing. On a server, a namespace then is that of one application in all databases, because channels are.
    pub fn publish_changes(mut self) -> Self {
        self.publishes = true;
        self
    }

    /// Asks `provider` for the user and password of the servers before each connection, instead of the URL, so that
    /// they can change while the application runs. Connections that are open stay open. Sentinels have the user and
    /// password of the URL.
    pub fn credentials(mut self, provider: impl CredentialsProvider) -> Self {
        self.credentials = Some(Arc::new(provider));
        self
    }

    /// Trusts these certificate authorities (PEM) instead of those of the operating system. For a URL with TLS.
    #[cfg(feature = "tls-rustls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.roots = Some(pem.into());
        self
    }

    /// Shows this certificate (PEM, with those between it and the authority) to the servers, and proves it with this
    /// key (PEM). For a URL with TLS.
    #[cfg(feature = "tls-rustls")]
    pub fn client_certificate(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.certificates.client = Some((certificate.into(), key.into()));
        self
    }

    /// Opens the store, and waits until it is connected. Warns through `tracing` if the server is configured to evict
    /// live sessions when it reaches `maxmemory`.
    ///
    /// # Errors
    /// If a setting is not allowed, or the servers cannot be reached within the time limit of an operation, do not let
    /// the application in, are too old, or are not what the URL says. The text names the cause.
    pub async fn connect(self) -> Result<RedisStore, ConnectError> {
        let store = self.connect_lazy()?;
        store.link.ready().await?;
        Ok(store)
    }

    /// Opens the store without waiting: the application may start while the servers are down. Operations fail until the
    /// servers can be reached. The tokio runtime this is called in must live as long as the store.
    ///
    /// # Errors
    /// If a setting is not allowed.
    pub fn connect_lazy(self) -> Result<RedisStore, ConnectError> {
        if self.operation_timeout.is_zero() || self.operation_timeout > MAX_TIMEOUT {
            return Err(ConnectError::OperationTimeout);
        }
        let topology = Topology::parse(&self.url, &self.certificates)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConnectError::NoRuntime)?;
        let keys = Keys(self.namespace);
        let tells = self.publishes && !matches!(topology, Topology::Cluster { .. });
        let channel = tells.then(|| keys.channel());
        let target = Target { topology, credentials: self.credentials, channel, moves: Arc::default() };
        let link = Arc::new(Link::open(target, self.operation_timeout, self.wait_for_replicas, runtime));
        Ok(RedisStore { keys, link, login_locks: Arc::new(std::array::from_fn(|_| Mutex::new(()))) })
    }
}
