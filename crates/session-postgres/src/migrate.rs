//! The migrations: what creates the tables and functions, and how that is applied.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, raw_sql};

use crate::link::Executor;
use crate::schema::SchemaName;

/// One step, for applications that apply migrations with a tool of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// A file name without its extension; the steps apply in the order of their names.
    pub name: &'static str,
    /// The statements, with the name of the schema filled in. Apply them in one transaction.
    pub sql: String,
}

/// In the order they apply. A released step never changes. A change is a new step, which must be compatible with the
/// previous release: nodes of both run side by side during a deployment.
const STEPS: &[(&str, &str)] =
    &[("0001_table", include_str!("sql/0001_table.sql")), ("0002_functions", include_str!("sql/0002_functions.sql"))];

/// The migrations as text, to apply with a tool of your own instead of
/// [`PostgresStore::migrate`](crate::PostgresStore::migrate). Use one or the other: neither knows what the other has
/// applied.
///
/// They do not create the schema itself: `CREATE SCHEMA` comes first, and usually needs other privileges.
///
/// ```
/// use session_postgres::{SchemaName, migrations};
///
/// for migration in migrations(&SchemaName::new("app_sessions")?) {
///     println!("-- {}.sql\n{}", migration.name, migration.sql);
/// }
/// # Ok::<_, session_postgres::SchemaNameError>(())
/// ```
#[must_use]
pub fn migrations(schema: &SchemaName) -> Vec<Migration> {
    STEPS.iter().map(|(name, sql)| Migration { name, sql: schema.render(sql) }).collect()
}

/// Applies the missing steps, in one transaction. Without parameters, so that everything uses the simple query
/// protocol, which works behind any pooler.
pub(crate) async fn run(executor: &Executor, schema: &SchemaName) -> Result<(), sqlx::Error> {
    let mut lease = executor.acquire().await?;
    apply(lease.connection()?, schema).await?;
    lease.release();
    Ok(())
}

async fn apply(connection: &mut PgConnection, schema: &SchemaName) -> Result<(), sqlx::Error> {
    // Up to date: no lock and no CREATE privilege is needed. More steps than we know: a newer release has applied them,
    // and they are compatible. An error: usually the schema does not exist yet; any other error occurs again below.
    let count = schema.render("SELECT count(*) FROM {schema}.migration");
    let row = raw_sql(AssertSqlSafe(count)).fetch_one(&mut *connection).await;
    let applied = row.and_then(|row| row.try_get::<i64, _>(0)).unwrap_or(0);
    if usize::try_from(applied).is_ok_and(|applied| applied >= STEPS.len()) {
        return Ok(());
    }
    let mut script = schema.render(include_str!("sql/begin.sql"));
    for Migration { name, sql } in migrations(schema) {
        script += &schema.render(&format!(
            "DO $step$ BEGIN IF NOT EXISTS (SELECT FROM {{schema}}.migration WHERE name = '{name}') THEN {sql}
             INSERT INTO {{schema}}.migration (name) VALUES ('{name}'); END IF; END $step$;"
        ));
    }
    let mut transaction = connection.begin().await?;
    raw_sql(AssertSqlSafe(script)).execute(&mut *transaction).await?;
    transaction.commit().await
}
