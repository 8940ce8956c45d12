//! The schema of an application, in SQL.

use session_core::Namespace;

/// When the row `s` is alive at the time `{now}`: neither its absolute nor its idle deadline is reached.
const LIVE: &str = "s.created_at + s.absolute_ms > {now} AND s.last_seen > {now} - s.idle_ms";

/// What every function begins with that may answer without writing: a standby may be behind, and would answer with
/// sessions that have ended.
const PRIMARY: &str = "IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the server is a standby' USING ERRCODE = '25006';
    END IF;";

/// `sql` with its placeholders replaced: `{schema}` by the name of the schema, which is the namespace, quoted because it may
/// be a key word or contain a `-`; `{live(NOW)}` by the condition that the row `s` is alive at `NOW`; and `{primary}` by an
/// error on a standby.
pub(crate) fn render(namespace: &Namespace, sql: &str) -> String {
    let mut rendered = String::new();
    for (n, part) in sql.split("{live(").enumerate() {
        match part.split_once(")}") {
            Some((now, rest)) if n > 0 => rendered = rendered + &LIVE.replace("{now}", now) + rest,
            _ => rendered += part,
        }
    }
    rendered.replace("{primary}", PRIMARY).replace("{schema}", &format!("\"{namespace}\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn every_placeholder_is_replaced() {
        let render = |sql| render(&Namespace::new("order").unwrap(), sql);
        assert_eq!(render("'{}'"), "'{}'");
        assert!(render("BEGIN {primary} END").starts_with("BEGIN IF pg_is_in_recovery() THEN"));
        assert_eq!(
            render("SELECT {live($2)} FROM {schema}.session s WHERE NOT ({live(w.now)})"),
            "SELECT s.created_at + s.absolute_ms > $2 AND s.last_seen > $2 - s.idle_ms FROM \"order\".session s \
             WHERE NOT (s.created_at + s.absolute_ms > w.now AND s.last_seen > w.now - s.idle_ms)"
        );
    }
}
