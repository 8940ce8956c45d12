//! The migrations: what creates the tables and functions, and how that is applied.

use std::sync::Arc;

use session_core::Namespace;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, raw_sql};

use crate::link::{Executor, Pooler, Purpose, is_farewell, is_reply};
use crate::schema::render;

/// One step, for applications that apply migrations with a tool of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// A file name without its extension; the steps apply in the order of their names.
    pub name: &'static str,
    /// The statements, with the name of the schema filled in. Apply them in one transaction.
    pub sql: String,
}

/// In the order they apply. A step creates functions or changes tables, not both. A released step never changes. A change is a new step, which must be compatible with the
/// previous release: nodes of both run side by side during a deployment.
const STEPS: &[(&str, &str)] = &[
    ("0001_table", include_str!("sql/0001_table.sql")),
    ("0002_functions", include_str!("sql/0002_functions.sql")),
    ("0003_administration", include_str!("sql/0003_administration.sql")),
    ("0004_visitors", include_str!("sql/0004_visitors.sql")),
    ("0005_create_visitor", include_str!("sql/0005_create_visitor.sql")),
    ("0006_delete_sessions", include_str!("sql/0006_delete_sessions.sql")),
    ("0007_begin_session", include_str!("sql/0007_begin_session.sql")),
    ("0008_changes", include_str!("sql/0008_changes.sql")),
    ("0009_change_functions", include_str!("sql/0009_change_functions.sql")),
    ("0010_change_triggers", include_str!("sql/0010_change_triggers.sql")),
];

/// The migrations as text, to apply with a tool of your own instead of
/// [`PostgresStore::migrate`](crate::PostgresStore::migrate). Use one or the other: neither knows what the other has
/// applied.
///
/// They do not create the schema itself: `CREATE SCHEMA` comes first, with the namespace as the name, in quotes, and usually
/// needs other privileges.
///
/// ```
/// use session_core::Namespace;
/// use session_postgres::migrations;
///
/// for migration in migrations(&Namespace::new("shop")?) {
///     println!("-- {}.sql\n{}", migration.name, migration.sql);
/// }
/// # Ok::<_, session_core::NamespaceError>(())
/// ```
#[must_use]
pub fn migrations(namespace: &Namespace) -> Vec<Migration> {
    STEPS.iter().map(|(name, sql)| Migration { name, sql: render(namespace, sql) }).collect()
}

/// The names of all steps.
pub(crate) fn steps() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|(name, _)| *name)
}

/// Applies the missing steps, in one transaction. Without parameters, so that everything uses the simple query
/// protocol, which works behind any pooler.
///
/// If the store `publishes` changes, they are noted from then on, whoever makes them.
pub(crate) async fn run(executor: &Executor, namespace: &Namespace, publishes: bool) -> Result<(), sqlx::Error> {
    let mut lease = executor.acquire(Purpose::Other).await?;
    let check = check(namespace, publishes);
    let result = async {
        if is_up_to_date(lease.begin(&check)?, &check).await? {
            return Ok(());
        }
        if executor.pooler == Pooler::Transparent {
            lease.identify().await?;
        }
        let script = script(namespace, publishes);
        apply(lease.begin(&script)?, &script).await
    };
    let result = result.await;
    lease.end(&result);
    result
}

fn check(namespace: &Namespace, publishes: bool) -> Arc<str> {
    let (names, steps) = (literals(STEPS.iter().map(|(name, _)| *name)), STEPS.len());
    let applied = format!("(SELECT count(*) FROM {{schema}}.migration WHERE name IN ({names})) = {steps}");
    let is_noted = if publishes { "{schema}.notes_changes()" } else { "true" };
    render(namespace, &format!("SELECT {applied} AND NOT {} AND {is_noted}", is_renamed())).into()
}

/// Whether the functions contain the name of another schema, because this one was renamed.
fn is_renamed() -> String {
    let functions = literals(functions());
    format!(
        r#"EXISTS (
    SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE '"' || n.nspname || '"' = '{{schema}}' AND strpos(p.prosrc, '{{schema}}.') = 0
        AND p.proname IN ({functions}))"#
    )
}

/// The names of all functions that the steps create.
fn functions() -> impl Iterator<Item = &'static str> {
    let created = STEPS.iter().flat_map(|(_, sql)| sql.split("CREATE FUNCTION {schema}.").skip(1));
    created.filter_map(|function| function.split('(').next())
}

/// A list of SQL string literals. The names are ours, and contain no quotes.
fn literals(names: impl Iterator<Item = &'static str>) -> String {
    names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// If so, no lock and no CREATE privilege is needed. Steps that we do not know are those of a newer release, which are
/// compatible.
async fn is_up_to_date(connection: &mut PgConnection, check: &Arc<str>) -> Result<bool, sqlx::Error> {
    match raw_sql(AssertSqlSafe(Arc::clone(check))).fetch_one(connection).await {
        Ok(row) => row.try_get(0),
        // Usually the schema does not exist yet; any other error occurs again below.
        Err(error) if is_reply(&error) && !is_farewell(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn script(namespace: &Namespace, publishes: bool) -> Arc<str> {
    let mut script = render(namespace, include_str!("sql/begin.sql"));
    for Migration { name, sql } in migrations(namespace) {
        let step = format!(
            "DO $step$ BEGIN IF NOT EXISTS (SELECT FROM {{schema}}.migration WHERE name = '{name}') THEN {sql}
             INSERT INTO {{schema}}.migration (name) VALUES ('{name}'); END IF; END $step$;"
        );
        script += &render(namespace, &step);
    }
    let steps_with_functions = STEPS.iter().map(|(_, sql)| *sql).filter(|sql| sql.contains("CREATE FUNCTION"));
    let functions = steps_with_functions.collect::<String>().replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION");
    let is_renamed = is_renamed();
    script += &render(namespace, &format!("DO $step$ BEGIN IF {is_renamed} THEN {functions} END IF; END $step$;"));
    if publishes {
        let note = "DO $step$ BEGIN IF NOT {schema}.notes_changes() THEN PERFORM {schema}.note_changes(true); END IF; END $step$;";
        script += &render(namespace, note);
    }
    script.into()
}

async fn apply(connection: &mut PgConnection, script: &Arc<str>) -> Result<(), sqlx::Error> {
    // At another level, a node that has waited for the lock would not see what the node before it has done.
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
    raw_sql(AssertSqlSafe(Arc::clone(script))).execute(&mut *transaction).await?;
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found() {
        let names: Vec<_> = functions().collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| matches!(b, b'_' | b'a'..=b'z'))), "{names:?}");
        assert!(names.contains(&"load_session") && names.contains(&"count_sessions"), "{names:?}");
        let created: usize = STEPS.iter().map(|(_, sql)| sql.matches("CREATE FUNCTION").count()).sum();
        assert_eq!(names.len(), created);
    }
}
