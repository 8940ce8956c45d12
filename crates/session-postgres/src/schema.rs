//! [`SchemaName`], and the SQL that depends on it.

use std::sync::Arc;

/// The name of the schema that holds everything this crate creates: 1 to 63 of `a-z`, `0-9` and `_`, not beginning with
/// a digit or with `pg_`. So it cannot inject SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaName(Arc<str>);

/// The text is not an accepted schema name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a schema name has 1 to 63 characters of a-z, 0-9 and _, and does not begin with a digit or with pg_")]
#[non_exhaustive]
pub struct SchemaNameError;

/// When the row `s` is alive at the time `{now}`: neither its absolute nor its idle deadline is reached.
const LIVE: &str = "s.created_at + s.absolute_ms > {now} AND s.last_seen > {now} - s.idle_ms";

/// What every function begins with that may answer without writing: a standby may be behind, and would answer with
/// sessions that have ended.
const PRIMARY: &str = "IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the server is a standby' USING ERRCODE = '25006';
    END IF;";

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

    /// `sql` with its placeholders replaced: `{schema}` by the name, quoted because it may be a key word, `{live(NOW)}`
    /// by the condition that the row `s` is alive at `NOW`, and `{primary}` by an error on a standby.
    pub(crate) fn render(&self, sql: &str) -> String {
        let mut rendered = String::new();
        for (n, part) in sql.split("{live(").enumerate() {
            match part.split_once(")}") {
                Some((now, rest)) if n > 0 => rendered = rendered + &LIVE.replace("{now}", now) + rest,
                _ => rendered += part,
            }
        }
        rendered.replace("{primary}", PRIMARY).replace("{schema}", &format!("\"{}\"", self.0))
    }
}

impl Default for SchemaName {
    /// `session`.
    fn default() -> Self {
        Self("session".into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn every_placeholder_is_replaced() {
        let schema = SchemaName::new("order").unwrap();
        assert_eq!(schema.render("'{}'"), "'{}'");
        assert!(schema.render("BEGIN {primary} END").starts_with("BEGIN IF pg_is_in_recovery() THEN"));
        assert_eq!(
            schema.render("SELECT {live($2)} FROM {schema}.session s WHERE NOT ({live(w.now)})"),
            "SELECT s.created_at + s.absolute_ms > $2 AND s.last_seen > $2 - s.idle_ms FROM \"order\".session s \
             WHERE NOT (s.created_at + s.absolute_ms > w.now AND s.last_seen > w.now - s.idle_ms)"
        );
    }
}
