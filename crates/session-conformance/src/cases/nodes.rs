//! What two handles share: all of one namespace, and nothing of two; and what no log may show.

use session_core::DeleteOutcome;
use session_core::store::{CreateOutcome, Record, TouchOutcome, UpdateOutcome};

use super::support::{MINUTE, full_session};
use crate::compare::ensure_same_ids;
use crate::outcome::{Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::{TestStore, next};

cases! {
    pub(super) const CASES: TestStore;

    /// What one node writes, another reads.
    "nodes/see-each-others-writes" [Shared] catches [
        TouchBumpsVersion, TouchDropsValues, HandleCaches, HandleIndex, OpenStartsEmpty,
    ] => see_each_others_writes;
    /// A logout on one node holds on every other, at once.
    "nodes/logout-holds-everywhere" [Shared] catches [
        UpdateInserts, UpdateAbsentIsConflict, TouchUnknownApplied, TouchInserts, HandleCaches, DeleteStaysInHandle,
        OpenStartsEmpty,
    ] => logout_holds_everywhere;
    /// A revocation finds the logins that other nodes took.
    "nodes/revocation-finds-every-login" [Shared] catches [RevokeReportsOne, HandleIndex, OpenStartsEmpty]
        => revocation_finds_every_login;
    /// An id that one node gave out is taken on every other.
    "nodes/an-id-is-taken-everywhere" [Shared] catches [CreateOverwrites, CreateIgnoresNonce, OpenStartsEmpty]
        => an_id_is_taken_everywhere;
    /// Sessions outlive the process that wrote them.
    "durable/sessions-survive-reopening" [Durable] catches [LoadDropsDevice, IndexAppends, HandleIndex, OpenStartsEmpty]
        => sessions_survive_reopening;
    /// A logout outlives the process that wrote it.
    "durable/logout-survives-reopening" [Durable] catches [
        DeleteKeepsIndex, DeleteTakesSiblings, HandleIndex, DeleteStaysInHandle, OpenStartsEmpty,
    ] => logout_survives_reopening;

    /// Two namespaces share nothing, even for the same id and the same user.
    "apart/tenants" [] catches [
        LoadUnknownFails, DeleteAlwaysDeleted, DeleteUnknownFails, ListUnknownFails, RevokeUnknownFails, TenantsShare,
    ] => tenants;
    /// The `Debug` output of a store shows no user, no id and no value.
    "apart/debug-output" [] catches [DebugShowsUsers] => debug_output;
}

async fn see_each_others_writes(a: TestStore) -> Outcome {
    let b = a.open_node().await?;
    let record = a.insert(a.session().value("n", "1")).await?;
    b.assert_stored(&record, "a session that another node created").await?;
    b.assert_lists(&b.alice, [&record], "a session that another node created").await?;
    let change = b.updated(&record).await?;
    for node in [&a, &b] {
        node.assert_stored(&change, "a session that one node created and another updated").await?;
    }
    a.advance(MINUTE);
    let touched = a.touched(&change).await?;
    b.assert_stored(&touched, "a session that another node touched").await
}

async fn logout_holds_everywhere(a: TestStore) -> Outcome {
    let b = a.open_node().await?;
    let record = a.insert(a.session()).await?;
    let in_flight = b.stored(&record, "a session that another node created").await?;
    a.deleted(&record).await?;
    b.assert_gone(&record, "after a logout on another node").await?;
    let answer = b.update(&next(&in_flight)?, in_flight.version).await?;
    ensure_eq!(answer, UpdateOutcome::Absent, "`update` after a logout on another node");
    ensure_eq!(b.touch(&record).await?, TouchOutcome::Absent, "`touch` after a logout on another node");
    a.assert_gone(&record, "after all that").await
}

async fn revocation_finds_every_login(a: TestStore) -> Outcome {
    let b = a.open_node().await?;
    let records = [a.insert(a.session()).await?, b.insert(b.session()).await?];
    a.assert_lists(&a.alice, &records, "logins on two nodes").await?;
    let revoked = b.revoke(&b.alice).await?;
    ensure_same_ids(revoked, records.iter().map(Record::id), "the revoked sessions of logins on two nodes")?;
    a.assert_all_gone(&records, "after a revocation on another node").await
}

async fn an_id_is_taken_everywhere(a: TestStore) -> Outcome {
    let b = a.open_node().await?;
    let record = a.insert(a.anonymous()).await?;
    let answer = b.create(&b.anonymous().id(record.id()).build()?).await?;
    ensure_eq!(answer, CreateOutcome::IdTaken, "`create` of an id that another node has");
    Ok(())
}

async fn sessions_survive_reopening(store: TestStore) -> Outcome {
    let record = store.insert(full_session(&store)).await?;
    let change = store.updated(&record).await?;
    let store = store.reopen().await?;
    store.assert_stored(&change, "after the store was closed and opened").await?;
    store.assert_lists(&store.alice, [&change], "after the store was closed and opened").await
}

async fn logout_survives_reopening(store: TestStore) -> Outcome {
    let (gone, left) = (store.insert(store.session()).await?, store.insert(store.session()).await?);
    store.deleted(&gone).await?;
    let store = store.reopen().await?;
    store.assert_gone(&gone, "after the store was closed and opened").await?;
    store.assert_lists(&store.alice, [&left], "after the store was closed and opened").await
}

async fn tenants(ours: TestStore) -> Outcome {
    let (theirs, alice) = (ours.other_tenant().await?, &ours.alice);
    let record = ours.insert(ours.session().value("tenant", "ours")).await?;
    theirs.assert_gone(&record, "a session of another tenant").await?;
    theirs.assert_lists(alice, [], "a user of another tenant").await?;
    let other = ours.insert(ours.session().value("tenant", "ours")).await?;
    ensure_eq!(theirs.delete(&other).await?, DeleteOutcome::Absent, "`delete` in another tenant");
    ensure_eq!(theirs.revoke(alice).await?.len(), 0, "sessions revoked in another tenant");
    // The same id and the same user, in both.
    let twin = theirs.insert(theirs.session().id(record.id()).value("tenant", "theirs")).await?;
    ours.assert_all_stored(&[record.clone(), other], "beside a twin in another tenant").await?;
    theirs.assert_stored(&twin, "beside its twin in another tenant").await?;
    theirs.deleted(&twin).await?;
    ours.assert_stored(&record, "after its twin in another tenant was deleted").await
}

async fn debug_output(store: TestStore) -> Outcome {
    let user = store.user("somebody@example.org")?;
    let record = store.insert(store.session_of(&user).value("note", "what the user wrote")).await?;
    let shown = format!("{0:?} {0:#?}", store.handle());
    let id = record.id().to_string();
    for (secret, what) in [(user.as_str(), "a user"), (&id, "a session id"), ("what the user wrote", "a value")] {
        ensure!(!shown.contains(secret), "the Debug output of the store shows {what}");
    }
    ensure!(!store.handle().name().is_empty(), "the store has no name");
    Ok(())
}
