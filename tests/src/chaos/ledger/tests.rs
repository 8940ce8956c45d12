//! The ledger finds what it is there for, and nothing else.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::time::Duration;

use session_core::store::Freshness;
use session_core::{Event, EventKind, OsEntropy, SessionId, SessionSummary, Timestamp, UserId};

use super::{Ledger, Scope};
use crate::chaos::findings::Broken;
use crate::records::record;

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

/// A ledger with a session of alice.
fn begun() -> (Ledger, SessionId) {
    begun_in(Ledger::default())
}

fn begun_in(ledger: Ledger) -> (Ledger, SessionId) {
    let id = SessionId::generate(Some(&alice()), &OsEntropy).unwrap();
    ledger.begun(ledger.beginning(&alice()), id, BTreeSet::new());
    (ledger, id)
}

fn summary(id: SessionId) -> SessionSummary {
    let mut summary = record(Some(&alice()), Timestamp::EPOCH).summary;
    summary.id = id;
    summary
}

#[track_caller]
fn found(ledger: &Ledger, expected: &[(Broken, usize)]) {
    let broken: Vec<_> = ledger.findings().broken.into_iter().collect();
    assert_eq!(broken, expected);
}

#[test]
fn an_acknowledged_increment_must_be_there_once() {
    let (ledger, id) = begun();
    let (before, number) = (ledger.known(id), ledger.increment());
    ledger.incremented(id, number);
    ledger.seen(&before, &[], Freshness::Latest);
    // Not acknowledged, and yet applied: its answer was lost.
    ledger.seen(&ledger.known(id), &[number, 77], Freshness::Latest);
    found(&ledger, &[]);

    ledger.seen(&ledger.known(id), &[77, 77, number], Freshness::Latest);
    ledger.seen(&ledger.known(id), &[77], Freshness::Latest);
    ledger.seen(&ledger.known(id), &[77], Freshness::Latest);
    found(&ledger, &[(Broken::LostUpdate, 1), (Broken::AppliedTwice, 1)]);
}

#[test]
fn a_session_whose_end_was_acknowledged_must_not_be_there() {
    let (ledger, id) = begun();
    let (before, ending) = (ledger.known(id), ledger.revoking(&alice(), Scope::All));
    let during = ledger.known(id);
    ledger.revoked(ending);
    ledger.seen(&before, &[], Freshness::Latest);
    ledger.seen(&during, &[], Freshness::Latest);
    ledger.gone(&ledger.known(id), "a read");
    found(&ledger, &[]);

    ledger.seen(&ledger.known(id), &[], Freshness::Latest);
    ledger.stored(&alice(), &[summary(id)]);
    found(&ledger, &[(Broken::Revival, 2)]);
}

const STALENESS: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_copy_may_be_given_until_its_time_is_over() {
    let after = async |seconds| tokio::time::sleep(Duration::from_secs(seconds) + Duration::from_millis(1)).await;
    let (ledger, id) = begun_in(Ledger::new(STALENESS));
    ledger.revoked(ledger.revoking(&alice(), Scope::One(id)));
    ledger.seen(&ledger.known(id), &[], Freshness::Cached);
    // It was known before; the answer may be late.
    let before = ledger.known(id);
    after(1).await;
    ledger.seen(&before, &[], Freshness::Cached);
    // Whoever finds it gone later makes it no younger.
    ledger.gone(&ledger.known(id), "a read");
    found(&ledger, &[]);
    ledger.seen(&ledger.known(id), &[], Freshness::Cached);
    found(&ledger, &[(Broken::Revival, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_no_copy_answered_is_never_old() {
    let (ledger, id) = begun_in(Ledger::new(STALENESS));
    let number = ledger.increment();
    ledger.incremented(id, number);
    ledger.seen(&ledger.known(id), &[], Freshness::Cached);
    found(&ledger, &[]);
    ledger.seen(&ledger.known(id), &[], Freshness::Latest);
    found(&ledger, &[(Broken::LostUpdate, 1)]);
    ledger.revoked(ledger.revoking(&alice(), Scope::One(id)));
    ledger.seen(&ledger.known(id), &[], Freshness::Latest);
    found(&ledger, &[(Broken::LostUpdate, 1), (Broken::Revival, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_increment_is_in_every_copy_some_time_after_it() {
    let (ledger, id) = begun_in(Ledger::new(STALENESS));
    let number = ledger.increment();
    ledger.incremented(id, number);
    tokio::time::sleep(STALENESS + Duration::from_millis(1)).await;
    ledger.seen(&ledger.known(id), &[], Freshness::Cached);
    found(&ledger, &[(Broken::LostUpdate, 1)]);
}

#[test]
fn a_session_that_nobody_ended_must_be_there() {
    let (ledger, id) = begun();
    ledger.gone(&ledger.known(id), "a read");
    // It is known to be gone now.
    ledger.gone(&ledger.known(id), "a read");
    found(&ledger, &[(Broken::FalseAlarm, 1)]);

    let (ledger, _) = begun();
    ledger.stored(&alice(), &[]);
    ledger.event(&Event {
        at: Timestamp::EPOCH,
        session: None,
        user: None,
        kind: EventKind::TokenReuse,
        request: None,
    });
    found(&ledger, &[(Broken::FalseAlarm, 2)]);
}

#[test]
fn a_session_may_be_gone_if_its_end_was_not_acknowledged() {
    let (ledger, id) = begun();
    ledger.perhaps_revoked(ledger.revoking(&alice(), Scope::All));
    // It begins while the revocation may still be on its way.
    let late = SessionId::generate(Some(&alice()), &OsEntropy).unwrap();
    ledger.begun(ledger.beginning(&alice()), late, BTreeSet::new());
    for id in [id, late] {
        ledger.seen(&ledger.known(id), &[], Freshness::Latest);
        ledger.gone(&ledger.known(id), "a read");
    }
    found(&ledger, &[]);
}

#[test]
fn a_session_may_be_gone_if_its_login_was_answered_after_a_revocation() {
    let (ledger, id) = (Ledger::default(), SessionId::generate(Some(&alice()), &OsEntropy).unwrap());
    let beginning = ledger.beginning(&alice());
    ledger.revoked(ledger.revoking(&alice(), Scope::All));
    ledger.begun(beginning, id, BTreeSet::new());
    ledger.gone(&ledger.known(id), "a read");
    found(&ledger, &[]);
}

#[test]
fn a_revocation_ends_what_it_names() {
    let (ledger, kept) = begun();
    let other = SessionId::generate(Some(&alice()), &OsEntropy).unwrap();
    ledger.begun(ledger.beginning(&alice()), other, BTreeSet::new());
    ledger.revoked(ledger.revoking(&alice(), Scope::Others(kept)));
    ledger.seen(&ledger.known(kept), &[], Freshness::Latest);
    found(&ledger, &[]);
    ledger.seen(&ledger.known(other), &[], Freshness::Latest);
    ledger.revoked(ledger.revoking(&alice(), Scope::One(kept)));
    ledger.seen(&ledger.known(kept), &[], Freshness::Latest);
    found(&ledger, &[(Broken::Revival, 2)]);
}

#[test]
fn a_session_that_no_client_knows_is_an_orphan() {
    let (ledger, id) = begun();
    let orphan = SessionId::generate(Some(&alice()), &OsEntropy).unwrap();
    ledger.stored(&alice(), &[summary(id), summary(orphan)]);
    found(&ledger, &[(Broken::Orphan, 1)]);
}

#[test]
fn what_is_left_over_is_counted() {
    let ledger = Ledger::default();
    ledger.connections_left(2);
    ledger.background_left(1);
    ledger.hung();
    ledger.unexpected("an answer");
    found(&ledger, &[(Broken::LeakedConnection, 2), (Broken::Unfinished, 2), (Broken::Unexpected, 1)]);
}
