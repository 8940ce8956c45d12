//! `delete_by_user`: logout everywhere.

use std::sync::{Arc, Mutex, PoisonError};

use session_core::store::{Record, UpdateOutcome};
use session_core::{Kind, OsEntropy};

use super::support::{HOUR, Write, among_writes, full_session};
use crate::compare::{ensure_same_ids, summary_difference};
use crate::outcome::{Outcome, ensure_eq};
use crate::table::cases;
use crate::test_store::{TestStore, next};

cases! {
    pub(super) const CASES: TestStore;

    /// `delete_by_user` ends every session of the user.
    "revoke/ends-all" [] catches [RevokeSparesRefresh] => ends_all;
    /// `delete_by_user` returns the sessions it deleted, and none when there was nothing to delete.
    "revoke/returns-what-it-ended" [] catches [RevokeReportsOne] => returns_what_it_ended;
    /// `delete_by_user` returns each field of a session but its values, as it was when it ended.
    "revoke/returns-every-field" [] catches [
        UpdateKeepsTimeouts, RevokeDropsDevice, RevokeReportsAsCreated,
    ] => returns_every_field;
    /// Sessions that had expired are deleted, and not among those returned.
    "revoke/returns-live-ones-only" [] catches [RevokeReportsExpired] => returns_live_ones_only;
    /// The session to keep is kept, the others end.
    "revoke/keeps-one" [] catches [RevokedStayHidden, RevokeIgnoresKeep, RevokeReportsOne] => keeps_one;
    /// A user without sessions is no error.
    "revoke/unknown-user-is-no-error" [] catches [RevokeUnknownFails] => unknown_user_is_no_error;
    /// Sessions of other users, and anonymous ones, stay.
    "revoke/leaves-others-alone" [] catches [RevokeEndsAnonymous] => leaves_others_alone;
    /// Expired sessions of the user end too.
    "revoke/ends-expired-ones" [] catches [ListShowsExpired, RevokeSparesExpired] => ends_expired_ones;
    /// A login that was acknowledged before the revocation is gone after it.
    "revoke/ends-acknowledged-logins" [] catches [IndexNotAtomic, RevokedStayHidden] => ends_acknowledged_logins;
    /// An update that was in flight during a revocation does not bring the session back.
    "revoke/cannot-be-undone-by-an-update" [] catches [UpdateInserts, UpdateAbsentIsConflict]
        => cannot_be_undone_by_an_update;
    /// A revocation among updates ends every session.
    "revoke/beats-concurrent-updates" [] catches [
        UpdateInserts, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, RevokeReportsOne,
    ] => beats_concurrent_updates;
}

async fn ends_all(store: TestStore) -> Outcome {
    let mut records = store.insert_many(2, &store.session()).await?;
    records.push(store.insert(store.session().kind(Kind::Refresh)).await?);
    store.revoke(&store.alice).await?;
    store.assert_all_gone(&records, "after all were revoked").await?;
    store.assert_lists(&store.alice, [], "after all were revoked").await
}

async fn returns_what_it_ended(store: TestStore) -> Outcome {
    let records = store.insert_many(3, &store.session()).await?;
    let revoked = store.revoke(&store.alice).await?;
    ensure_same_ids(revoked, records.iter().map(Record::id), "the sessions reported as revoked")?;
    let again = store.revoke(&store.alice).await?;
    ensure_eq!(again.len(), 0, "sessions reported as revoked when there were none left");
    Ok(())
}

async fn returns_every_field(store: TestStore) -> Outcome {
    let created = store.insert(store.session()).await?;
    let change = full_session(&store).id(created.id()).kind(created.summary.kind).build()?;
    let change = Record { version: created.version.next(&OsEntropy)?, ..change };
    ensure_eq!(store.update(&change, created.version).await?, UpdateOutcome::Applied, "`update`");
    store.advance(HOUR);
    let last = store.touched(&change).await?;
    let revoked = store.handle().delete_by_user(&store.alice, None, store.now()).await?;
    ensure_eq!(revoked.sessions.len(), 1, "the revoked sessions");
    ensure_eq!(revoked.unreadable.len(), 0, "those that could not be read");
    ensure_eq!(summary_difference(&revoked.sessions[0], &last.summary), None, "the field that is wrong");
    Ok(())
}

async fn returns_live_ones_only(store: TestStore) -> Outcome {
    store.insert_many(2, &store.session()).await?;
    store.advance(HOUR);
    let live = store.insert(store.session()).await?;
    let revoked = store.revoke(&store.alice).await?;
    ensure_same_ids(revoked, [live.id()], "the sessions reported as revoked, of two expired and one live")?;
    store.assert_lists(&store.alice, [], "after all were revoked").await
}

async fn keeps_one(store: TestStore) -> Outcome {
    let others = store.insert_many(2, &store.session()).await?;
    let kept = store.insert(store.session()).await?;
    let revoked = store.revoke_except(&kept, &store.alice).await?;
    ensure_same_ids(revoked, others.iter().map(Record::id), "the sessions reported as revoked")?;
    store.assert_stored(&kept, "the session to keep").await?;
    store.assert_lists(&store.alice, [&kept], "after all but one were revoked").await
}

async fn unknown_user_is_no_error(store: TestStore) -> Outcome {
    ensure_eq!(store.revoke(&store.alice).await?.len(), 0, "revoked sessions of a user without any");
    Ok(())
}

async fn leaves_others_alone(store: TestStore) -> Outcome {
    store.insert_many(2, &store.session()).await?;
    let others = [store.insert(store.session_of(&store.user("bob")?)).await?, store.insert(store.anonymous()).await?];
    store.revoke(&store.alice).await?;
    store.assert_all_stored(&others, "a session of another user, after revocation").await
}

async fn ends_expired_ones(store: TestStore) -> Outcome {
    let records = store.insert_many(2, &store.session()).await?;
    store.advance(HOUR);
    // Tells the time to a store that learns it from its calls.
    store.assert_lists(&store.alice, [], "after the deadline").await?;
    store.revoke(&store.alice).await?;
    store.assert_all_gone(&records, "an expired session, after revocation").await
}

async fn ends_acknowledged_logins(store: TestStore) -> Outcome {
    let first = store.insert(store.session()).await?;
    let acknowledged = Arc::new(Mutex::new(vec![first]));
    let turns = (0..16).map(|turn| (turn, Arc::clone(&acknowledged)));
    let tasks = store.run_concurrently(turns, |store, (turn, acknowledged)| async move {
        let known = || acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        if turn % 5 == 4 {
            let before = known().clone();
            store.revoke(&store.alice).await?;
            return store.assert_all_gone(&before, "a login that was acknowledged before the revocation").await;
        }
        for _ in 0..3 {
            let record = store.insert(store.session()).await?;
            known().push(record);
        }
        Ok(())
    });
    tasks.await?;
    // Logins after the last revocation are alive, and listed.
    let mut alive = vec![store.insert(store.session()).await?];
    let all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for record in all {
        alive.extend(store.load(record.id()).await?);
    }
    store.assert_lists(&store.alice, &alive, "logins beside revocations").await
}

async fn cannot_be_undone_by_an_update(store: TestStore) -> Outcome {
    let in_flight = store.insert(store.session()).await?;
    store.revoke(&store.alice).await?;
    let answer = store.update(&next(&in_flight)?, in_flight.version).await?;
    ensure_eq!(answer, UpdateOutcome::Absent, "`update` that was in flight during the revocation");
    store.assert_gone(&in_flight, "after revocation and `update`").await?;
    store.assert_lists(&store.alice, [], "after revocation and `update`").await
}

async fn beats_concurrent_updates(store: TestStore) -> Outcome {
    for _ in 0..8 {
        let records = store.insert_many(4, &store.session()).await?;
        let revoked = among_writes(&store, &records, Write::Update, store.revoke(&store.alice)).await?;
        ensure_same_ids(revoked, records.iter().map(Record::id), "the revoked sessions, among updates")?;
        store.assert_all_gone(&records, "after revocation among updates").await?;
    }
    store.assert_lists(&store.alice, [], "after revocation among updates").await
}
