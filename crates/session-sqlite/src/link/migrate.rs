//! The migrations: what creates the tables, and how that is applied.

use session_core::{Namespace, StoreError, StoreErrorKind};
use sqlx::{AssertSqlSafe, SqliteConnection, raw_sql};

use crate::schema::render;

/// In the order they apply. A released step never changes. A change is a new step.
const STEPS: [&str; 1] = [include_str!("../sql/0001_session.sql")];

/// What they make.
const PARTS: [&str; 7] = [
    "{session}",
    "{meta}",
    "{session_user}",
    "{session_deadline}",
    "{session_visitor}",
    "{visitor_came}",
    "{visitor_left}",
];

/// The steps that are missing. Changes nothing.
pub(crate) async fn missing(
    connection: &mut SqliteConnection,
    namespace: &Namespace,
) -> Result<Result<&'static [&'static str], StoreError>, sqlx::Error> {
    let applied = applied(connection, namespace).await?;
    Ok(applied.and_then(|applied| {
        STEPS.get(applied..).ok_or_else(|| {
            let detail =
                "the tables were made by a newer release, which this one does not understand; update the application";
            StoreError::new(StoreErrorKind::Other, detail).unsent()
        })
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

/// How many steps were applied. An error if some of what they made is not there: whoever dropped it may have dropped
/// sessions.
async fn applied(
    connection: &mut SqliteConnection,
    namespace: &Namespace,
) -> Result<Result<usize, StoreError>, sqlx::Error> {
    let named = render(namespace, &format!("SELECT count(*) FROM sqlite_schema WHERE name IN ({})", PARTS.join(", ")));
    // The names as text, not as identifiers.
    let named = named.replace('"', "'");
    let found: i64 = sqlx::query_scalar(AssertSqlSafe(named)).fetch_one(&mut *connection).await?;
    if found == 0 {
        return Ok(Ok(0));
    }
    let incomplete = || {
        let detail = "some of the tables of the store are missing, or their indexes or triggers; restore a backup, or \
            drop the rest to begin without sessions";
        StoreError::new(StoreErrorKind::Other, detail).unsent()
    };
    let meta = render(namespace, "SELECT count(*) FROM sqlite_schema WHERE name = {meta}").replace('"', "'");
    let has_meta: i64 = sqlx::query_scalar(AssertSqlSafe(meta)).fetch_one(&mut *connection).await?;
    if has_meta == 0 {
        return Ok(Err(incomplete()));
    }
    let version = render(namespace, "SELECT version FROM {meta}");
    let version: Option<i64> = sqlx::query_scalar(AssertSqlSafe(version)).fetch_optional(connection).await?;
    let Some(version) = version.and_then(|version| usize::try_from(version).ok()) else { return Ok(Err(incomplete())) };
    // What a newer release has is its own.
    let is_incomplete = version <= STEPS.len() && found != PARTS.len() as i64;
    Ok(if is_incomplete { Err(incomplete()) } else { Ok(version) })
}
