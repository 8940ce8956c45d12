//! A session as it is shown: as JSON, and as a line. Neither a value nor anything of a token.

use std::fmt::Write as _;

use serde::Serialize;
use session_core::{Assurance, Persistence, Proof, SessionSummary};

use crate::moment::{show, show_short};

/// A session as JSON. Times are text (RFC 3339, UTC), durations seconds.
#[derive(Serialize)]
pub(crate) struct Session {
    id: String,
    kind: &'static str,
    /// `null` for a visitor.
    user: Option<String>,
    created_at: String,
    last_seen: String,
    /// Unless it is used before.
    expires_at: String,
    /// In any case.
    ends_at: String,
    idle_timeout: u64,
    absolute_timeout: u64,
    is_persistent: bool,
    label: Option<String>,
    user_agent: Option<String>,
    ip: Option<String>,
    /// To a key of its client.
    is_bound: bool,
    /// What has proved who the user is, the strongest first.
    proofs: Vec<Proved>,
}

#[derive(Serialize)]
struct Proved {
    level: u8,
    at: String,
    methods: Vec<String>,
}

impl Session {
    pub(crate) fn new(session: &SessionSummary) -> Self {
        let (device, authentication) = (&session.device, session.authentication.as_ref());
        Self {
            id: session.id.to_string(),
            kind: session.kind.as_str(),
            user: session.user().map(|user| user.as_str().to_owned()),
            created_at: show(session.created_at),
            last_seen: show(session.last_seen),
            expires_at: show(session.deadline()),
            ends_at: show(session.absolute_deadline()),
            idle_timeout: session.timeouts.idle.as_secs(),
            absolute_timeout: session.timeouts.absolute.as_secs(),
            is_persistent: session.persistence == Persistence::Persistent,
            label: device.label().map(str::to_owned),
            user_agent: device.user_agent().map(str::to_owned),
            ip: device.ip().map(|ip| ip.to_string()),
            is_bound: session.is_bound,
            proofs: authentication.into_iter().flat_map(|found| found.proofs()).map(Proved::new).collect(),
        }
    }

    /// As `name  value` on a line each.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let text = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
        let mut lines = vec![
            ("id", self.id.clone()),
            ("user", self.user.clone().unwrap_or_else(|| "- (a visitor)".to_owned())),
            ("token", self.kind.to_owned()),
            ("created", self.created_at.clone()),
            ("last seen", self.last_seen.clone()),
            ("expires", format!("{} unless it is used before; {} at last", self.expires_at, self.ends_at)),
            ("cookie", if self.is_persistent { "is kept" } else { "ends with the browser" }.to_owned()),
            ("device", text(&self.label)),
            ("user agent", text(&self.user_agent)),
            ("address", text(&self.ip)),
        ];
        if self.is_bound {
            lines.push(("bound", "to a key of the device".to_owned()));
        }
        for Proved { level, at, methods } in &self.proofs {
            lines.push(("proof", format!("AAL{level} at {at}: {}", methods.join(", "))));
        }
        lines
    }
}

impl Proved {
    fn new(proof: &Proof) -> Self {
        let level = match proof.level {
            Assurance::Aal1 => 1,
            Assurance::Aal2 => 2,
            Assurance::Aal3 => 3,
        };
        Self { level, at: show(proof.at), methods: proof.methods.to_vec() }
    }
}

/// What stands above [`row`].
pub(crate) fn header() -> String {
    columns(["ID", "USER", "TOKEN", "CREATED", "LAST SEEN", "EXPIRES", "USER AGENT"])
}

/// A line of a table. Its columns are as wide as what they usually have: how wide the widest is, is not known before the last page.
pub(crate) fn row(session: &SessionSummary) -> String {
    let user = session.user().map_or_else(|| "-".to_owned(), |user| printable(user.as_str()));
    let agent = session.device.user_agent().or(session.device.label()).map_or_else(|| "-".to_owned(), printable);
    let times = [session.created_at, session.last_seen, session.deadline()].map(show_short);
    columns([&session.id.to_string(), &user, session.kind.as_str(), &times[0], &times[1], &times[2], &agent])
}

fn columns([id, user, kind, created, seen, expires, agent]: [&str; 7]) -> String {
    format!("{id:22}  {user:20}  {kind:7}  {created:20}  {seen:20}  {expires:20}  {agent}")
}

/// `text` of a client, without what a terminal would obey: controls, and what changes the direction of text.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            // Writing to a `String` cannot fail.
            let _ = write!(printable, "{}", c.escape_unicode());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// JSON, with the same characters escaped: they are in texts only.
pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut safe = String::new();
    for c in serde_json::to_string(value)?.chars() {
        if is_obeyed(c) {
            // All of them are in the basic plane.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

fn is_obeyed(c: char) -> bool {
    let changes_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    // A line ends where we say.
    changes_direction || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_no_client() {
        let hostile = "\x1b]0;owned\x07\u{9b}31m\u{202e}evil\n\u{2028}ok é 漢";
        assert_eq!(printable(hostile), r"\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}evil\u{a}\u{2028}ok é 漢");
        let shown = json(&hostile).unwrap();
        assert!(!shown.chars().any(is_obeyed), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), hostile);
    }
}
