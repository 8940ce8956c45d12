//! `list_by_user`: all live sessions of a user, and no others.

use session_core::store::{Record, UpdateOutcome};

use super::support::{HOUR, MINUTE, full_session};
use crate::compare::{ensure_same_ids, summary_difference};
use crate::outcome::{Outcome, ensure_eq};
use crate::table::cases;
use crate::test_store::TestStore;

cases! {
    pub(super) const CASES: TestStore;

    /// The list holds the user's sessions, and nobody else's.
    "list/own-sessions-only" [] catches [ListShowsAnonymous] => own_sessions_only;
    /// A user without sessions has an empty list.
    "list/unknown-user-has-none" [] catches [ListUnknownFails] => unknown_user_has_none;
    /// Expired sessions are not listed.
    "list/live-only" [] catches [ListShowsExpired] => live_only;
    /// The list shows every field of a summary as it was stored.
    "list/shows-every-field" [] catches [ListDropsDevice] => shows_every_field;
    /// The list shows every field of a summary as it was updated.
    "list/follows-updates" [] catches [
        UpdateKeepsLastSeen, UpdateKeepsTimeouts, TouchSkipsList, ListDropsDevice, ListIsStale, IndexAppends,
    ] => follows_updates;
    /// However often a session was written, it is listed once.
    "list/each-session-once" [] catches [TouchBumpsVersion, IndexAppends] => each_session_once;
    /// After 64 logins of a user at once, all 64 are listed.
    "list/concurrent-logins-all-show" [] catches [ListCutAtFifty, IndexNotAtomic] => concurrent_logins_all_show;
    /// 100 sessions of a user are listed, and revoked, without any being forgotten.
    "list/a-hundred-all-show" [] catches [ListCutAtFifty, RevokeCutAtFifty, RevokeReportsOne] => a_hundred_all_show;
    /// A login after a revocation of all sessions is listed.
    "list/login-after-revocation-shows" [] catches [RevokedStayHidden] => login_after_revocation_shows;
}

async fn own_sessions_only(store: TestStore) -> Outcome {
    let bob = store.user("bob")?;
    let of_alice = store.insert_many(2, &store.session()).await?;
    let of_bob = store.insert(store.session_of(&bob)).await?;
    store.insert(store.anonymous()).await?;
    store.assert_lists(&store.alice, &of_alice, "a user with two sessions").await?;
    store.assert_lists(&bob, [&of_bob], "a user with one session").await
}

async fn unknown_user_has_none(store: TestStore) -> Outcome {
    store.insert(store.session()).await?;
    store.assert_lists(&store.user("nobody")?, [], "a user without sessions").await
}

async fn live_only(store: TestStore) -> Outcome {
    store.insert(store.session()).await?;
    let long = store.insert(store.session().timeouts(2 * HOUR, 3 * HOUR)).await?;
    store.advance(HOUR);
    store.assert_lists(&store.alice, [&long], "after one of two sessions expired").await?;
    store.advance(HOUR + MINUTE);
    store.assert_lists(&store.alice, [], "after both expired").await
}

async fn shows_every_field(store: TestStore) -> Outcome {
    let record = store.insert(full_session(&store)).await?;
    assert_lists_exactly(&store, &record).await
}

async fn follows_updates(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    // An update changes neither the id nor the kind nor the beginning.
    let change = full_session(&store).id(record.id()).kind(record.summary.kind).build()?;
    let change = Record { version: record.version.next(&session_core::OsEntropy)?, ..change };
    ensure_eq!(store.update(&change, record.version).await?, UpdateOutcome::Applied, "`update`");
    assert_lists_exactly(&store, &change).await
}

/// The list shows one session, with every field of `record`.
async fn assert_lists_exactly(store: &TestStore, record: &Record) -> Outcome {
    let listed = store.list(&store.alice).await?;
    ensure_eq!(listed.len(), 1, "listed sessions");
    ensure_eq!(summary_difference(&listed[0], &record.summary), None, "the field that is wrong in the list");
    Ok(())
}

async fn each_session_once(store: TestStore) -> Outcome {
    let mut record = store.insert(store.session()).await?;
    for _ in 0..3 {
        store.advance(MINUTE);
        record = store.updated(&record).await?;
        store.touched(&record).await?;
    }
    store.assert_lists(&store.alice, [&record], "after updates and touches").await
}

async fn concurrent_logins_all_show(store: TestStore) -> Outcome {
    let logins = store.run_concurrently(0..64, |store, _| async move { store.insert(store.session()).await });
    store.assert_lists(&store.alice, &logins.await?, "after 64 logins at once").await
}

async fn a_hundred_all_show(store: TestStore) -> Outcome {
    let records = store.insert_many(100, &store.session()).await?;
    store.assert_lists(&store.alice, &records, "a user with 100 sessions").await?;
    let revoked = store.revoke(&store.alice).await?;
    ensure_same_ids(revoked, records.iter().map(Record::id), "the revoked sessions of a user with 100")
}

async fn login_after_revocation_shows(store: TestStore) -> Outcome {
    store.insert(store.session()).await?;
    store.revoke(&store.alice).await?;
    let new = store.insert(store.session()).await?;
    store.assert_lists(&store.alice, [&new], "a login after all sessions were revoked").await
}
