//! `count`

use serde::Serialize;
use session_core::store::SessionStore;
use session_core::{Kind, SessionSummary};

use crate::args::{By, Count};
use crate::error::{EMPTY, Error};
use crate::output::{Output, Progress, note};
use crate::pace::Pace;
use crate::pages::{Pages, again};
use crate::target::{Target, now};

/// How many of each kind.
#[derive(Default, Serialize)]
struct Kinds {
    users_with_cookie: u64,
    users_with_refresh_token: u64,
    visitors_with_cookie: u64,
    visitors_with_refresh_token: u64,
    unreadable: u64,
}

impl Kinds {
    fn add(&mut self, session: &SessionSummary) {
        let count = match (session.user().is_some(), session.kind) {
            (true, Kind::Cookie) => &mut self.users_with_cookie,
            (true, Kind::Refresh) => &mut self.users_with_refresh_token,
            (false, Kind::Cookie) => &mut self.visitors_with_cookie,
            (false, Kind::Refresh) => &mut self.visitors_with_refresh_token,
        };
        *count += 1;
    }

    fn rows(&self) -> [(&'static str, u64); 5] {
        [
            ("of users, with a cookie", self.users_with_cookie),
            ("of users, with a refresh token", self.users_with_refresh_token),
            ("of visitors, with a cookie", self.visitors_with_cookie),
            ("of visitors, with a refresh token", self.visitors_with_refresh_token),
            ("unreadable", self.unreadable),
        ]
    }
}

#[derive(Serialize)]
struct Counted<'a> {
    namespace: &'a str,
    sessions: u64,
    is_exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_kind: Option<Kinds>,
}

pub(crate) async fn run(args: &Count, target: &Target, output: &mut Output) -> Result<(), Error> {
    let store = target.open().await?.into_shared();
    let namespace = target.namespace.as_str();
    let (counted, lines) = match args.by {
        None => {
            let count = again(|| store.count(now())).await.map_err(Error::at("count the sessions"))?;
            let how = if count.is_exact { "exact" } else { "an estimate" };
            let counted = Counted { namespace, sessions: count.sessions, is_exact: count.is_exact, by_kind: None };
            (counted, vec![format!("{} sessions ({how})", count.sessions)])
        }
        Some(By::Kind) => {
            let kinds = by_kind(&*store, target.pace).await?;
            let sessions = kinds.rows().into_iter().map(|(_, count)| count).sum();
            let mut lines: Vec<String> = kinds.rows().map(|(name, count)| format!("{count:>12} {name}")).into();
            lines.push(format!("{sessions:>12} sessions (read one by one; some may have begun or ended meanwhile)"));
            (Counted { namespace, sessions, is_exact: false, by_kind: Some(kinds) }, lines)
        }
    };
    output.either(&counted, lines)?;
    // By a sample, a few among many keys of others are none.
    if counted.sessions == 0 && (counted.is_exact || counted.by_kind.is_some()) {
        note(&format!("`{namespace}`: {EMPTY}"));
    }
    Ok(())
}

async fn by_kind(store: &dyn SessionStore, pace: Pace) -> Result<Kinds, Error> {
    let (mut kinds, progress) = (Kinds::default(), Progress::new("counting"));
    let mut pages = Pages::new(store, None, pace);
    while let Some(page) = pages.next().await? {
        page.sessions.iter().for_each(|session| kinds.add(session));
        kinds.unreadable += page.unreadable.len() as u64;
        progress.read(&page);
    }
    Ok(kinds)
}
