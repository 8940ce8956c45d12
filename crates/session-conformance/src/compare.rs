//! Comparisons of what a store returned with what was expected.

use std::collections::BTreeSet;

use session_core::store::Record;
use session_core::{SessionId, SessionSummary};

use crate::outcome::{Failure, Outcome, ensure};

/// Both are the same ids, each once.
pub(crate) fn ensure_same_ids(
    actual: impl IntoIterator<Item = SessionId>,
    expected: impl IntoIterator<Item = SessionId>,
    what: &str,
) -> Outcome {
    let expected: BTreeSet<SessionId> = expected.into_iter().collect();
    let mut once = BTreeSet::new();
    let twice = actual.into_iter().filter(|id| !once.insert(*id)).count();
    let missing = expected.difference(&once).count();
    let foreign = once.difference(&expected).count();
    ensure!(
        missing + foreign + twice == 0,
        "{what}: of {} expected sessions {missing} are missing, {foreign} are unexpected, and {twice} are there more \
         than once",
        expected.len()
    );
    Ok(())
}

/// The first field in which two summaries differ.
pub(crate) fn summary_difference(actual: &SessionSummary, expected: &SessionSummary) -> Option<&'static str> {
    let authentication = |session: &SessionSummary| {
        session.authentication.as_ref().map(|it| (it.user.clone(), it.proofs().cloned().collect::<Vec<_>>()))
    };
    let device = |session: &SessionSummary| {
        let device = &session.device;
        (device.label().map(str::to_owned), device.user_agent().map(str::to_owned), device.ip())
    };
    let (a, e) = (actual, expected);
    first_difference([
        ("id", a.id == e.id),
        ("kind", a.kind == e.kind),
        ("created_at", a.created_at == e.created_at),
        ("last_seen", a.last_seen == e.last_seen),
        ("timeouts", a.timeouts == e.timeouts),
        ("persistence", a.persistence == e.persistence),
        ("authentication", authentication(a) == authentication(e)),
        ("device", device(a) == device(e)),
        ("is_bound", a.is_bound == e.is_bound),
    ])
}

/// The first field in which two records differ.
pub(crate) fn difference(actual: &Record, expected: &Record) -> Result<Option<&'static str>, Failure> {
    let fields = [
        ("version", actual.version == expected.version),
        ("data", actual.data.same_as(&expected.data)),
        ("binding", actual.binding == expected.binding),
        // Digests cannot be compared, by design; the encoding of a record that is otherwise equal can.
        ("credential", actual.encode()? == expected.encode()?),
    ];
    Ok(summary_difference(&actual.summary, &expected.summary).or_else(|| first_difference(fields)))
}

fn first_difference<const N: usize>(fields: [(&'static str, bool); N]) -> Option<&'static str> {
    fields.into_iter().find(|(_, same)| !same).map(|(field, _)| field)
}
