//! [`SessionHandle`]: a session after its response was sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::SessionManager;
use crate::decide::verdict::{Access, LoadedSession, Verdict, verdict};
use crate::error::Error;
use crate::event::Expiry;
use crate::model::id::{SessionId, UserId};
use crate::model::record::Record;
use crate::session::Session;
use crate::store::contract::Freshness;

/// How often a session is loaded that somebody waits for the end of.
const POLL: Duration = Duration::from_secs(1);

/// A session as a socket, a stream or a job has it, which go on after the response to their request was sent: made by
/// [`SessionManager::handle`]. Cheap to clone.
///
/// What it may do is what can be done without an answer to the client: read and write values, record activity, log out, and
/// learn that the session has ended. It renews no token, so the cookie of the browser stays what it is; it neither logs in
/// nor steps up. It belongs to the session, not to the token that its request came with: it works until the session ends.
///
/// ```
/// # use session_core::{Error, Key, SessionHandle};
/// const UNREAD: Key<u64> = Key::new("unread");
///
/// async fn message_arrived(session: &SessionHandle) -> Result<Option<u64>, Error> {
///     // Counts as activity of the user.
///     let current = session.open().await?;
///     current.update(UNREAD, |unread| *unread += 1)?;
///     session.commit(&current).await?;
///     current.get(UNREAD)
/// }
///
/// async fn serve(session: SessionHandle) {
///     tokio::select! {
///         () = session.ended() => { /* logged out, revoked or expired: close the socket */ }
///         // () = messages(&session) => {}
///     }
/// }
/// ```
#[derive(Clone)]
pub struct SessionHandle {
    manager: SessionManager,
    session: Arc<LoadedSession>,
}

impl SessionManager {
    /// What a socket, a stream or a job takes along from the `session` of its request. `None` if nothing is stored.
    #[must_use]
    pub fn handle(&self, session: &Session) -> Option<SessionHandle> {
        let session = session.state().loaded.clone()?;
        Some(SessionHandle { manager: self.clone(), session })
    }
}

impl SessionHandle {
    /// The id of the session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.session.record.id()
    }

    /// Its user; `None` for a visitor. Never changes: a login begins another session.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.session.record.user()
    }

    /// The session as it is stored now, to be read, and changed with [`commit`](Self::commit). One round trip.
    ///
    /// # Errors
    /// [`Error::Gone`] if it has ended, [`Error::Store`] if the store failed, or if sessions are kept by their clients, which
    /// cannot be reached any more. What is written to it meets [`Error::ResponseSent`] where that needs an answer to the
    /// client: login, step-up, regeneration.
    pub async fn open(&self) -> Result<Session, Error> {
        let _ = self.manager.inner.backing.store()?;
        let record = self.current().await?.ok_or(Error::Gone)?;
        let session = self.manager.session(Some(Arc::new(LoadedSession { record, access: Access::Handle })), None);
        session.state().is_handle = true;
        Ok(session)
    }

    /// Writes what was changed in a session that was [opened](Self::open), and records activity unless it
    /// [is passive](Session::set_passive). At most one round trip, unless another request changed the session at the same time.
    ///
    /// # Errors
    /// As [`SessionManager::commit`].
    pub async fn commit(&self, session: &Session) -> Result<(), Error> {
        self.manager.commit(session).await
    }

    /// Records activity of the user, so that the session does not become idle. One round trip, two if activity is due to be
    /// written.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn touch(&self) -> Result<(), Error> {
        self.commit(&self.open().await?).await
    }

    /// Whether the session is still alive. One round trip; none for a client-side session without a deny list.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not ended.
    pub async fn is_live(&self) -> Result<bool, Error> {
        Ok(self.current().await?.is_some())
    }

    /// Completes when the session has ended: at once if this process ended it, within about a second if another did, or a
    /// deadline passed. As long as the store fails, it is not known to have ended.
    ///
    /// Costs one load a second for each session that somebody waits for in this process, however many do. To be awaited in a
    /// tokio runtime.
    pub async fn ended(&self) {
        loop {
            let (mut ended, watch) = self.manager.inner.watches.subscribe(self.id());
            if let Some(watch) = watch {
                tokio::spawn(poll(self.clone(), watch));
            }
            // An error: the runtime of the task that looked has ended.
            if ended.wait_for(|ended| *ended).await.is_ok() {
                return;
            }
        }
    }

    async fn current(&self) -> Result<Option<Record>, Error> {
        match &self.session.access {
            Access::Seal => {
                let record = &self.session.record;
                // The client may have a newer state, in which it was active later.
                let verdict = verdict(&record.summary, self.manager.policy(), self.manager.now());
                let is_live = matches!(verdict, Verdict::Live | Verdict::Expired(Expiry::Idle));
                Ok((is_live && !self.manager.is_denied(&record.id()).await?).then(|| record.clone()))
            }
            Access::Token(..) | Access::Handle => self.manager.load_handled(&self.session.record).await,
        }
    }
}

impl SessionManager {
    /// The session of `before` as it is now, unless it has ended: whoever has a handle need not show a token again.
    pub(super) async fn load_handled(&self, before: &Record) -> Result<Option<Record>, Error> {
        let record = self.load(before.id(), Freshness::Latest).await?;
        Ok(record.filter(|record| {
            let is_live = verdict(&record.summary, self.policy(), self.now()) == Verdict::Live;
            is_live && record.user() == before.user() && record.summary.created_at == before.summary.created_at
        }))
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle").field("authenticated", &self.user().is_some()).finish_non_exhaustive()
    }
}

async fn poll(handle: SessionHandle, watch: Arc<watch::Sender<bool>>) {
    let watches = &handle.manager.inner.watches;
    // At once, for a session that has ended already, then in time.
    loop {
        if let Ok(false) = handle.is_live().await {
            return watches.end(&handle.id());
        }
        tokio::time::sleep(POLL).await;
        if *watch.borrow() || watches.is_abandoned(&handle.id(), &watch) {
            return;
        }
    }
}
