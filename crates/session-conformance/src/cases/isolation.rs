//! What must not mix: the sessions of two tenants, and sessions and logs.

use session_core::DeleteOutcome;

use crate::outcome::{Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::TestStore;

cases! {
    pub(super) const CASES: TestStore;

    /// Two namespaces share nothing, even for the same id and the same user.
    "apart/tenants" [] catches [
        LoadUnknownFails, DeleteAlwaysDeleted, DeleteUnknownFails, ListUnknownFails, RevokeUnknownFails, TenantsShare,
    ] => tenants;
    /// The `Debug` output of a store shows no user, no id and no value.
    "apart/debug-output" [] catches [DebugShowsUsers] => debug_output;
}

async fn tenants(ours: TestStore) -> Outcome {
    let (theirs, alice) = (ours.other_tenant().await?, &ours.alice);
    let record = ours.insert(ours.session().value("tenant", "ours")).await?;
    theirs.assert_gone(&record, "a session of another tenant").await?;
    theirs.assert_lists(alice, [], "a user of another tenant").await?;
    ensure_eq!(theirs.delete(&record).await?, DeleteOutcome::Absent, "`delete` in another tenant");
    ensure_eq!(theirs.revoke(alice).await?.len(), 0, "sessions revoked in another tenant");
    // The same id and the same user, in both.
    let twin = theirs.insert(theirs.session().id(record.id()).value("tenant", "theirs")).await?;
    ours.assert_stored(&record, "beside its twin in another tenant").await?;
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
