//! A job that goes on after its request, on behalf of a session: it writes its progress there, and ends with it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use session_kit::axum::{Authenticated, Rejection, SessionLayer};
use session_kit::{Error, Key, SessionHandle, SessionManager};
use tokio::sync::Semaphore;

const PERCENT: Key<u32> = Key::new("export");

/// Stands for the work: a quarter of it is done when there is a permit.
pub(crate) type Work = Arc<Semaphore>;

async fn start(State(work): State<Work>, session: Authenticated) -> Result<StatusCode, Rejection> {
    session.insert(PERCENT, &0)?;
    let session = session.handle();
    tokio::spawn(async move {
        tokio::select! {
            () = session.ended() => {} // the user has logged out: nobody waits for it
            outcome = export(&work, &session) => if let Err(error) = outcome {
                eprintln!("the export ended early: {error}"); // your log
            }
        }
    });
    Ok(StatusCode::ACCEPTED)
}

async fn export(work: &Semaphore, session: &SessionHandle) -> Result<(), Error> {
    for percent in [25, 50, 75, 100] {
        let Ok(permit) = work.acquire().await else { break };
        permit.forget();
        let current = session.open().await?; // as it is now; `Error::Gone` after a logout, which nothing brings back
        current.set_passive(); // a job is no activity of the user
        current.insert(PERCENT, &percent)?;
        session.commit(&current).await?;
    }
    Ok(())
}

async fn progress(session: Authenticated) -> Result<String, Rejection> {
    session.set_passive(); // nor is a page that asks by itself
    Ok(format!("{}%", session.get(PERCENT)?.unwrap_or_default()))
}

pub(crate) fn app(sessions: SessionManager, work: Work) -> Router {
    let routes = Router::new().route("/export", post(start).get(progress));
    routes.with_state(work).layer(SessionLayer::new(sessions))
}
