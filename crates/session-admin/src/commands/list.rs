//! `list`

use session_core::store::SessionStore;

use crate::args::List;
use crate::error::{EMPTY, Error};
use crate::filter::Filter;
use crate::output::{Output, Progress, note};
use crate::pace::Pace;
use crate::pages::Pages;
use crate::target::Target;

pub(crate) async fn run(args: &List, target: &Target, output: &mut Output) -> Result<(), Error> {
    let store = target.open().await?.into_shared();
    let filter = Filter::new(&args.filters, target.began);
    let limit = args.limit.map_or(u64::MAX, std::num::NonZeroU64::get);
    let found = show(&*store, &filter, limit, target.pace, output).await?;
    if found.shown == 0 {
        let why = if found.read == 0 && filter.user.is_none() { EMPTY } else { "no session matches" };
        note(&format!("`{}`: {why}", target.namespace));
    }
    Ok(())
}

/// How many sessions there were.
pub(crate) struct Found {
    pub(crate) read: u64,
    pub(crate) shown: u64,
}

/// Shows the sessions that match, up to `limit`: a page of them is in memory.
pub(crate) async fn show(
    store: &dyn SessionStore,
    filter: &Filter,
    limit: u64,
    pace: Pace,
    output: &mut Output,
) -> Result<Found, Error> {
    let (mut found, progress) = (Found { read: 0, shown: 0 }, Progress::beside_results("read"));
    let mut pages = Pages::new(store, filter.user.as_ref(), pace);
    while let Some(page) = pages.next().await? {
        progress.read(&page);
        found.read += (page.sessions.len() + page.unreadable.len()) as u64;
        for session in page.sessions.iter().filter(|session| filter.matches(session)) {
            if found.shown == limit {
                return Ok(found);
            }
            output.session(session)?;
            found.shown += 1;
        }
        // Of one that cannot be read, nothing is known but its id and, where they are asked for by user, whose it is.
        if filter.is_of_user_alone() {
            for id in &page.unreadable {
                if found.shown == limit {
                    return Ok(found);
                }
                output.unreadable(id)?;
                found.shown += 1;
            }
        }
        output.flush()?;
    }
    Ok(found)
}
