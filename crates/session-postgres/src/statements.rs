//! [`Statements`]: the SQL of the operations.

use std::sync::Arc;

use crate::row::COLUMNS;
use crate::schema::SchemaName;

/// The text of each statement, for one schema.
pub(crate) struct Statements {
    pub(crate) load: Arc<str>,
    pub(crate) load_batch: Arc<str>,
    pub(crate) create: Arc<str>,
    pub(crate) update: Arc<str>,
    pub(crate) update_batch: Arc<str>,
    pub(crate) touch: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) list_by_user: Arc<str>,
    pub(crate) delete_by_user: Arc<str>,
    pub(crate) delete_expired: Arc<str>,
}

impl Statements {
    pub(crate) fn new(schema: &SchemaName) -> Self {
        let render = |sql: &str| schema.render(&sql.replace("{columns}", COLUMNS)).into();
        Self {
            load: render("SELECT {columns} FROM {schema}.session WHERE id = $1"),
            // OFFSET keeps the planner from flattening the subquery: a plan for the join would scan the whole table, if
            // the table was empty when it was made.
            load_batch: render(
                "SELECT s.*, wanted.place FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (wanted_id, place), \
                 LATERAL (SELECT {columns} FROM {schema}.session WHERE id = wanted_id OFFSET 0) AS s",
            ),
            create: render(
                "SELECT outcome, evicted FROM {schema}.create_session(\
                 $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            ),
            update: render("SELECT {schema}.update_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"),
            update_batch: render("SELECT {schema}.update_sessions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"),
            // A crash of the server may lose the last moments of activity, which does no harm; in exchange a touch does
            // not wait for the disk. The setting ends with the transaction. It stands in FROM because an unreferenced
            // CTE is not executed.
            touch: render(
                "UPDATE {schema}.session s SET last_seen = greatest(s.last_seen, $2) \
                 FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed \
                 WHERE s.id = $1 AND {live($3)} RETURNING 1",
            ),
            delete: render(
                "DELETE FROM {schema}.session WHERE id = $1 AND user_id IS NOT DISTINCT FROM $2 RETURNING 1",
            ),
            list_by_user: render("SELECT {columns} FROM {schema}.session s WHERE s.user_id = $1 AND {live($2)}"),
            delete_by_user: render("SELECT id FROM {schema}.delete_sessions_of($1, $2) AS id"),
            delete_expired: render("SELECT {schema}.delete_expired($1, $2)"),
        }
    }
}
