//! What the server says of itself and of the schema: [`PostgresStore::inspect`], [`PostgresStore::count_expired`].

use std::collections::BTreeSet;
use std::sync::Arc;

use session_core::store::{Count, Inspection, SchemaState, ServerInfo};
use session_core::{StoreError, Timestamp};

use crate::link::Statement;
use crate::migrate;
use crate::row::{column, only};
use crate::schema::render;
use crate::store::PostgresStore;

/// As many expired records are counted one by one.
const FEW: i64 = 100_000;

const SERVER: &str = r#"SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database()::text,
    pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_isolation'),
    pg_catalog.to_regclass('{schema}.session') IS NOT NULL, pg_catalog.to_regclass('{schema}.migration') IS NOT NULL,
    pg_catalog.pg_total_relation_size(pg_catalog.to_regclass('{schema}.session'))"#;

const EXPIRED: &str = "SELECT count(*) FROM (SELECT FROM {schema}.session s \
    WHERE s.sweep_at <= $1::bigint / 10000 AND NOT ({live($1::bigint)}) LIMIT $2) AS counted";

impl PostgresStore {
    /// What the server says of itself, and which migrations were applied, for an operator. Up to three round trips. Changes
    /// nothing, and needs no more rights than the store, but `SELECT` on `migration`.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses.
    pub async fn inspect(&self) -> Result<Inspection, StoreError> {
        let row = only(self.ask(SERVER).await?)?;
        let (mut found, mut server) =
            (Inspection::default(), ServerInfo::new("PostgreSQL", column::<String>(&row, 0)?));
        server.facts.push(("database", column(&row, 1)?));
        if column(&row, 2)? {
            found
                .warnings
                .push("the server is a standby, or is being restored: name the primary in the URL".to_owned());
        }
        let isolation: String = column(&row, 3)?;
        if isolation != "read committed" {
            let warning = format!(
                "default_transaction_isolation is {isolation}: logins and revocations fail; set it to read committed"
            );
            found.warnings.push(warning);
        }
        found.schema = match (column(&row, 4)?, column(&row, 5)?) {
            (false, _) => SchemaState::Missing,
            (true, false) => SchemaState::Unknown,
            (true, true) => self.missing_steps().await?,
        };
        if let Some(bytes) = column::<Option<i64>>(&row, 6)? {
            server.facts.push(("table_bytes", bytes.to_string()));
        }
        if found.schema == SchemaState::Current {
            let notes: bool = column(&only(self.ask("SELECT {schema}.notes_changes()").await?)?, 0)?;
            // What caches follow.
            server.facts.push(("notes_changes", if notes { "on" } else { "off" }.to_owned()));
        }
        found.servers.push(server);
        Ok(found)
    }

    /// How many records have expired and are still there, which [`delete_expired`](session_core::store::SessionStore::delete_expired)
    /// deletes: exact, or an estimate that is too low where there are more than 100,000. One round trip.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn count_expired(&self, now: Timestamp) -> Result<Count, StoreError> {
        let bind = |statement: Statement| statement.bind(now.as_millis()).bind(FEW + 1);
        let expired: i64 = column(&only(self.executor.run(&self.rendered(EXPIRED), bind).await?)?, 0)?;
        Ok(Self::counted(expired, expired <= FEW))
    }

    /// A count, as the server answers it.
    pub(crate) fn counted(sessions: i64, is_exact: bool) -> Count {
        let sessions = u64::try_from(sessions).unwrap_or(0);
        if is_exact { Count::exact(sessions) } else { Count::estimated(sessions) }
    }

    async fn missing_steps(&self) -> Result<SchemaState, StoreError> {
        let rows = self.ask("SELECT name FROM {schema}.migration").await?;
        let applied = rows.iter().map(|row| column(row, 0)).collect::<Result<BTreeSet<String>, _>>()?;
        let missing: Vec<String> =
            migrate::steps().filter(|step| !applied.contains(*step)).map(str::to_owned).collect();
        Ok(if missing.is_empty() { SchemaState::Current } else { SchemaState::Outdated(missing) })
    }

    async fn ask(&self, sql: &str) -> Result<Vec<sqlx::postgres::PgRow>, StoreError> {
        self.executor.run(&self.rendered(sql), |statement: Statement| statement).await
    }

    fn rendered(&self, sql: &str) -> Arc<str> {
        render(&self.namespace, sql).into()
    }
}
