//! `update`: compare-and-swap that never inserts.

use session_core::store::{Credential, Record, TouchOutcome, UpdateOutcome};
use session_core::{Assurance, DeleteOutcome, Device, Kind, OsEntropy, Timeouts};

use super::support::{DAY, HOUR, MINUTE, insert, is_gone, is_stored, lists, next, updated};
use crate::env::Env;
use crate::outcome::{Outcome, ensure_eq};

pub(super) async fn stores_every_field(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).value("stays", "1").value("changes", "1").value("goes", "1").build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(MINUTE);
    let mut changed = next(&record)?;
    changed.data.insert("changes".into(), "2".into());
    changed.data.insert("comes".into(), "1".into());
    changed.data.remove(b"goes");
    changed.summary.device = Device::new().with_label("renamed");
    changed.summary.last_seen = env.now();
    changed.credential = Credential::issue(Kind::Cookie, record.summary.id, env.now(), &OsEntropy)?.0;
    if let Some(authentication) = &mut changed.summary.authentication {
        authentication.at = env.now();
        authentication.level = Assurance::Aal2;
        authentication.methods = ["pwd".to_owned(), "otp".to_owned()].into();
    }
    ensure_eq!(store.update(&changed, record.version, env.now()).await?, UpdateOutcome::Applied, "`update`");
    is_stored(&*store, &changed, "after `update`").await
}

pub(super) async fn stale_version_conflicts(env: Env) -> Outcome {
    let store = env.store().await?;
    let first = env.record().value("n", "1").build()?;
    insert(&*store, &first, env.now()).await?;
    let second = updated(&*store, &first, env.now()).await?;
    let third = updated(&*store, &second, env.now()).await?;
    for stale in [first.version, second.version] {
        let late = Record { version: stale.next(&OsEntropy)?, ..first.clone() };
        let answer = store.update(&late, stale, env.now()).await?;
        ensure_eq!(answer, UpdateOutcome::Conflict, "`update` of a version that is not the stored one");
        is_stored(&*store, &third, "after the refused `update`").await?;
    }
    Ok(())
}

pub(super) async fn nonce_tells_writers_apart(env: Env) -> Outcome {
    let store = env.store().await?;
    let first = env.record().build()?;
    insert(&*store, &first, env.now()).await?;
    let (winner, loser) = (next(&first)?, next(&first)?);
    ensure_eq!(store.update(&winner, first.version, env.now()).await?, UpdateOutcome::Applied, "the first writer");
    let answer = store.update(&loser, first.version, env.now()).await?;
    ensure_eq!(answer, UpdateOutcome::Conflict, "the second writer, whose version has the same number");
    let third = next(&winner)?;
    let answer = store.update(&third, loser.version, env.now()).await?;
    ensure_eq!(answer, UpdateOutcome::Conflict, "`update` that expects the right number by the wrong writer");
    is_stored(&*store, &winner, "after the refused updates").await
}

pub(super) async fn absent_is_absent(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    let answer = store.update(&next(&record)?, record.version, env.now()).await?;
    ensure_eq!(answer, UpdateOutcome::Absent, "`update` of a session that never was");
    is_gone(&*store, &record.summary.id, "after that `update`").await?;
    lists(&*store, &user, [], env.now(), "after that `update`").await
}

pub(super) async fn never_resurrects(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    ensure_eq!(store.delete(&record.summary.id, Some(&user)).await?, DeleteOutcome::Deleted, "`delete`");
    let answer = store.update(&next(&record)?, record.version, env.now()).await?;
    ensure_eq!(answer, UpdateOutcome::Absent, "`update` after `delete`");
    is_gone(&*store, &record.summary.id, "after `delete` and `update`").await?;
    lists(&*store, &user, [], env.now(), "after `delete` and `update`").await
}

pub(super) async fn expired_is_absent(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(HOUR);
    let late = next(&record)?.touched(env.now());
    let answer = store.update(&late, record.version, env.now()).await?;
    ensure_eq!(answer, UpdateOutcome::Absent, "`update` of an expired session");
    lists(&*store, &user, [], env.now(), "after that `update`").await
}

pub(super) async fn repeat_is_applied(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    let change = updated(&*store, &record, env.now()).await?;
    let again = store.update(&change, record.version, env.now()).await?;
    ensure_eq!(again, UpdateOutcome::Applied, "the same `update` again");
    is_stored(&*store, &change, "after the repeated `update`").await
}

pub(super) async fn repeat_keeps_a_later_touch(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    let change = updated(&*store, &record, env.now()).await?;
    env.clock().advance(MINUTE);
    ensure_eq!(store.touch(&record.summary.id, None, env.now()).await?, TouchOutcome::Applied, "`touch`");
    let again = store.update(&change, record.version, env.now()).await?;
    ensure_eq!(again, UpdateOutcome::Applied, "the same `update` again");
    let expected = change.touched(env.now());
    is_stored(&*store, &expected, "after an `update` that was repeated late").await
}

pub(super) async fn keeps_a_later_touch(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(20 * MINUTE);
    let touched = store.touch(&record.summary.id, Some(&user), env.now()).await?;
    ensure_eq!(touched, TouchOutcome::Applied, "`touch`");
    // Written by a request that began before the one that touched.
    let change = updated(&*store, &record, env.now()).await?;
    let expected = change.touched(env.now());
    is_stored(&*store, &expected, "after an `update` with an earlier last_seen").await?;
    env.clock().advance(20 * MINUTE);
    lists(&*store, &user, [record.summary.id], env.now(), "past the deadline the session had before the touch").await
}

pub(super) async fn moves_last_seen_and_the_deadline(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(20 * MINUTE);
    let used = next(&record)?.touched(env.now());
    ensure_eq!(store.update(&used, record.version, env.now()).await?, UpdateOutcome::Applied, "`update`");
    is_stored(&*store, &used, "after an `update` with a later last_seen").await?;
    env.clock().advance(20 * MINUTE);
    lists(&*store, &user, [record.summary.id], env.now(), "past the deadline the session had before the update")
        .await?;
    updated(&*store, &used, env.now()).await.map(drop)
}

pub(super) async fn changes_the_lifetime(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let shorter = env.record().of(&user).build()?;
    let longer = env.record().of(&user).build()?;
    for (record, idle, absolute) in [(&shorter, 5 * MINUTE, HOUR), (&longer, 2 * DAY, 3 * DAY)] {
        insert(&*store, record, env.now()).await?;
        let mut change = next(record)?;
        change.summary.timeouts = Timeouts { idle, absolute };
        ensure_eq!(store.update(&change, record.version, env.now()).await?, UpdateOutcome::Applied, "`update`");
        is_stored(&*store, &change, "after an `update` with other timeouts").await?;
    }
    env.clock().advance(10 * MINUTE);
    lists(&*store, &user, [longer.summary.id], env.now(), "past the shortened deadline").await?;
    let touched = store.touch(&shorter.summary.id, Some(&user), env.now()).await?;
    ensure_eq!(touched, TouchOutcome::Absent, "`touch` past the shortened deadline");
    env.clock().advance(DAY);
    lists(&*store, &user, [longer.summary.id], env.now(), "before the lengthened deadline").await
}
