//! What the seeded faults do to the parts of a node: its policy, its generator, what it reads. Without a fault, nothing.

use std::borrow::ToOwned;
use std::sync::PoisonError;
use std::time::Duration;

use session_core::adapter::RequestSession;
use session_core::{
    Entropy, EntropyError, OsEntropy, PayloadLimit, Persistence, Policy, PolicyBuilder, RememberMe, Renewal, Timeouts,
    WriteConflict,
};

use super::fault::RequestFault;
use super::node::Node;

/// The longest timeout that a policy can have.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// The longest grace that a policy can have.
const LONGEST_GRACE: Duration = Duration::from_secs(300);

/// `policy`, as a faulty node understands it.
pub(super) fn policy(fault: Option<RequestFault>, policy: Policy) -> Policy {
    let with = policy.to_builder().touch_interval(policy.touch_interval());
    let grace =
        |grace: fn(Renewal) -> Duration| policy.renewal().map(|renewal| Renewal { grace: grace(renewal), ..renewal });
    let faulty = match fault {
        Some(RequestFault::DeadlineInclusive) => {
            let later = Duration::from_millis(1);
            lifetimes(&policy, |it| Timeouts { idle: it.idle + later, absolute: it.absolute + later })
        }
        Some(RequestFault::TimeoutsIgnored) => lifetimes(&policy, |_| Timeouts { idle: LONGEST, absolute: LONGEST }),
        Some(RequestFault::PayloadCapIgnored) => {
            let cap = PayloadLimit { bytes: 1 << 20, values: 4096 };
            with.payload(cap).anonymous_payload(cap)
        }
        Some(RequestFault::SameKeyRuleSwapped) => with.write_conflict(match policy.write_conflict() {
            WriteConflict::LastWriterWins => WriteConflict::Fail,
            WriteConflict::Fail => WriteConflict::LastWriterWins,
        }),
        Some(RequestFault::StoreTimeoutIgnored) => with.store_timeout(Duration::from_secs(60)),
        Some(RequestFault::RenewalForgotten) => with.renewal(None),
        Some(RequestFault::GraceForgotten) => with.renewal(grace(|_| Duration::ZERO)).refresh_grace(Duration::ZERO),
        Some(RequestFault::GraceEndless) => {
            let longest = |renewal: Renewal| renewal.timeout.min(LONGEST_GRACE) - Duration::from_millis(1);
            with.renewal(grace(longest)).refresh_grace(LONGEST_GRACE)
        }
        Some(_) | None => return policy,
    };
    faulty.build().unwrap_or(policy)
}

/// `policy` with other timeouts.
fn lifetimes(policy: &Policy, change: impl Fn(Timeouts) -> Timeouts) -> PolicyBuilder {
    let authenticated = change(policy.timeouts(true, Persistence::Transient));
    let remember_me = match policy.remember_me() {
        RememberMe::OptIn(lifetime) => RememberMe::OptIn(change(lifetime)),
        RememberMe::Never => RememberMe::Never,
        RememberMe::Always => RememberMe::Always,
    };
    (policy.to_builder().touch_interval(policy.touch_interval()))
        .idle_timeout(authenticated.idle)
        .absolute_timeout(authenticated.absolute)
        .anonymous(change(policy.timeouts(false, Persistence::Transient)))
        .remember_me(remember_me)
}

/// The random generator of a node.
#[derive(Debug)]
pub(super) struct Generator<E> {
    inner: E,
    falls_back: bool,
}

impl<E: Entropy> Generator<E> {
    pub(super) fn new(fault: Option<RequestFault>, inner: E) -> Self {
        Self { inner, falls_back: fault == Some(RequestFault::EntropyFailureIgnored) }
    }
}

impl<E: Entropy> Entropy for Generator<E> {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        match self.inner.fill(dest) {
            Err(EntropyError) if self.falls_back => OsEntropy.fill(dest),
            outcome => outcome,
        }
    }
}

impl Node {
    /// The `Cookie` headers, as a faulty node reads them.
    pub(super) fn seeded_headers(&self, headers: &[&str]) -> Vec<String> {
        let name = self.policy().cookie().name();
        let pairs = || headers.iter().flat_map(|header| header.split(';')).map(str::trim);
        let ours = |pair: &str| pair.split_once('=').is_some_and(|(found, _)| found == name);
        let edit = |edit: &dyn Fn(&str, &str) -> String| -> Vec<String> {
            let edit = |pair: &str| match pair.split_once('=') {
                Some((name, value)) => edit(name, value),
                None => pair.to_owned(),
            };
            pairs().map(edit).collect()
        };
        match self.inner.fault {
            Some(RequestFault::FirstHeaderOnly) => headers.iter().take(1).map(|&header| header.to_owned()).collect(),
            Some(RequestFault::FirstCookieWins) => {
                pairs().find(|pair| ours(pair)).into_iter().map(ToOwned::to_owned).collect()
            }
            Some(RequestFault::CookieNameIgnoresCase) => edit(&|found, value| {
                let found = if found.eq_ignore_ascii_case(name) { name } else { found };
                format!("{found}={value}")
            }),
            Some(RequestFault::QuotedTokenAccepted) => {
                edit(&|name, value| format!("{name}={}", value.trim_matches('"')))
            }
            Some(
                RequestFault::OldTokenStaysValid
                | RequestFault::PresentedIdAdopted
                | RequestFault::PredecessorIsSuccessor
                | RequestFault::GraceCoversTwoGenerations,
            ) => edit(&|name, value| format!("{name}={}", self.alias(value))),
            Some(_) | None => headers.iter().map(|&header| header.to_owned()).collect(),
        }
    }

    /// What a faulty node takes `token` for.
    pub(super) fn alias(&self, token: &str) -> String {
        let aliases = self.inner.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let mut token = token;
        while let Some(next) = aliases.get(token) {
            if self.inner.fault == Some(RequestFault::GraceCoversTwoGenerations) {
                return if aliases.contains_key(next) { next.clone() } else { token.to_owned() };
            }
            token = next;
        }
        token.to_owned()
    }

    /// Remembers that a token was replaced, if the fault is about that.
    pub(super) fn add_alias(&self, token: String, successor: String) {
        if let Some(RequestFault::PredecessorIsSuccessor | RequestFault::GraceCoversTwoGenerations) = self.inner.fault {
            self.inner.aliases.lock().unwrap_or_else(PoisonError::into_inner).insert(token, successor);
        }
    }

    /// The session object that a faulty node uses for a request.
    pub(super) fn seeded_share(&self, request: RequestSession, token: Option<&str>) -> RequestSession {
        if token.is_some() || self.inner.fault != Some(RequestFault::AnonymousSessionShared) {
            return request;
        }
        let mut shared = self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.get_or_insert(request).clone()
    }
}
