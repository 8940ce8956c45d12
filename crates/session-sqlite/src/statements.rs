//! [`Statements`]: the SQL of the operations.

use std::sync::Arc;

use session_core::Namespace;

/// `sql` with the names of the tables, indexes and triggers of this application.
///
/// They begin with `session.`, because a name may not begin with `sqlite_`, which a namespace may. They are quoted, because a
/// namespace may contain a `-`; it contains no quote, and no `.`.
pub(crate) fn render(namespace: &Namespace, sql: &str) -> Arc<str> {
    let mut rendered = sql.replace("{session}", &format!("\"session.{namespace}\""));
    for part in ["meta", "session_user", "session_deadline", "session_visitor", "visitor_came", "visitor_left"] {
        rendered = rendered.replace(&format!("{{{part}}}"), &format!("\"session.{namespace}.{part}\""));
    }
    rendered.into()
}

/// The text of each statement, for one application. Constant, so that a connection prepares each once.
pub(crate) struct Statements {
    pub(crate) load: Arc<str>,
    pub(crate) list_by_user: Arc<str>,
    pub(crate) list_all: Arc<str>,
    pub(crate) count: Arc<str>,
    /// What `create` decides on: what has the id, the session to replace, the others of the user.
    pub(crate) rivals: Arc<str>,
    pub(crate) insert: Arc<str>,
    pub(crate) visitors: Arc<str>,
    pub(crate) delete_expired_visitors: Arc<str>,
    pub(crate) delete_visitors: Arc<str>,
    pub(crate) update: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) touch: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) delete_id: Arc<str>,
    pub(crate) delete_by_user: Arc<str>,
    pub(crate) delete_expired: Arc<str>,
}

/// As [`row::summary`](crate::row::summary) reads it.
const SUMMARY: &str = "id, version, user_id, created_at, last_seen, idle_ms, absolute_ms, body";

impl Statements {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let render = |sql: &str| render(namespace, &sql.replace("{summary}", SUMMARY));
        Self {
            load: render("SELECT {summary}, data FROM {session} WHERE id = ?1"),
            list_by_user: render("SELECT {summary} FROM {session} WHERE user_id = ?1 AND deadline > ?2"),
            list_all: render(
                "SELECT {summary} FROM {session} WHERE id > coalesce(?1, x'') AND deadline > ?2 ORDER BY id LIMIT ?3",
            ),
            count: render("SELECT count(*) FROM {session} WHERE is_visitor IN (0, 1) AND deadline > ?1"),
            rivals: render(
                "SELECT 0, id, version, created_at, last_seen, deadline > ?4 FROM {session} WHERE id = ?1
                 UNION ALL
                 SELECT 1, id, version, created_at, last_seen, deadline > ?4 FROM {session} WHERE id = ?2
                 UNION ALL
                 SELECT 2, id, version, created_at, last_seen, 1 FROM {session}
                     WHERE user_id = ?3 AND deadline > ?4 AND id IS NOT ?2",
            ),
            insert: render(
                "INSERT INTO {session}
                     (id, version, user_id, created_at, last_seen, idle_ms, absolute_ms, body, data, is_visitor)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            ),
            visitors: render("SELECT visitors FROM {meta}"),
            delete_expired_visitors: render(
                "DELETE FROM {session} WHERE rowid IN
                     (SELECT rowid FROM {session} WHERE is_visitor = 1 AND deadline <= ?1 AND id <> ?2 LIMIT ?3)",
            ),
            delete_visitors: render(
                "DELETE FROM {session} WHERE rowid IN
                     (SELECT rowid FROM {session} WHERE is_visitor = 1 AND id <> ?1 ORDER BY last_seen LIMIT ?2)
                 RETURNING id",
            ),
            update: render(
                "UPDATE {session} SET version = ?2, created_at = ?4, last_seen = max(last_seen, ?5), idle_ms = ?6,
                     absolute_ms = ?7, body = ?8, data = ?9
                 WHERE id = ?1 AND version = ?10 AND deadline > ?11",
            ),
            version: render("SELECT version FROM {session} WHERE id = ?1 AND deadline > ?2"),
            touch: render("UPDATE {session} SET last_seen = max(last_seen, ?2) WHERE id = ?1 AND deadline > ?2"),
            delete: render("DELETE FROM {session} WHERE id = ?1 AND user_id IS ?2"),
            delete_id: render("DELETE FROM {session} WHERE id = ?1"),
            delete_by_user: render(
                "DELETE FROM {session} WHERE user_id = ?1 AND id IS NOT ?2 RETURNING {summary}, deadline > ?3",
            ),
            delete_expired: render(
                "DELETE FROM {session} WHERE rowid IN
                     (SELECT rowid FROM {session} WHERE is_visitor IN (0, 1) AND deadline <= ?1 LIMIT ?2)",
            ),
        }
    }
}
