//! [`Census`]: what the servers were asked, as they count it themselves.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use session_conformance::Failure;
use sqlx::{Connection as _, PgConnection, raw_sql};
use tokio::time::sleep;

use super::bed::Bed;
use crate::failure::failure;
use crate::servers::Redis;

/// How often each command or statement was executed so far. Not those of who follows changes, keeps servers together, or counts.
#[derive(Debug)]
pub(super) struct Census(BTreeMap<String, u64>);

/// Whether servers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    On,
    Off,
}

/// Of Redis: beats of feeds, replication and its sentinels, and what is asked here.
const BESIDES: [&str; 12] = [
    "hello",
    "cluster|slots",
    "cluster|shards",
    "cluster|nodes",
    "info",
    "ping",
    "role",
    "publish",
    "subscribe",
    "replconf",
    "command",
    "select",
];

impl Census {
    /// Begins or ends to count where that costs something: PostgreSQL writes each statement to its log.
    pub(super) async fn set(bed: &Bed, counting: Counting) -> Result<(), Failure> {
        let Bed::Postgres(server) = bed else { return Ok(()) };
        let mut connection = PgConnection::connect(&server.url()).await.map_err(failure)?;
        let set = match counting {
            Counting::On => "ALTER SYSTEM SET log_statement = 'all'",
            Counting::Off => "ALTER SYSTEM RESET log_statement",
        };
        for statement in [set, "SELECT pg_reload_conf()"] {
            raw_sql(statement).execute(&mut connection).await.map_err(failure)?;
        }
        connection.close().await.map_err(failure)?;
        // Other connections take it over when they get to it. That they did, the reads without copies show.
        sleep(Duration::from_millis(500)).await;
        Ok(())
    }

    pub(super) async fn take(bed: &Bed) -> Result<Self, Failure> {
        let mut counts = BTreeMap::new();
        match bed {
            Bed::Redis(server) => commands(server, &mut counts).await?,
            Bed::Sentinel(set) => {
                for node in set.nodes() {
                    commands(node, &mut counts).await?;
                }
            }
            Bed::Cluster { cluster, .. } => {
                for node in cluster.nodes() {
                    commands(node, &mut counts).await?;
                }
            }
            Bed::Postgres(server) => statements(&fs::read(server.folder().join("log")).map_err(failure)?, &mut counts),
        }
        Ok(Self(counts))
    }

    /// What was executed since `before`.
    pub(super) fn since(&self, before: &Self) -> BTreeMap<String, u64> {
        let new = self.0.iter().map(|(what, count)| (what.clone(), count - before.0.get(what).copied().unwrap_or(0)));
        new.filter(|(_, count)| *count > 0).collect()
    }
}

async fn commands(server: &Redis, counts: &mut BTreeMap<String, u64>) -> Result<(), Failure> {
    let stats = server.command(&["INFO", "commandstats"]).await.map_err(failure)?;
    for line in stats.text().lines() {
        let Some((name, values)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(':')) else {
            continue;
        };
        if BESIDES.contains(&name) || name.starts_with("client") || name.starts_with("config") {
            continue;
        }
        let calls = values.split(',').find_map(|value| value.strip_prefix("calls=")?.parse::<u64>().ok());
        *counts.entry(name.to_owned()).or_default() += calls.unwrap_or(0);
    }
    Ok(())
}

/// The questions of feeds, the clean-up that every node does now and then, and what is asked on a new connection.
const OTHERS: [&str; 4] = ["changes_since", "forget_changes", "delete_expired", "a.backend_start"];

/// From the log of a server that writes each statement to it. Those of [`OTHERS`] do not count.
fn statements(log: &[u8], counts: &mut BTreeMap<String, u64>) {
    for line in String::from_utf8_lossy(log).lines() {
        // `LOG:  execute name: statement`, or `LOG:  statement: statement`.
        let Some((_, logged)) = line.split_once("LOG:  ") else { continue };
        let is_statement = logged.starts_with("execute ") || logged.starts_with("statement: ");
        let Some((_, statement)) = logged.split_once(": ").filter(|_| is_statement) else { continue };
        if statement.trim() != "SELECT 1" && !OTHERS.iter().any(|other| statement.contains(other)) {
            let begin: String = statement.chars().take(60).collect();
            *counts.entry(begin).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::statements;

    #[test]
    fn statements_count_and_beats_do_not() {
        let log = "2026-01-01 10:00:00 UTC [1] LOG:  execute sqlx_s_9: SELECT ids FROM changes_since($1)\n\
                   2026-01-01 10:00:00 UTC [1] LOG:  execute sqlx_s_1: SELECT * FROM load_session($1)\n\
                   2026-01-01 10:00:00 UTC [1] DETAIL:  parameters: $1 = 'execute x: y'\n\
                   2026-01-01 10:00:00 UTC [2] LOG:  execute sqlx_s_2: SELECT delete_expired($1, $2)\n\
                   2026-01-01 10:00:00 UTC [2] LOG:  checkpoint starting: time\n\
                   2026-01-01 10:00:01 UTC [2] LOG:  execute sqlx_s_1: SELECT * FROM load_session($1)\n";
        let mut counts = BTreeMap::new();
        statements(log.as_bytes(), &mut counts);
        assert_eq!(counts, BTreeMap::from([("SELECT * FROM load_session($1)".to_owned(), 2)]));
    }
}
