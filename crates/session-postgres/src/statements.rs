//! The text of our statements, constant for a store, so that each connection prepares each of them once.

use std::sync::Arc;

use crate::migrate::SchemaName;

/// One statement for each operation.
pub(crate) struct Statements {
    pub(crate) load: Arc<str>,
    pub(crate) create: Arc<str>,
    pub(crate) update: Arc<str>,
    pub(crate) touch: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) list_by_user: Arc<str>,
    pub(crate) delete_by_user: Arc<str>,
    pub(crate) delete_expired: Arc<str>,
}

impl Statements {
    pub(crate) fn new(schema: &SchemaName) -> Self {
        let text = |sql: &str| Arc::from(schema.substitute(sql));
        Self {
            load: text("SELECT record, last_seen FROM {schema}.session WHERE id = $1"),
            create: text(
                "SELECT outcome, evicted FROM {schema}.create_session(\
                 $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            ),
            update: text("SELECT {schema}.update_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"),
            // A crash of the server may lose the last moments of activity, which is nothing; in exchange a touch does not wait for
            // the disk. The setting ends with the transaction. It must be in FROM: what nobody refers to is not executed.
            touch: text(
                "UPDATE {schema}.session SET last_seen = greatest(last_seen, $2) \
                 FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed \
                 WHERE id = $1 AND deadline > $3 AND last_seen > $3 - idle_ms RETURNING 1",
            ),
            delete: text("DELETE FROM {schema}.session WHERE id = $1 AND user_id IS NOT DISTINCT FROM $2 RETURNING 1"),
            list_by_user: text(
                "SELECT record, last_seen FROM {schema}.session \
                 WHERE user_id = $1 AND deadline > $2 AND last_seen > $2 - idle_ms",
            ),
            delete_by_user: text("SELECT id FROM {schema}.delete_sessions_of($1, $2) AS id"),
            delete_expired: text("SELECT {schema}.delete_expired($1, $2)"),
        }
    }
}
