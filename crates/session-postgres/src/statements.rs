//! [`Statements`]: the SQL of the operations.

use std::sync::Arc;

use session_core::Namespace;

use crate::schema::render;

/// The text of each statement, for one application.
pub(crate) struct Statements {
    pub(crate) load: Arc<str>,
    pub(crate) load_batch: Arc<str>,
    pub(crate) create: Arc<str>,
    pub(crate) create_visitor: Arc<str>,
    pub(crate) update: Arc<str>,
    pub(crate) update_batch: Arc<str>,
    pub(crate) touch: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) list_by_user: Arc<str>,
    pub(crate) delete_by_user: Arc<str>,
    pub(crate) list_all: Arc<str>,
    pub(crate) count: Arc<str>,
    pub(crate) delete_expired: Arc<str>,
    pub(crate) forget_changes: Arc<str>,
}

impl Statements {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let render = |sql: &str| render(namespace, sql).into();
        Self {
            load: render("SELECT * FROM {schema}.load_session($1)"),
            load_batch: render("SELECT * FROM {schema}.load_sessions($1)"),
            create: render(
                "SELECT outcome, evicted FROM {schema}.begin_session(\
                 $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            ),
            create_visitor: render(
                // The same parameters, without the user and what happens at the limit.
                "SELECT outcome, evicted FROM {schema}.create_visitor(\
                 $1, $2, $3, $4, $5, $6, $7, $9, $10, $11, $12, $13, $14, $16) \
                 WHERE $8::bytea IS NULL AND $15::text IS NOT NULL",
            ),
            update: render("SELECT {schema}.update_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"),
            update_batch: render("SELECT {schema}.update_sessions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"),
            touch: render("SELECT {schema}.touch_session($1, $2, $3)"),
            delete: render("SELECT {schema}.delete_session($1, $2)"),
            list_by_user: render("SELECT * FROM {schema}.list_sessions_of($1, $2)"),
            delete_by_user: render("SELECT * FROM {schema}.revoke_sessions_of($1, $2, $3)"),
            list_all: render("SELECT * FROM {schema}.list_sessions($1, $2, $3)"),
            count: render("SELECT sessions, is_exact FROM {schema}.count_sessions($1, $2)"),
            delete_expired: render("SELECT deleted, more FROM {schema}.delete_expired($1, $2)"),
            forget_changes: render("SELECT {schema}.forget_changes(10000)"),
        }
    }
}
