//! The schema: its name, what creates it, and how that is applied.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, raw_sql};

/// The name of the schema that holds everything this crate creates: 1 to 63 of `a-z`, `0-9` and `_`, not beginning with
/// a digit or with `pg_`. Nothing else can get into a statement through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaName(Arc<str>);

/// The text cannot name a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a schema name has 1 to 63 characters of a-z, 0-9 and _, and does not begin with a digit or with pg_")]
pub struct SchemaNameError;

impl SchemaName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`SchemaNameError`] if it is not of the accepted form.
    ///
    /// ```
    /// use session_postgres::SchemaName;
    ///
    /// assert!(SchemaName::new("app_sessions").is_ok());
    /// assert!(SchemaName::new("app; DROP TABLE users").is_err());
    /// ```
    pub fn new(name: &str) -> Result<Self, SchemaNameError> {
        let starts_well = name.starts_with(|c: char| c == '_' || c.is_ascii_lowercase());
        let continues_well = name.bytes().all(|b| matches!(b, b'_' | b'a'..=b'z' | b'0'..=b'9'));
        if !starts_well || !continues_well || name.len() > 63 || name.starts_with("pg_") {
            return Err(SchemaNameError);
        }
        Ok(Self(name.into()))
    }

    /// `sql` with the name in the place of each `{schema}`, quoted because it may be a key word.
    pub(crate) fn substitute(&self, sql: &str) -> String {
        sql.replace("{schema}", &format!("\"{}\"", self.0))
    }
}

impl Default for SchemaName {
    /// `session`.
    fn default() -> Self {
        Self("session".into())
    }
}

/// One step of the schema, for those who apply migrations with a tool of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// A file name without its ending; the steps apply in the order of their names.
    pub name: &'static str,
    /// The statements, with the name of the schema filled in. They belong into one transaction.
    pub sql: String,
}

/// In the order they apply. A released step never changes; a change is a new step, which the previous release must be
/// able to live with, because nodes of both run side by side during a deployment.
const STEPS: &[(&str, &str)] =
    &[("0001_table", include_str!("sql/0001_table.sql")), ("0002_functions", include_str!("sql/0002_functions.sql"))];

/// The migrations as text, for those who apply them with a tool of their own instead of
/// [`PostgresStore::migrate`](crate::PostgresStore::migrate). Do one or the other: neither knows what the other has
/// applied.
///
/// The schema itself is not among them: `CREATE SCHEMA` comes first, and usually needs other rights.
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
    STEPS.iter().map(|(name, sql)| Migration { name, sql: schema.substitute(sql) }).collect()
}

/// Applies what is missing, in one transaction. Without parameters, so that everything goes by the simple protocol and
/// works behind any pooler.
pub(crate) async fn run(connection: &mut PgConnection, schema: &SchemaName) -> Result<(), sqlx::Error> {
    // Up to date: no lock, and no right to create anything is needed. More steps than we know: a newer release was
    // here, and left the schema usable for us. An error: usually there is no schema yet; whatever else it is will come
    // again below.
    let count = schema.substitute("SELECT count(*) FROM {schema}.migration");
    let row = raw_sql(AssertSqlSafe(count)).fetch_one(&mut *connection).await;
    let applied = row.and_then(|row| row.try_get::<i64, _>(0)).unwrap_or(0);
    if usize::try_from(applied).is_ok_and(|applied| applied >= STEPS.len()) {
        return Ok(());
    }
    let mut script = schema.substitute(include_str!("sql/begin.sql"));
    for Migration { name, sql } in migrations(schema) {
        script += &schema.substitute(&format!(
            "DO $step$ BEGIN IF NOT EXISTS (SELECT FROM {{schema}}.migration WHERE name = '{name}') THEN {sql}
             INSERT INTO {{schema}}.migration (name) VALUES ('{name}'); END IF; END $step$;"
        ));
    }
    let mut transaction = connection.begin().await?;
    raw_sql(AssertSqlSafe(script)).execute(&mut *transaction).await?;
    transaction.commit().await
}
