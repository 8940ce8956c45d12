//! `revoke`

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use session_core::store::SessionStore;
use session_core::{DeleteOutcome, SessionId, UserId};

use super::list::show;
use super::show::find;
use super::sweep::partly;
use crate::args::Revoke;
use crate::error::{EMPTY, Error};
use crate::filter::Filter;
use crate::output::{Output, Progress, confirm, note};
use crate::pace::Pace;
use crate::pages::{Pages, again, is_empty};
use crate::target::{Target, now};

pub(crate) async fn run(args: &Revoke, target: &Target, output: &mut Output) -> Result<(), Error> {
    let ids: Vec<SessionId> =
        args.id.iter().map(|id| id.parse().map_err(|_| Error::NotAnId)).collect::<Result<_, _>>()?;
    let tells = !args.no_publish_changes && !args.dry_run;
    let store = if tells { target.open_telling().await? } else { target.open().await? }.into_shared();
    if ids.is_empty() {
        by_filter(args, &store, target, output).await
    } else {
        by_id(args, &ids, &store, target, output).await
    }
}

/// What a command says when it is done.
fn report(output: &mut Output, is_dry_run: bool, sessions: u64) -> Result<(), Error> {
    match is_dry_run {
        // As lines of JSON, the sessions are all there is.
        true if output.is_json => Ok(()),
        true => output.line(&format!("{sessions} sessions would end; nothing was done")),
        false => output.either(&serde_json::json!({ "revoked": sessions }), [format!("{sessions} sessions ended")]),
    }
}

async fn by_id(
    args: &Revoke,
    ids: &[SessionId],
    store: &Arc<dyn SessionStore>,
    target: &Target,
    output: &mut Output,
) -> Result<(), Error> {
    if ids.len() > 1 && !args.dry_run && !args.yes {
        ask(&ids.len().to_string(), target)?;
    }
    let (mut ended, mut missing) = (0, 0);
    for id in ids {
        let record = match find(&**store, id, target).await {
            Ok(record) => record,
            Err(Error::NoSuchSession { .. }) if ids.len() > 1 => {
                missing += 1;
                continue;
            }
            Err(error) => return Err(partly(ended, error)),
        };
        if args.dry_run {
            output.session(&record.summary)?;
            ended += 1;
            continue;
        }
        ended += u64::from(end(&**store, *id, record.user().cloned()).await.map_err(|error| partly(ended, error))?);
    }
    report(output, args.dry_run, ended)?;
    match missing {
        0 => Ok(()),
        missing => Err(Error::SomeMissing { missing, given: ids.len(), namespace: target.namespace.clone() }),
    }
}

async fn by_filter(
    args: &Revoke,
    store: &Arc<dyn SessionStore>,
    target: &Target,
    output: &mut Output,
) -> Result<(), Error> {
    let filter = Filter::new(&args.filters, target.began);
    if args.dry_run {
        let found = show(&**store, &filter, u64::MAX, target.pace, output).await?;
        return report(output, true, found.shown);
    }
    if !args.yes {
        let found = matching(&**store, &filter, target.pace).await?;
        match (found.sessions, found.first) {
            (0, _) => {
                explain_nothing(&**store, target).await?;
                return report(output, false, 0);
            }
            // That one, whatever matches by now: nobody is asked.
            (1, Some((id, user))) => return report(output, false, u64::from(end(&**store, id, user).await?)),
            (sessions, _) => ask(&sessions.to_string(), target)?,
        }
    }
    let ended = match &filter.user {
        // In one step: whoever logs in meanwhile is not missed.
        Some(user) if filter.is_of_user_alone() => {
            let ended = again(|| store.delete_by_user(user, None, now())).await;
            ended.map_err(Error::at("end the sessions of the user"))?.ids().len() as u64
        }
        Some(_) | None => end_matching(&**store, &filter, target.pace).await?,
    };
    if ended == 0 {
        explain_nothing(&**store, target).await?;
    }
    report(output, false, ended)
}

/// # Errors
/// If nobody says yes.
fn ask(sessions: &str, target: &Target) -> Result<(), Error> {
    let question = format!("End {sessions} sessions of `{}` at {}?", target.namespace, target.location());
    if confirm(&question) { Ok(()) } else { Err(Error::Unconfirmed(sessions.to_owned())) }
}

async fn explain_nothing(store: &dyn SessionStore, target: &Target) -> Result<(), Error> {
    let why = if is_empty(store).await? { EMPTY } else { "no session matches" };
    note(&format!("`{}`: {why}", target.namespace));
    Ok(())
}

/// What matches.
#[derive(Default)]
struct Matching {
    sessions: u64,
    /// One of them that can be read.
    first: Option<(SessionId, Option<UserId>)>,
}

async fn matching(store: &dyn SessionStore, filter: &Filter, pace: Pace) -> Result<Matching, Error> {
    let (mut found, progress) = (Matching::default(), Progress::new("read"));
    let mut pages = Pages::new(store, filter.user.as_ref(), pace);
    while let Some(page) = pages.next().await? {
        progress.read(&page);
        for session in page.sessions.iter().filter(|session| filter.matches(session)) {
            found.sessions += 1;
            found.first.get_or_insert_with(|| (session.id, session.user().cloned()));
        }
        if filter.user.is_some() && filter.is_of_user_alone() {
            found.sessions += page.unreadable.len() as u64;
        }
    }
    Ok(found)
}

/// Ends what matches, page by page: so memory is that of a page, and what matches only when its page is read ends, too.
async fn end_matching(store: &dyn SessionStore, filter: &Filter, pace: Pace) -> Result<u64, Error> {
    let (mut ended, mut unreadable, progress) = (0, 0, Progress::new("ended"));
    let mut pages = Pages::new(store, filter.user.as_ref(), pace);
    loop {
        let page = match pages.next().await {
            Ok(Some(page)) => page,
            Ok(None) => break,
            Err(error) => return Err(partly(ended, error)),
        };
        unreadable += page.unreadable.len();
        let matching = page.sessions.into_iter().filter(|session| filter.matches(session));
        let ends = matching.map(|session| end(store, session.id, session.user().cloned()));
        let mut ends = futures::stream::iter(ends).buffer_unordered(pace.ended);
        loop {
            match ends.try_next().await {
                Ok(Some(is_ended)) => {
                    ended += u64::from(is_ended);
                    progress.add(u64::from(is_ended));
                }
                Ok(None) => break,
                Err(error) => return Err(partly(ended, error)),
            }
        }
    }
    if unreadable > 0 {
        note(&format!(
            "{unreadable} sessions cannot be read, of another release or damaged, and were left: `revoke --user` ends those \
             of a user, too"
        ));
    }
    Ok(ended)
}

/// Ends one session. Whether it was there.
async fn end(store: &dyn SessionStore, id: SessionId, user: Option<UserId>) -> Result<bool, Error> {
    let outcome = again(|| store.delete(&id, user.as_ref())).await.map_err(Error::at("end a session"))?;
    Ok(outcome == DeleteOutcome::Deleted)
}
