//! What many cases of whole requests need.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_core::{Error, Key, Login, Policy, PolicyBuilder, Renewal, Session, UserId};

use crate::outcome::{Failure, Outcome};
use crate::refusal::Refusal;

/// The host of the site.
pub(super) const HOST: &str = "www.shop.example";
/// The name of the cookie under [`Policy::standard`].
pub(super) const COOKIE: &str = "__Host-id";
/// No store calls.
pub(super) const NO_CALLS: [&str; 0] = [];

pub(super) const MILLI: Duration = Duration::from_millis(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// When a token is renewed under [`renewal`].
pub(super) const RENEWAL: Duration = Duration::from_secs(600);
/// The grace of replaced tokens under [`renewal`], and of refresh tokens under [`Policy::standard`].
pub(super) const GRACE: Duration = Duration::from_secs(10);

pub(super) const NOTE: Key<Note> = Key::new("note");
pub(super) const CART: Key<u64> = Key::new("cart");
pub(super) const COUNT: Key<u64> = Key::new("count");

/// A value that says what it is for. Encoded as one byte below 128, like a small number: whether a store keeps all
/// bytes is for other cases to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub(super) enum Note {
    Anonymous,
    Kept,
    Mine,
    Late,
    Lost,
    First,
    Second,
}

impl From<Note> for u8 {
    fn from(note: Note) -> Self {
        note as Self
    }
}

impl TryFrom<u8> for Note {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        use Note::{Anonymous, First, Kept, Late, Lost, Mine, Second};
        let mut all = [Anonymous, Kept, Mine, Late, Lost, First, Second].into_iter();
        all.find(|note| *note as u8 == number).ok_or("not a note")
    }
}

/// [`Policy::standard`] with changes.
pub(super) fn policy(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Result<Policy, Failure> {
    // All servers of a case go by one clock.
    let standard = Policy::standard().to_builder().max_clock_skew(Duration::ZERO);
    change(standard).build().map_err(|error| Failure::new(error.to_string()))
}

/// Renews tokens. A change for [`policy`].
pub(super) fn renewal(policy: PolicyBuilder) -> PolicyBuilder {
    policy.renewal(Some(Renewal { timeout: RENEWAL, grace: GRACE }))
}

/// The login of the user called `name`.
pub(super) fn login(name: &str) -> Result<Login, Failure> {
    Ok(Login::new(UserId::new(name)?))
}

/// The name of the user who is logged in. For handlers.
pub(super) fn user_of(session: &Session) -> Result<Option<String>, Error> {
    Ok(session.user().map(|user| user.as_str().to_owned()))
}

/// The note of the session. For handlers.
pub(super) fn note_of(session: &Session) -> Result<Option<Note>, Error> {
    session.get(NOTE)
}

/// Ends the case unless the result is this refusal.
pub(super) fn refused<T, E: Into<Refusal>>(result: Result<T, E>, expected: Refusal, what: &str) -> Outcome {
    match result.map_err(Into::into) {
        Err(refusal) if refusal == expected => Ok(()),
        Err(refusal) => Err(Failure::new(format!("{what}: expected {expected}, got {refusal}"))),
        Ok(_) => Err(Failure::new(format!("{what}: expected {expected}, but it worked"))),
    }
}

/// Runs both at once. In each round, one of them starts a step later than in the round before.
pub(super) async fn race<A, B>(round: usize, one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    let (one_waits, other_waits) = if round.is_multiple_of(2) { (round / 2, 0) } else { (0, round / 2) };
    tokio::join!(later(one_waits, one), later(other_waits, other))
}

/// Lets other tasks run, so many times, before `future`.
async fn later<T>(times: usize, future: impl Future<Output = T>) -> T {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
    future.await
}
