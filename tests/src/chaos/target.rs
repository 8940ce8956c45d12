//! [`Target`]: where sessions are kept.

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// In this process.
    Moka,
    /// In a file that each node has opened for itself.
    Sqlite,
    /// On a Redis server that flushes each write to the disk.
    Redis,
    /// The same on Valkey, where most updates are another command.
    Valkey,
    /// On a PostgreSQL server that flushes each commit to the disk.
    Postgres,
    /// On such a Redis server, and each node has a cache that follows its feed.
    CachedRedis,
    /// The same, behind Sentinel, which replaces no primary meanwhile.
    CachedSentinel,
    /// The same, on a Cluster of three primaries.
    CachedCluster,
    /// The same, on Valkey.
    CachedValkey,
    /// The same, on PostgreSQL.
    CachedPostgres,
}

impl Target {
    /// Those without a cache.
    pub const PLAIN: [Self; 5] = [Self::Moka, Self::Sqlite, Self::Redis, Self::Valkey, Self::Postgres];

    /// Those with one.
    pub const CACHED: [Self; 5] =
        [Self::CachedRedis, Self::CachedSentinel, Self::CachedCluster, Self::CachedValkey, Self::CachedPostgres];

    /// The name of the backend.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Moka => "moka",
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Postgres => "postgres",
            Self::CachedRedis => "cached-redis",
            Self::CachedSentinel => "cached-redis-sentinel",
            Self::CachedCluster => "cached-redis-cluster",
            Self::CachedValkey => "cached-valkey",
            Self::CachedPostgres => "cached-postgres",
        }
    }

    /// Whether each node has a cache.
    #[must_use]
    pub fn is_cached(self) -> bool {
        Self::CACHED.contains(&self)
    }
}
