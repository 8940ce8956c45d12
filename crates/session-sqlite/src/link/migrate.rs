//! The migrations: what creates the tables, and how that is applied.

use session_core::{Namespace, StoreError, StoreErrorKind};
use sqlx::{AssertSqlSafe, SqliteConnection, raw_sql};

use crate::schema::render;

/// In the order they apply. A released step never changes. A change is a new step.
const STEPS: [&str; 1] = [include_str!("../sql/0001_session.sql")];

/// The steps that are missing. Changes nothing.
pub(crate) async fn missing(
    connection: &mut SqliteConnection,
    namespace: &Namespace,
) -> Result<Result<&'static [&'static str], StoreError>, sqlx::Error> {
    let applied = usize::try_from(applied(connection, namespace).await?);
    Ok(applied.ok().and_then(|applied| STEPS.get(applied..)).ok_or_else(|| {
        let detail =
            "the tables were made by a newer release, which this one does not understand; update the application";
        StoreError::new(StoreErrorKind::Other, detail).unsent()
    }))
}

/// Applies them, in the transaction that has begun, and commits it.
pub(crate) async fn run(
    connection: &mut SqliteConnection,
    namespace: &Namespace,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    // Once more: another process may have been faster.
    let missing = match missing(connection, namespace).await? {
        Ok(missing) => missing,
        Err(error) => return Ok(Err(error)),
    };
    for sql in missing {
        raw_sql(AssertSqlSafe(render(namespace, sql))).execute(&mut *connection).await?;
    }
    if !missing.is_empty() {
        let noted = render(namespace, &format!("UPDATE {{meta}} SET version = {}", STEPS.len()));
        raw_sql(AssertSqlSafe(noted)).execute(&mut *connection).await?;
    }
    // Without a write, nobody notices that there can be none.
    raw_sql(AssertSqlSafe(render(namespace, "DELETE FROM {meta} WHERE 0"))).execute(&mut *connection).await?;
    raw_sql("COMMIT").execute(connection).await?;
    Ok(Ok(()))
}

/// How many steps were applied.
async fn applied(connection: &mut SqliteConnection, namespace: &Namespace) -> Result<i64, sqlx::Error> {
    let named = render(namespace, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '{meta}'");
    // The name as text, not as an identifier.
    let exists: i64 = sqlx::query_scalar(AssertSqlSafe(named.replace('"', ""))).fetch_one(&mut *connection).await?;
    if exists == 0 {
        return Ok(0);
    }
    sqlx::query_scalar(AssertSqlSafe(render(namespace, "SELECT version FROM {meta}"))).fetch_one(connection).await
}
