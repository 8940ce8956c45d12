//! Setting up a [`PostgresStore`].

use std::time::Duration;

use sqlx::PgPool;

use crate::link::{Executor, Pooler};
use crate::schema::SchemaName;
use crate::store::PostgresStore;

const OPERATION_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Sets up a [`PostgresStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PostgresStoreBuilder {
    pool: PgPool,
    schema: SchemaName,
    operation_timeout: Duration,
    pooler: Pooler,
}

impl PostgresStore {
    /// A store in the schema `session`, with the defaults of the [`builder`](Self::builder). Connects to nothing yet.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self::builder(pool).build()
    }

    /// A builder of a store that takes its connections from `pool`.
    pub fn builder(pool: PgPool) -> PostgresStoreBuilder {
        PostgresStoreBuilder {
            pool,
            schema: SchemaName::default(),
            operation_timeout: OPERATION_TIMEOUT,
            pooler: Pooler::Transparent,
        }
    }
}

impl PostgresStoreBuilder {
    /// The schema that holds the sessions. By default `session`.
    pub fn schema(mut self, schema: SchemaName) -> Self {
        self.schema = schema;
        self
    }

    /// How long an operation may take, waiting for a connection included. By default 1.5 seconds: a little less than
    /// the policy's store timeout, so that the error says what happened.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// What is between this process and the server. By default [`Pooler::Transparent`].
    pub fn pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = pooler;
        self
    }

    /// The store. Connects to nothing yet.
    #[must_use]
    pub fn build(self) -> PostgresStore {
        PostgresStore::open(self.schema, Executor::new(self.pool, self.operation_timeout, self.pooler))
    }
}
