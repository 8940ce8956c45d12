//! [`Ledger`]: what clients were told, and what of it does not hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::store::Freshness;
use session_core::{Error, Event, EventKind, SessionId, SessionSummary, UserId};
use tokio::time::Instant;

use super::fault::Fault;
use super::findings::{Broken, Findings};

/// For how long a request whose answer was lost may still take effect: it waits in a frozen server, or on the way.
const STRAYS: Duration = Duration::from_secs(10);

/// How many broken promises are described.
const DESCRIBED: usize = 40;

/// What clients were told.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
    /// For how long a copy may still be given after it was outdated. Zero without copies.
    staleness: Duration,
}

#[derive(Debug, Default)]
struct State {
    findings: Findings,
    increments: u64,
    sessions: HashMap<SessionId, Entry>,
    users: HashMap<UserId, Revocations>,
}

/// What is known of a session that a client was given.
#[derive(Debug)]
struct Entry {
    user: UserId,
    end: End,
    /// What was acknowledged, and when.
    increments: BTreeMap<u64, Instant>,
    /// What was reported as lost or applied twice.
    reported: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It must be there.
    No,
    /// It may be there: its end was asked for, and not acknowledged.
    Perhaps,
    /// It must not be there, and soon in no copy.
    Yes { since: Instant },
}

/// Revocations of all sessions of a user that may end a session that begins now.
#[derive(Debug, Default)]
struct Revocations {
    begun: usize,
    under_way: usize,
    strays_until: Option<Instant>,
}

/// A login that was asked for.
#[derive(Debug)]
pub(super) struct Beginning {
    user: UserId,
    /// How many revocations of the user's sessions had begun by then.
    revocations: usize,
    /// Whether one of them may still take effect.
    may_end: bool,
}

/// What was known of a session when a request began: it must see that.
#[derive(Debug)]
pub(super) struct Known {
    id: SessionId,
    at: Instant,
    increments: BTreeMap<u64, Instant>,
    end: End,
}

impl Known {
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// Whether nothing that was asked for may have ended it.
    pub(super) fn must_live(&self) -> bool {
        self.end == End::No
    }

    pub(super) fn into_increments(self) -> BTreeSet<u64> {
        self.increments.into_keys().collect()
    }
}

/// A revocation that was asked for.
#[derive(Debug)]
pub(super) struct Revoking {
    user: UserId,
    sessions: Vec<SessionId>,
    /// Whether it concerns sessions that begin meanwhile.
    scope: Scope,
}

/// What a revocation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// One session.
    One(SessionId),
    /// All sessions of the user but one.
    Others(SessionId),
    /// All sessions of the user.
    All,
}

impl Ledger {
    pub(super) fn new(staleness: Duration) -> Self {
        Self { staleness, ..Self::default() }
    }

    /// A number for an increment.
    pub(super) fn increment(&self) -> u64 {
        let mut state = self.lock();
        state.increments += 1;
        state.increments
    }

    /// A login is asked for.
    pub(super) fn beginning(&self, user: &UserId) -> Beginning {
        let mut state = self.lock();
        let revocations = state.users.entry(user.clone()).or_default();
        Beginning { user: user.clone(), revocations: revocations.begun, may_end: revocations.may_end() }
    }

    /// A client has the token of a new session, to which these increments were carried over.
    pub(super) fn begun(&self, beginning: Beginning, id: SessionId, increments: BTreeSet<u64>) {
        let Beginning { user, revocations, may_end } = beginning;
        let mut state = self.lock();
        state.findings.sessions += 1;
        let of_user = state.users.entry(user.clone()).or_default();
        // Also one that was over before the answer to the login came.
        let may_end = may_end || of_user.begun != revocations || of_user.may_end();
        let end = if may_end { End::Perhaps } else { End::No };
        // A revocation may have ended the session before, and with it what would have been carried over.
        let increments = if may_end { BTreeSet::new() } else { increments };
        let increments = increments.into_iter().map(|number| (number, Instant::now())).collect();
        let entry = Entry { user, end, increments, reported: BTreeSet::new() };
        if state.sessions.insert(id, entry).is_some() {
            state.broken(Broken::Unexpected, "a session id was used twice");
        }
    }

    /// What is known of a session.
    pub(super) fn known(&self, id: SessionId) -> Known {
        let state = self.lock();
        let entry = state.sessions.get(&id);
        let increments = entry.map(|entry| entry.increments.clone()).unwrap_or_default();
        Known { id, at: Instant::now(), increments, end: entry.map_or(End::Perhaps, |entry| entry.end) }
    }

    /// A request found the session, with these increments; perhaps in a copy.
    pub(super) fn seen(&self, known: &Known, increments: &[u64], freshness: Freshness) {
        let mut state = self.lock();
        let may_be_old = |since: Instant| match freshness {
            Freshness::Cached => known.at <= since + self.staleness,
            Freshness::Latest => false,
        };
        if let End::Yes { since } = known.end {
            if freshness == Freshness::Cached {
                state.findings.longest_dead = state.findings.longest_dead.max(known.at - since);
            }
            if !may_be_old(since) {
                state.broken(Broken::Revival, "a session was opened after its end was acknowledged");
            }
        }
        let mut distinct = BTreeSet::new();
        let twice: Vec<u64> = increments.iter().copied().filter(|number| !distinct.insert(*number)).collect();
        let must = known.increments.iter().filter(|(_, since)| !may_be_old(**since));
        let lost: Vec<u64> = must.map(|(number, _)| *number).filter(|number| !distinct.contains(number)).collect();
        for (numbers, broken) in [(twice, Broken::AppliedTwice), (lost, Broken::LostUpdate)] {
            for number in numbers {
                let entry = state.sessions.get_mut(&known.id);
                if entry.is_some_and(|entry| entry.reported.insert(number)) {
                    let total = increments.len();
                    state.broken(broken, &format!("increment {number} of a session with {total} increments"));
                }
            }
        }
    }

    /// An increment was acknowledged.
    pub(super) fn incremented(&self, id: SessionId, number: u64) {
        if let Some(entry) = self.lock().sessions.get_mut(&id) {
            entry.increments.insert(number, Instant::now());
        }
    }

    /// A request did not find the session.
    pub(super) fn gone(&self, known: &Known, when: &str) {
        let mut state = self.lock();
        let Some(entry) = state.sessions.get_mut(&known.id) else { return };
        let before = entry.end;
        if !before.is_over() {
            entry.end = End::Yes { since: Instant::now() };
        }
        if before == End::No {
            state.broken(Broken::FalseAlarm, &format!("a session ended by itself, as seen by {when}"));
        }
    }

    /// The end of sessions is asked for.
    pub(super) fn revoking(&self, user: &UserId, scope: Scope) -> Revoking {
        let mut state = self.lock();
        if scope.is_wide() {
            let revocations = state.users.entry(user.clone()).or_default();
            revocations.begun += 1;
            revocations.under_way += 1;
        }
        let of_user = state.sessions.iter_mut().filter(|(_, entry)| entry.user == *user && !entry.end.is_over());
        let mut sessions = Vec::new();
        for (id, entry) in of_user.filter(|(id, _)| scope.covers(id)) {
            entry.end = End::Perhaps;
            sessions.push(*id);
        }
        Revoking { user: user.clone(), sessions, scope }
    }

    /// It was acknowledged.
    pub(super) fn revoked(&self, revoking: Revoking) {
        let mut state = self.lock();
        for id in &revoking.sessions {
            if let Some(entry) = state.sessions.get_mut(id).filter(|entry| !entry.end.is_over()) {
                entry.end = End::Yes { since: Instant::now() };
            }
        }
        if revoking.scope.is_wide() {
            state.users.entry(revoking.user).or_default().under_way -= 1;
        }
    }

    /// It may take effect, and may not.
    pub(super) fn perhaps_revoked(&self, revoking: Revoking) {
        let mut state = self.lock();
        if revoking.scope.is_wide() {
            let revocations = state.users.entry(revoking.user).or_default();
            revocations.under_way -= 1;
            revocations.strays_until = Some(Instant::now() + STRAYS);
        }
    }

    /// The sessions that `user` must have, and those that must not be there, at this moment.
    pub(super) fn of_user(&self, user: &UserId) -> [BTreeSet<SessionId>; 2] {
        let state = self.lock();
        let with = |is_so: fn(End) -> bool| {
            let of_user = state.sessions.iter().filter(|(_, entry)| entry.user == *user && is_so(entry.end));
            of_user.map(|(id, _)| *id).collect()
        };
        [with(|end| end == End::No), with(End::is_over)]
    }

    /// A list of the sessions of `user`, who had these when it was asked for.
    pub(super) fn listed(&self, user: &UserId, [live, ended]: &[BTreeSet<SessionId>; 2], list: &[SessionSummary]) {
        let listed: BTreeSet<SessionId> = list.iter().map(|session| session.id).collect();
        let [still_live, _] = self.of_user(user);
        let mut state = self.lock();
        for _ in listed.intersection(ended) {
            state.broken(Broken::Revival, "a session was listed after its end was acknowledged");
        }
        for _ in live.intersection(&still_live).filter(|id| !listed.contains(id)) {
            state.broken(Broken::FalseAlarm, "a live session is not in the list of its user");
        }
    }

    /// What is stored of `user` when all is quiet.
    pub(super) fn stored(&self, user: &UserId, list: &[SessionSummary]) {
        let known = self.of_user(user);
        self.listed(user, &known, list);
        let mut state = self.lock();
        for session in list.iter().filter(|session| !state.sessions.contains_key(&session.id)).collect::<Vec<_>>() {
            let kind = format!("{:?}", session.kind);
            state.broken(Broken::Orphan, &format!("a session ({kind}) that no client knows"));
        }
    }

    /// A request was answered.
    pub(super) fn answered(&self) {
        self.lock().findings.answered += 1;
    }

    /// The caller of a request gave up.
    pub(super) fn cancelled(&self) {
        self.lock().findings.cancelled += 1;
    }

    /// A request failed. Whether that says anything about its session is for the caller to judge.
    pub(super) fn failed(&self, error: &Error) {
        let mut state = self.lock();
        if matches!(error, Error::Store(_)) {
            state.findings.failed += 1;
        } else if matches!(error, Error::Superseded | Error::Conflict | Error::Gone) {
            state.findings.raced += 1;
        } else {
            state.broken(Broken::Unexpected, &error.to_string());
        }
    }

    pub(super) fn unexpected(&self, what: &str) {
        self.lock().broken(Broken::Unexpected, what);
    }

    pub(super) fn hung(&self) {
        self.lock().broken(Broken::Unfinished, "a device waited longer than all time limits");
    }

    pub(super) fn background_left(&self, tasks: usize) {
        for _ in 0..tasks {
            self.lock().broken(Broken::Unfinished, "work in the background was not finished");
        }
    }

    /// So many loads were answered by copies.
    pub(super) fn copies(&self, given: u64) {
        self.lock().findings.copies += given;
    }

    pub(super) fn connections(&self, connections: usize) {
        let mut state = self.lock();
        state.findings.connections = state.findings.connections.max(connections);
    }

    pub(super) fn connections_left(&self, leaked: usize) {
        for _ in 0..leaked {
            self.lock().broken(Broken::LeakedConnection, "a connection is left over");
        }
    }

    pub(super) fn fault(&self, fault: Fault) {
        *self.lock().findings.faults.entry(fault).or_default() += 1;
    }

    /// How often it began.
    pub(super) fn count(&self, fault: Fault) -> usize {
        self.lock().findings.faults.get(&fault).copied().unwrap_or_default()
    }

    pub(super) fn event(&self, event: &Event) {
        let mut state = self.lock();
        if event.kind == EventKind::TokenReuse {
            state.broken(Broken::FalseAlarm, "a client that did nothing wrong was taken for a thief");
        } else if event.kind == EventKind::Abandoned {
            state.broken(Broken::Unfinished, "work in the background was given up");
        } else if event.kind == EventKind::Renewed {
            state.findings.renewals += 1;
        } else if event.kind == EventKind::Terminated(session_core::Termination::Unreceived) {
            state.findings.unreceived += 1;
        }
    }

    pub(super) fn findings(&self) -> Findings {
        self.lock().findings.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn broken(&mut self, broken: Broken, what: &str) {
        *self.findings.broken.entry(broken).or_default() += 1;
        if self.findings.descriptions.len() < DESCRIBED {
            self.findings.descriptions.push(format!("{broken:?}: {what}"));
        }
    }
}

impl Revocations {
    /// Whether a session that begins now may be ended by one that was asked for earlier.
    fn may_end(&self) -> bool {
        self.under_way > 0 || self.strays_until.is_some_and(|until| Instant::now() < until)
    }
}

impl End {
    fn is_over(self) -> bool {
        matches!(self, Self::Yes { .. })
    }
}

impl Scope {
    fn is_wide(self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Others(_) | Self::All => true,
        }
    }

    fn covers(self, id: &SessionId) -> bool {
        match self {
            Self::One(one) => one == *id,
            Self::Others(kept) => kept != *id,
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests;
