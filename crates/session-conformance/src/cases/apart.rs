//! What must not mix: the sessions of two tenants, and sessions and logs.

use session_core::DeleteOutcome;

use super::support::{insert, is_gone, is_stored, lists};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

pub(super) async fn tenants(env: Env) -> Outcome {
    let (ours, theirs, user) = (env.store().await?, env.other_tenant().await?, env.user("alice")?);
    let record = env.record().of(&user).value("tenant", "ours").build()?;
    insert(&*ours, &record, env.now()).await?;
    is_gone(&*theirs, &record.summary.id, "a session of another tenant").await?;
    lists(&*theirs, &user, [], env.now(), "a user of another tenant").await?;
    ensure_eq!(
        theirs.delete(&record.summary.id, Some(&user)).await?,
        DeleteOutcome::Absent,
        "`delete` in another tenant"
    );
    let ended = theirs.delete_by_user(&user, None).await?;
    ensure_eq!(ended.len(), 0, "sessions revoked in another tenant");
    // The same id and the same user, in both.
    let twin = env.record().of(&user).id(record.summary.id).value("tenant", "theirs").build()?;
    insert(&*theirs, &twin, env.now()).await?;
    is_stored(&*ours, &record, "beside its twin in another tenant").await?;
    is_stored(&*theirs, &twin, "beside its twin in another tenant").await?;
    ensure_eq!(theirs.delete(&twin.summary.id, Some(&user)).await?, DeleteOutcome::Deleted, "`delete` of the twin");
    is_stored(&*ours, &record, "after its twin in another tenant was deleted").await
}

pub(super) async fn debug_output(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("somebody@example.org")?);
    let record = env.record().of(&user).value("note", "what the user wrote").build()?;
    insert(&*store, &record, env.now()).await?;
    let shown = format!("{store:?} {store:#?}");
    let id = record.summary.id.to_string();
    for (secret, what) in [(user.as_str(), "a user"), (&id, "a session id"), ("what the user wrote", "a value")] {
        ensure!(!shown.contains(secret), "the Debug output of the store shows {what}");
    }
    ensure!(!store.name().is_empty(), "the store has no name");
    Ok(())
}
