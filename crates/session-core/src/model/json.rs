//! How moments and summaries are written for people and programs: `Serialize`.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::id::{SessionId, UserId};
use super::summary::{Persistence, SessionSummary};
use crate::clock::Timestamp;

/// As it is [shown](Timestamp#impl-Display-for-Timestamp).
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From RFC 3339, in UTC.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(MomentVisitor)
    }
}

struct MomentVisitor;

impl Visitor<'_> for MomentVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a moment as in RFC 3339, in UTC")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
        humantime::parse_rfc3339(text).map(|moment: SystemTime| moment.into()).map_err(E::custom)
    }
}

/// One flat object, for a list of devices or of all sessions: `id`, `kind` (`cookie`, `refresh`), `created_at`, `last_seen`,
/// `expires_at` ([`deadline`](SessionSummary::deadline)), `persistent`; of a user's session also `user`, and of the strongest
/// proof `level` (`aal1` to `aal3`), `authenticated_at` and `methods`; what is known of `label`, `user_agent` and `ip`. Never a
/// token, never a value.
///
/// ```
/// # use std::time::Duration;
/// # use session_core::{Kind, Timeouts};
/// # use session_core::{Device, OsEntropy, SessionId, SessionSummary, Timestamp};
/// # let timeouts = Timeouts { idle: Duration::from_secs(60), absolute: Duration::from_secs(600) };
/// # let id = SessionId::generate(None, &OsEntropy)?;
/// # let mut summary = SessionSummary::new(id, Kind::Cookie, Timestamp::EPOCH, timeouts);
/// summary.device = Device::new().with_label("a phone");
/// let json = serde_json::to_value(&summary)?;
/// assert_eq!(json["expires_at"], "1970-01-01T00:01:00.000Z");
/// assert_eq!(json["label"], "a phone");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
impl Serialize for SessionSummary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let proof = self.authentication.as_ref().map(|authentication| authentication.strongest());
        let shown = Shown {
            id: self.id,
            kind: self.kind.as_str(),
            created_at: self.created_at,
            last_seen: self.last_seen,
            expires_at: self.deadline(),
            persistent: self.persistence == Persistence::Persistent,
            user: self.user().map(UserId::as_str),
            level: proof.map(|proof| proof.level.as_str()),
            authenticated_at: proof.map(|proof| proof.at),
            methods: proof.map(|proof| &*proof.methods),
            label: self.device.label(),
            user_agent: self.device.user_agent(),
            ip: self.device.ip(),
            bound: self.is_bound,
        };
        shown.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    id: SessionId,
    kind: &'static str,
    created_at: Timestamp,
    last_seen: Timestamp,
    expires_at: Timestamp,
    persistent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    bound: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use crate::Timestamp;

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        for millis in [0, 1, 1_767_225_600_123, 253_402_300_799_999] {
            let json = serde_json::to_string(&Timestamp::from_millis(millis)).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), Timestamp::from_millis(millis), "{json}");
        }
        for (millis, shown) in [(-1, "1970-01-01T00:00:00.000Z"), (i64::MAX, "9999-12-31T23:59:59.999Z")] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), shown);
        }
        for other in ["1767225600123", r#""yesterday""#, r#""2026-01-01T00:00:00+02:00""#] {
            assert!(serde_json::from_str::<Timestamp>(other).is_err(), "{other}");
        }
    }
}
