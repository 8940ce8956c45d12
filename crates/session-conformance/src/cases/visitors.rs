//! The limit of anonymous sessions: who has to go, who counts, and visits at once.

use session_core::store::{CreateOutcome, CreateRequest, Record, Replacement};
use session_core::{OsEntropy, VisitorLimit};

use super::support::{HOUR, MINUTE};
use crate::compare::ensure_same_ids;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::record::RecordBuilder;
use crate::table::cases;
use crate::test_store::{CREATED, TestStore};

cases! {
    pub(super) const CASES: TestStore;

    /// One visitor too many ends the one that was used least recently, whenever it began.
    "visitors/least-recent-ends" [] catches [
        VisitorsAreNotLimited, VisitorsEndByAge, VisitorsAreRejected, UpdateKeepsLastSeen, HandleCaches,
    ] => least_recent_ends;
    /// Under a lowered limit, one visit ends as many as are too many.
    "visitors/lowered-ends-several" [] catches [
        VisitorsAreNotLimited, VisitorsAreRejected, EvictsOneAtMost, EvictedStay, EvictedNotReported,
    ] => lowered_ends_several;
    /// Sessions of users, and anonymous ones that were created without a limit, neither count nor end, used or not.
    "visitors/others-neither-count-nor-end" [] catches [
        VisitorsAreNotLimited, VisitorsAreRejected, VisitorsIncludeUsers, VisitorsIncludeOthers,
    ] => others_neither_count_nor_end;
    /// What has expired, was deleted or was replaced by a login makes room.
    "visitors/who-left-makes-room" [] catches [
        VisitorsCountExpired, VisitorsIncludeUsers, ReplaceLeavesOtherShard, TouchIgnoresAbsoluteDeadline,
    ]
        => who_left_makes_room;
    /// A visit that is repeated ends nobody else, and one at the limit leaves its own session.
    "visitors/repetition-ends-nobody" [] catches [
        VisitorsAreNotLimited, VisitorsAreRejected, VisitorsEndOnRepetition, CreateRepeatIsTaken,
    ] => repetition_ends_nobody;
    /// After many visits at once, and one more, no more live than the limit says; each of the others was reported.
    "visitors/holds-under-concurrent-visits" [] catches [VisitorsAreNotLimited, VisitorsAreRejected]
        => holds_under_concurrent_visits;
}

fn limit(max: u32) -> Result<VisitorLimit, Failure> {
    VisitorLimit::new(max).ok_or_else(|| Failure::new("a limit out of range"))
}

/// An anonymous session as core creates it.
fn visitor(store: &TestStore) -> Result<RecordBuilder, Failure> {
    let id = limit(1)?.generate_id(&OsEntropy).map_err(|_| Failure::new("the random generator failed"))?;
    Ok(store.anonymous().id(id).value("cart", "3 apples"))
}

async fn visit(store: &TestStore, record: &Record, max: u32) -> Result<CreateOutcome, Failure> {
    Ok(store.handle().create(CreateRequest::new(record).among(limit(max)?), store.now()).await?)
}

/// Stores visitors one minute after the other, under a limit that leaves room for them.
async fn visitors(store: &TestStore, n: u32) -> Result<Vec<Record>, Failure> {
    let mut visitors = Vec::new();
    for _ in 0..n {
        store.advance(MINUTE);
        let record = visitor(store)?.build()?;
        ensure_eq!(visit(store, &record, n).await?, CREATED, "a visit below the limit");
        visitors.push(record);
    }
    Ok(visitors)
}

async fn assert_live(store: &TestStore, records: &[Record], what: &str) -> Outcome {
    for record in records {
        store.stored(record, what).await?;
    }
    Ok(())
}

async fn least_recent_ends(store: TestStore) -> Outcome {
    let all = visitors(&store, 4).await?;
    store.advance(MINUTE);
    let touched = store.touched(&all[0]).await?;
    store.advance(MINUTE);
    let updated = store.updated(&all[1].clone().touched(store.now())).await?;
    let mut left = vec![touched, updated, all[3].clone()];
    for (turn, ended) in [&all[2], &all[3]].into_iter().enumerate() {
        store.advance(MINUTE);
        let new = visitor(&store)?.build()?;
        let expected = CreateOutcome::Created { evicted: vec![ended.id()] };
        ensure_eq!(visit(&store, &new, 4).await?, expected, "visit {turn} at the limit");
        store.assert_gone(ended, "the visitor that was used least recently").await?;
        left.retain(|record| record.id() != ended.id());
        left.push(new);
        assert_live(&store, &left, "a visitor that was used later").await?;
    }
    Ok(())
}

async fn lowered_ends_several(store: TestStore) -> Outcome {
    let all = visitors(&store, 5).await?;
    store.advance(MINUTE);
    let new = visitor(&store)?.build()?;
    let CreateOutcome::Created { evicted } = visit(&store, &new, 2).await? else {
        return Err(Failure::new("a visit under a lowered limit was refused"));
    };
    ensure_same_ids(
        evicted,
        all[..4].iter().map(Record::id),
        "the visitors that ended, of five where two are allowed",
    )?;
    store.assert_all_gone(&all[..4], "a visitor that ended").await?;
    store.assert_all_stored(&[all[4].clone(), new], "one of the last two").await
}

async fn others_neither_count_nor_end(store: TestStore) -> Outcome {
    let user = store.insert(store.session()).await?;
    let unlimited = [store.insert(visitor(&store)?).await?, store.insert(visitor(&store)?).await?];
    store.advance(MINUTE);
    let unlimited = [store.touched(&unlimited[0]).await?, store.updated(&unlimited[1]).await?];
    let mut ends = Vec::new();
    for turn in 1..=3 {
        store.advance(MINUTE);
        let new = visitor(&store)?.build()?;
        let expected = CreateOutcome::Created { evicted: ends };
        ensure_eq!(visit(&store, &new, 1).await?, expected, "visit {turn} under a limit of one");
        ends = vec![new.id()];
    }
    assert_live(&store, &unlimited, "an anonymous session that was created without a limit").await?;
    assert_live(&store, &[user], "a user's session").await
}

async fn who_left_makes_room(store: TestStore) -> Outcome {
    visitors(&store, 1).await?;
    store.advance(HOUR);
    // One that was used last, and is past its absolute deadline.
    let short = visitor(&store)?.timeouts(30 * MINUTE, 30 * MINUTE).build()?;
    ensure_eq!(visit(&store, &short, 3).await?, CREATED, "a visit beside one that has expired");
    store.advance(20 * MINUTE);
    let rest = [visitor(&store)?.build()?, visitor(&store)?.build()?];
    for record in &rest {
        ensure_eq!(visit(&store, record, 3).await?, CREATED, "a visit below the limit");
    }
    store.advance(5 * MINUTE);
    store.touched(&short).await?;
    store.advance(6 * MINUTE);
    ensure_eq!(visit(&store, &visitor(&store)?.build()?, 3).await?, CREATED, "a visit beside one past its deadline");
    store.deleted(&rest[0]).await?;
    store.deleted(&rest[1]).await?;
    store.advance(HOUR);
    let rest = [visitor(&store)?.build()?, visitor(&store)?.build()?, visitor(&store)?.build()?];
    for record in &rest {
        ensure_eq!(visit(&store, record, 3).await?, CREATED, "a visit beside one that has expired");
    }
    store.deleted(&rest[0]).await?;
    let user = store.session().build()?;
    let login = CreateRequest::new(&user).replacing(Replacement::of(&rest[1])).among(limit(3)?);
    ensure_eq!(store.handle().create(login, store.now()).await?, CREATED, "a login of a visitor");
    for turn in 1..=2 {
        let new = visitor(&store)?.build()?;
        ensure_eq!(
            visit(&store, &new, 3).await?,
            CREATED,
            "visit {turn} after a visitor has left and one has logged in"
        );
    }
    store.assert_stored(&rest[2], "the visitor who stayed").await
}

async fn repetition_ends_nobody(store: TestStore) -> Outcome {
    let all = visitors(&store, 2).await?;
    store.advance(MINUTE);
    let new = visitor(&store)?.build()?;
    let expected = CreateOutcome::Created { evicted: vec![all[0].id()] };
    ensure_eq!(visit(&store, &new, 2).await?, expected, "a visit at the limit");
    for _ in 0..2 {
        ensure_eq!(visit(&store, &new, 2).await?, CREATED, "the same visit, repeated");
    }
    store.assert_all_stored(&[all[1].clone(), new], "one of the last two visitors").await
}

async fn holds_under_concurrent_visits(store: TestStore) -> Outcome {
    const MAX: u32 = 8;
    let user = store.insert(store.session()).await?;
    let task = |store: TestStore, record: Record| async move {
        let CreateOutcome::Created { evicted } = visit(&store, &record, MAX).await? else {
            return Err(Failure::new("a visit under a limit was refused"));
        };
        Ok((record, evicted))
    };
    let records = (0..64).map(|_| visitor(&store)?.build()).collect::<Result<Vec<_>, _>>()?;
    let mut visits = store.run_concurrently(records, task).await?;
    store.advance(MINUTE);
    visits.push(task(store.clone(), visitor(&store)?.build()?).await?);
    let ended: Vec<_> = visits.iter().flat_map(|(_, ended)| ended.iter().copied()).collect();
    let mut live = Vec::new();
    for (record, _) in &visits {
        live.extend(store.load(record.id()).await?.map(|record| record.id()));
    }
    ensure!(live.len() <= MAX as usize, "{} visitors live under a limit of {MAX}", live.len());
    let all = visits.iter().map(|(record, _)| record.id());
    ensure_same_ids(live.into_iter().chain(ended), all, "visitors that live and that were reported as ended")?;
    store.assert_stored(&user, "a user's session, after the visits").await
}
