//! `copy`

use session_core::store::{MovingStore, SessionStore as _};

use super::sweep::partly;
use crate::args::Copy;
use crate::error::Error;
use crate::output::{Output, Progress, confirm};
use crate::pace::Work;
use crate::pages::again;
use crate::target::{Target, now};

pub(crate) async fn run(args: &Copy, target: &Target, output: &mut Output) -> Result<(), Error> {
    let new = target.other(args)?;
    // What is missing is said before anything is asked. Who follows changes follows the new store.
    let (from, to) = (target.open().await?.into_shared(), new.open_telling().await?.into_shared());
    let count = again(|| from.count(now())).await.map_err(Error::at("count the sessions"))?;
    let about = if count.is_exact { "" } else { "about " };
    if args.dry_run {
        let json = serde_json::json!({ "would_move": count.sessions, "is_exact": count.is_exact });
        return output.either(&json, [format!("{about}{} sessions would move", count.sessions)]);
    }
    let question = format!(
        "{about}{} sessions of `{}` move to {}. Does every node run with both stores (MovingStore), and none with the old one alone?",
        count.sessions,
        target.namespace,
        new.location(),
    );
    if !args.yes && !confirm(&question) {
        return Err(Error::NodesUnknown);
    }
    let (moving, progress) = (MovingStore::new(from, to), Progress::new("moved"));
    let mut moved = 0;
    // Until a pass through the old store meets nothing that could be moved.
    let left = loop {
        let (before, mut left, mut after) = (moved, 0, None);
        loop {
            let work = Work::begin();
            let page = again(|| moving.move_page(after.as_ref(), target.pace.moved, now())).await;
            let page = page.map_err(|error| partly(moved, Error::at("move sessions")(error)))?;
            moved += page.moved;
            left += page.unreadable.len();
            progress.add(page.moved);
            target.pace.rest(work).await;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if moved == before {
            break left;
        }
    };
    drop(progress);
    let json = serde_json::json!({ "moved": moved, "unreadable": left });
    let mut lines = vec![format!("{moved} sessions moved")];
    if left > 0 {
        lines.push(format!("{left} cannot be read, and stay: they are of a later release, or damaged"));
    }
    output.either(&json, lines)
}
