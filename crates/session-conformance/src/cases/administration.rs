//! `list_all` and `count`: every live session of the store, a page at a time.

use std::collections::BTreeSet;

use session_core::store::{Cursor, Page, Record};
use session_core::{SessionId, StoreErrorKind};

use super::support::{HOUR, MINUTE, full_session};
use crate::compare::{ensure_same_ids, summary_difference};
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::TestStore;

cases! {
    pub(super) const CASES: TestStore;

    /// The pages show the sessions of all users, and anonymous ones.
    "pages/hold-every-session" [] catches [PagesSkipAnonymous, PagesEndEarly, PagesSkipOne] => hold_every_session;
    /// The pages show no expired session.
    "pages/live-only" [] catches [PagesShowExpired, CountsExpired] => live_only;
    /// The pages show every field of a summary as it is stored.
    "pages/show-every-field" [] catches [PagesDropDevice, PagesSkipAnonymous] => show_every_field;
    /// A page has about as many sessions as were asked for.
    "pages/about-as-long-as-asked" [] catches [PagesIgnoreLimit] => about_as_long_as_asked;
    /// What lives from the first page to the last is shown, whatever begins, ends and changes in between.
    "pages/what-stays-is-shown" [] catches [
        PagesCountOffsets, PagesEndEarly, PagesSkipOne, PagesSkipAnonymous, DeleteTakesSiblings,
    ] => what_stays_is_shown;
    /// The sessions of another tenant are not shown.
    "pages/of-this-tenant-only" [] catches [TenantsShare] => of_this_tenant_only;
    /// A cursor that the store did not make is an error.
    "pages/foreign-cursor-is-refused" [] catches [PagesTakeAnyCursor, PagesCountOffsets] => foreign_cursor_is_refused;
    /// All live sessions are counted, those of users and anonymous ones.
    "count/live-sessions" [] catches [CountsUsersOnly, CountsExpired] => live_sessions;
}

/// The ids on all pages of about `limit` sessions.
async fn all_pages(store: &TestStore, limit: u32) -> Result<BTreeSet<SessionId>, Failure> {
    let (mut seen, mut next) = (BTreeSet::new(), None);
    for _ in 0..10_000 {
        let Page { listing, next: follows, .. } = store.page(next.as_ref(), limit).await?;
        seen.extend(listing.sessions.iter().map(|session| session.id));
        if follows.is_none() {
            return Ok(seen);
        }
        next = follows;
    }
    Err(Failure::new("after 10000 pages, others are said to follow"))
}

async fn some_of_each(store: &TestStore) -> Result<Vec<Record>, Failure> {
    let mut records = store.insert_many(20, &store.session()).await?;
    records.extend(store.insert_many(20, &store.anonymous()).await?);
    for name in ["bob", "carol", "dave"] {
        records.push(store.insert(store.session_of(&store.user(name)?)).await?);
    }
    Ok(records)
}

async fn hold_every_session(store: TestStore) -> Outcome {
    ensure_same_ids(all_pages(&store, 7).await?, [], "the pages of an empty store")?;
    let records = some_of_each(&store).await?;
    for limit in [1, 7, 43, 1000, u32::MAX] {
        let seen = all_pages(&store, limit).await?;
        ensure_same_ids(seen, records.iter().map(Record::id), &format!("pages of about {limit}"))?;
    }
    Ok(())
}

async fn live_only(store: TestStore) -> Outcome {
    store.insert(store.session()).await?;
    store.insert(store.anonymous()).await?;
    let long = store.insert(store.session().timeouts(2 * HOUR, 3 * HOUR)).await?;
    store.advance(HOUR);
    ensure_same_ids(all_pages(&store, 2).await?, [long.id()], "after two of three sessions expired")?;
    ensure_eq!(store.count().await?.sessions, 1, "the count after two of three sessions expired");
    store.advance(HOUR + MINUTE);
    ensure_same_ids(all_pages(&store, 2).await?, [], "after all expired")
}

async fn show_every_field(store: TestStore) -> Outcome {
    let records = [store.insert(full_session(&store)).await?, store.insert(store.anonymous()).await?];
    let page = store.page(None, 1000).await?;
    for record in &records {
        let shown = page.listing.sessions.iter().find(|session| session.id == record.id());
        let shown = shown.ok_or_else(|| Failure::new("a session is not on the only page"))?;
        ensure_eq!(summary_difference(shown, &record.summary), None, "the field that is wrong on the page");
    }
    Ok(())
}

async fn about_as_long_as_asked(store: TestStore) -> Outcome {
    store.insert_many(300, &store.anonymous()).await?;
    let mut next = None;
    for _ in 0..5 {
        let page = store.page(next.as_ref(), 10).await?;
        let sessions = page.listing.sessions.len();
        ensure!(sessions <= 100, "a page of about 10 sessions has {sessions}");
        next = page.next;
    }
    Ok(())
}

async fn what_stays_is_shown(store: TestStore) -> Outcome {
    let stays = some_of_each(&store).await?;
    let mut ends = store.insert_many(40, &store.session()).await?;
    let (mut seen, mut next) = (BTreeSet::new(), None);
    loop {
        let page = store.page(next.as_ref(), 5).await?;
        seen.extend(page.listing.sessions.iter().map(|session| session.id));
        let Some(follows) = page.next else { break };
        next = Some(follows);
        // Also those at the places that were seen already: what follows them moves forward.
        for ended in ends.drain(..ends.len().min(5)) {
            let _ = store.delete(&ended).await?;
            ensure!(seen.len() < 10_000, "the pages do not end");
        }
        store.advance(MINUTE / 60);
        for stays in stays.iter().take(3) {
            store.touched(stays).await?;
        }
    }
    let missing = stays.iter().filter(|record| !seen.contains(&record.id())).count();
    ensure_eq!(missing, 0, "sessions of {} that lived all the time and are on no page", stays.len());
    Ok(())
}

async fn of_this_tenant_only(store: TestStore) -> Outcome {
    let other = store.other_tenant().await?;
    let mine = store.insert(store.session()).await?;
    let theirs = other.insert(other.session()).await?;
    ensure_same_ids(all_pages(&store, 10).await?, [mine.id()], "the pages of one of two tenants")?;
    ensure_same_ids(all_pages(&other, 10).await?, [theirs.id()], "the pages of the other")?;
    ensure_eq!(store.count().await?.sessions, 1, "the count of one of two tenants");
    Ok(())
}

async fn foreign_cursor_is_refused(store: TestStore) -> Outcome {
    store.insert(store.session()).await?;
    for text in ["", "0", "17", "-1", "x", "é\0", "99999999999999999999999", "0:0:0:0", "a/b", &"f".repeat(1000)] {
        match store.page(Some(&Cursor::new(text)), 10).await.map_err(|error| error.kind()) {
            Err(StoreErrorKind::InvalidCursor) => {}
            answer => return Err(Failure::new(format!("the cursor {text:?}: expected an error, got {answer:?}"))),
        }
    }
    Ok(())
}

async fn live_sessions(store: TestStore) -> Outcome {
    ensure_eq!(store.count().await?.sessions, 0, "the count of an empty store");
    let records = some_of_each(&store).await?;
    store.insert(store.session().timeouts(MINUTE, MINUTE)).await?;
    store.advance(2 * MINUTE);
    let count = store.count().await?;
    // An estimate may be wrong.
    ensure!(!count.is_exact || count.sessions == records.len() as u64, "the count of 43 sessions is {count:?}");
    Ok(())
}
