//! The names of the tables of an application, in SQL.

use std::sync::Arc;

use session_core::Namespace;

/// From when on a session is dead: the one expression of it, which has an index. Not a generated column, because no
/// index is enough for a query of that.
const DEADLINE: &str = "min(created_at + absolute_ms, last_seen + idle_ms)";

/// As [`row::summary`](crate::row::summary) reads it.
const SUMMARY: &str = "id, version, user_id, created_at, last_seen, idle_ms, absolute_ms, body";

/// `sql` with the names of the tables, indexes and triggers of this application.
///
/// They begin with `session.`, because a name may not begin with `sqlite_`, which a namespace may. They are quoted,
/// because a namespace may contain a `-`; it contains no quote, and no `.`.
pub(crate) fn render(namespace: &Namespace, sql: &str) -> Arc<str> {
    let sql = sql.replace("{deadline}", DEADLINE).replace("{summary}", SUMMARY);
    let mut rendered = sql.replace("{session}", &format!("\"session.{namespace}\""));
    for part in ["meta", "session_user", "session_deadline", "session_visitor", "visitor_came", "visitor_left"] {
        rendered = rendered.replace(&format!("{{{part}}}"), &format!("\"session.{namespace}.{part}\""));
    }
    rendered.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

    use super::*;

    /// No statement reads all sessions, and none sorts: as many as there are, it takes as long.
    #[tokio::test]
    async fn every_access_has_an_index() {
        let namespace = Namespace::new("shop").unwrap();
        let mut connection = SqliteConnection::connect(":memory:").await.unwrap();
        let tables = render(&namespace, include_str!("sql/0001_session.sql"));
        sqlx::raw_sql(AssertSqlSafe(tables)).execute(&mut connection).await.unwrap();
        for file in std::fs::read_dir("src/sql").unwrap().map(|file| file.unwrap().path()) {
            // The tables; and one row.
            if file.ends_with("0001_session.sql") || file.ends_with("visitors.sql") {
                continue;
            }
            let sql = render(&namespace, &std::fs::read_to_string(file).unwrap());
            let sql = sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
            for step in plan.fetch_all(&mut connection).await.unwrap() {
                let step: String = step.get(3);
                // Visitors, from the least recently used one on, up to a limit.
                let reads_all = step.contains("SCAN session") && !step.contains("INDEX session.shop.session_visitor");
                assert!(!reads_all && !step.contains("TEMP B-TREE"), "{sql}: {step}");
                // Counts and the sweep read the index alone.
                let is_range = step.contains("(is_visitor=? AND <expr>");
                assert!(!is_range || sql.contains("id <>") || step.contains("COVERING"), "{sql}: {step}");
            }
        }
    }
}
