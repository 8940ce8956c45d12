//! What the servers say of themselves: [`RedisStore::inspect`].

use session_core::StoreError;
use session_core::store::{Inspection, ServerInfo};

use crate::RedisStore;
use crate::link::EVICTION;
use crate::script::{self, Answer, bytes};

/// In percent of `maxmemory`: then it is time to act.
const NEARLY_FULL: u128 = 90;

impl RedisStore {
    /// What the servers say of themselves, for an operator: versions, memory, and what can lose sessions. One round trip for each
    /// primary, and one more in a Cluster. Needs the right to `INFO`; a server that refuses it is listed without what it would say.
    ///
    /// # Errors
    /// If the servers cannot be reached.
    pub async fn inspect(&self) -> Result<Inspection, StoreError> {
        self.link.in_time(self.ask_servers()).await
    }

    async fn ask_servers(&self) -> Result<Inspection, StoreError> {
        let mut found = Inspection::default();
        for slot in self.link.servers().await? {
            let said = Said::new(&self.link.run_on(slot, &script::INSPECT, Vec::new()).await?);
            for warning in said.warnings() {
                if !found.warnings.contains(&warning) {
                    found.warnings.push(warning);
                }
            }
            found.servers.push(said.server());
        }
        Ok(found)
    }
}

/// The lines `name:value` of `INFO`.
struct Said(String);

impl Said {
    fn new(answer: &Answer) -> Self {
        Self(answer.0.iter().filter_map(bytes).map(String::from_utf8_lossy).collect())
    }

    /// Empty if it was not said.
    fn field(&self, name: &str) -> &str {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.field(name).parse().ok()
    }

    fn server(&self) -> ServerInfo {
        let valkey = self.field("valkey_version");
        let mut server = match valkey {
            "" => ServerInfo::new("Redis", self.field("redis_version")),
            version => ServerInfo::new("Valkey", version),
        };
        // By the names that `INFO` has for them.
        for name in
            ["run_id", "tcp_port", "used_memory", "maxmemory", "maxmemory_policy", "evicted_keys", "aof_enabled"]
        {
            let value = self.field(name);
            if !value.is_empty() {
                server.facts.push((name, value.to_owned()));
            }
        }
        server
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let policy = self.field("maxmemory_policy");
        if policy.is_empty() {
            warnings.push(
                "a server does not show its maxmemory-policy, which should be noeviction: grant the right to INFO"
                    .to_owned(),
            );
        } else if policy != "noeviction" {
            warnings.push(format!("{EVICTION} (it is {policy})"));
        }
        let evicted = self.number("evicted_keys").unwrap_or(0);
        if evicted > 0 {
            warnings.push(format!(
                "a server has evicted {evicted} keys since it was started: sessions may be among them, and users logged out"
            ));
        }
        let (used, most) = (self.number("used_memory").unwrap_or(0), self.number("maxmemory").unwrap_or(0));
        if most > 0 && u128::from(used) * 100 >= u128::from(most) * NEARLY_FULL {
            warnings.push(format!(
                "a server uses {used} of {most} bytes of memory: at its maxmemory it refuses logins; raise it, or end sessions"
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said(text.to_owned())
    }

    #[test]
    fn what_can_lose_sessions_is_warned_of() {
        let quiet = said("maxmemory_policy:noeviction\r\nevicted_keys:0\r\nused_memory:89\r\nmaxmemory:100\r\n");
        assert_eq!(quiet.warnings(), [""; 0]);
        let unlimited = said("maxmemory_policy:noeviction\r\nused_memory:89\r\nmaxmemory:0\r\n");
        assert_eq!(unlimited.warnings(), [""; 0]);
        for (text, expected) in [
            ("maxmemory_policy:allkeys-lru\r\n", "set it to noeviction (it is allkeys-lru)"),
            ("maxmemory_policy:noeviction\r\nevicted_keys:7\r\n", "has evicted 7 keys"),
            ("maxmemory_policy:noeviction\r\nused_memory:90\r\nmaxmemory:100\r\n", "uses 90 of 100 bytes"),
            ("", "does not show its maxmemory-policy"),
        ] {
            let warnings = said(text).warnings();
            assert!(warnings.len() == 1 && warnings[0].contains(expected), "{text}: {warnings:?}");
        }
    }

    #[test]
    fn a_server_is_known_by_its_own_version() {
        let redis = said("redis_version:7.2.4\r\nredis_mode:standalone\r\n").server();
        assert_eq!((redis.software.as_str(), redis.version.as_str()), ("Redis", "7.2.4"));
        let valkey = said("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n").server();
        assert_eq!((valkey.software.as_str(), valkey.version.as_str()), ("Valkey", "8.1.0"));
    }
}
