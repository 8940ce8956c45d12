//! [`Guard`]: a connection that returns to its pool only if it is known to be fit for the next user.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

/// A connection on loan. Dropped, because the operation failed, timed out or was cancelled, it is closed: a reply may be
/// under way on it, and the next user would read it. [`give_back`](Self::give_back) is the only way back into the pool.
pub(crate) struct Guard {
    connection: PoolConnection<Postgres>,
    fit: bool,
}

impl Guard {
    pub(crate) async fn acquire(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: pool.acquire().await?, fit: false })
    }

    /// Returns the connection, in the background: nothing is under way on it.
    ///
    /// The pool first asks the server for a sign of life and waits for it without limit. If the network dies in that
    /// moment, the connection's place in the pool is lost for good; hence `limit`.
    pub(crate) fn give_back(mut self, limit: Duration) {
        self.fit = true;
        tokio::spawn(tokio::time::timeout(limit, self.connection.return_to_pool()));
    }
}

impl Deref for Guard {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.fit {
            self.connection.close_on_drop();
        }
    }
}
