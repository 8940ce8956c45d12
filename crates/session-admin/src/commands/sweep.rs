//! `sweep`

use session_core::store::SessionStore as _;

use crate::args::Sweep;
use crate::error::Error;
use crate::output::{Output, Progress};
use crate::pace::Work;
use crate::pages::again;
use crate::target::{Target, now};

pub(crate) async fn run(args: &Sweep, target: &Target, output: &mut Output) -> Result<(), Error> {
    if args.dry_run {
        let store = target.open().await?;
        let expired = again(|| store.count_expired(now())).await.map_err(Error::at("count what has expired"))?;
        let (records, how) = match expired {
            Some(count) if count.is_exact => (count.sessions, "would be deleted"),
            Some(count) => (count.sessions, "or more would be deleted"),
            None => (0, "would be deleted: this server drops what expires by itself"),
        };
        let json = serde_json::json!({
            "would_delete": records, "is_exact": expired.is_none_or(|count| count.is_exact),
        });
        return output.either(&json, [format!("{records} expired records {how}")]);
    }
    // Who follows the changes need not hear of what has expired.
    let store = target.open().await?.into_shared();
    let (mut deleted, progress) = (0, Progress::new("deleted"));
    loop {
        let work = Work::begin();
        let some = match again(|| store.delete_expired(now(), target.pace.swept)).await {
            Ok(some) => some,
            Err(error) => return Err(partly(deleted, Error::at("delete what has expired")(error))),
        };
        if some == 0 {
            break;
        }
        deleted += some;
        progress.add(some);
        target.pace.rest(work).await;
    }
    drop(progress);
    output.either(&serde_json::json!({ "deleted": deleted }), [format!("{deleted} expired records deleted")])
}

/// `error`, and what was done before it.
pub(super) fn partly(done: u64, error: Error) -> Error {
    if done == 0 { error } else { Error::Partly { done, error: Box::new(error) } }
}
