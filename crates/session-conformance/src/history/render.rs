//! [`Names`]: a history as text for a report, without ids.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use session_core::store::{CreateOutcome, Version};
use session_core::{SessionId, Timestamp};

use super::call::{Answer, Call, Event, Seen};

/// Short names for sessions and versions, numbered by their first occurrence.
#[derive(Debug, Default)]
pub(super) struct Names {
    sessions: HashMap<SessionId, usize>,
    versions: HashMap<Version, usize>,
}

impl Names {
    /// One line per call, in order of beginning: milliseconds since the history began, positions of beginning and end, task, call,
    /// answer.
    pub(super) fn render(mut self, events: &[(Duration, Event)], now: Timestamp) -> String {
        let mut text = String::new();
        for (begin, (time, event)) in events.iter().enumerate() {
            let Event::Begin(task, call) = event else { continue };
            let end = events.iter().enumerate().skip(begin).find_map(|(at, (_, event))| match event {
                Event::End(other, answer) if other == task => Some((at, answer)),
                Event::End(..) | Event::Begin(..) => None,
            });
            let call = self.call(call, now);
            let (end, answer) = end.map_or((String::new(), "no answer".to_owned()), |(at, answer)| {
                (at.to_string(), self.answer(answer, now))
            });
            let millis = time.as_millis();
            text += &format!("  {millis:>4} ms {begin:>3}-{end:<3} task {task}: {call} => {answer}\n");
        }
        text
    }

    fn session(&mut self, id: &SessionId) -> String {
        let next = self.sessions.len() + 1;
        format!("s{}", self.sessions.entry(*id).or_insert(next))
    }

    fn version(&mut self, version: Version) -> String {
        let next = self.versions.len() + 1;
        format!("v{}", self.versions.entry(version).or_insert(next))
    }

    fn call(&mut self, call: &Call, now: Timestamp) -> String {
        match call {
            Call::Load(id) => format!("load {}", self.session(id)),
            Call::Read(id) => format!("read {}", self.session(id)),
            Call::Create(record, replaces, limit) => {
                let (session, version) = (self.session(&record.summary.id), self.version(record.version));
                let replaces = replaces
                    .map(|(id, version)| format!(" in exchange for {} {}", self.session(&id), self.version(version)));
                let (began, seen) = (ago(record.summary.created_at, now), ago(record.summary.last_seen, now));
                let limit = limit.map(|limit| format!(", at most {} or {:?}", limit.max, limit.at_limit));
                let rest = replaces.unwrap_or_default() + &limit.unwrap_or_default();
                format!("create {session} {version} (began {began}, last seen {seen}){rest}")
            }
            Call::Update(record, expected) => {
                let session = self.session(&record.summary.id);
                let (expected, version) = (self.version(*expected), self.version(record.version));
                let seen = ago(record.summary.last_seen, now);
                format!("update {session} from {expected} to {version} (last seen {seen})")
            }
            Call::Touch(id, _, seen) => format!("touch {} (last seen {})", self.session(id), ago(*seen, now)),
            Call::Delete(id, _) => format!("delete {}", self.session(id)),
            Call::List(_) => "list".to_owned(),
            Call::DeleteByUser(_, None) => "delete all".to_owned(),
            Call::DeleteByUser(_, Some(keep)) => format!("delete all but {}", self.session(keep)),
        }
    }

    fn answer(&mut self, answer: &Answer, now: Timestamp) -> String {
        match answer {
            Answer::Loaded(None) => "absent".to_owned(),
            Answer::Loaded(Some(Seen { version, last_seen, value })) => {
                format!(
                    "{} (value {}, last seen {})",
                    self.version(*version),
                    text(value.as_ref()),
                    ago(*last_seen, now)
                )
            }
            Answer::Copied(version, value) => {
                format!("a copy of {} (value {})", self.version(*version), text(value.as_ref()))
            }
            Answer::Created(CreateOutcome::Created { evicted }) => {
                format!("created, evicted {}", self.several(evicted))
            }
            Answer::Created(refused) => format!("{refused:?}"),
            Answer::Updated(updated) => format!("{updated:?}"),
            Answer::Touched(touched) => format!("{touched:?}"),
            Answer::Deleted(deleted) => format!("{deleted:?}"),
            Answer::Listed(sessions) => {
                let shown = |(id, seen): &_| format!("{} ({})", self.session(id), ago(*seen, now));
                format!("[{}]", sessions.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            Answer::DeletedByUser(ids) => self.several(ids),
        }
    }

    fn several(&mut self, ids: &[SessionId]) -> String {
        format!("[{}]", ids.iter().map(|id| self.session(id)).collect::<Vec<_>>().join(", "))
    }
}

fn text(value: Option<&Bytes>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
}

fn ago(time: Timestamp, now: Timestamp) -> String {
    format!("-{} ms", now.since(time).as_millis())
}
