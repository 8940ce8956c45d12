//! OpenID Connect back-channel logout: a provider ends its session, and the sessions here that began in it end too.

use super::SessionManager;
use crate::decide::verdict::{Verdict, verdict};
use crate::error::{Error, StoreError, StoreErrorKind};
use crate::event::Termination;
use crate::model::id::UserId;
use crate::model::reserved::ProviderSession;
use crate::store::contract::{DeleteOutcome, Freshness};

impl SessionManager {
    /// Ends the sessions of `user` that began in the session `sid` of the OpenID provider `issuer`, as
    /// [`Login::provider_session`](crate::Login::provider_session) said, cookies and refresh tokens alike. For a logout token with
    /// `sub` and `sid` (OpenID Connect Back-Channel Logout 1.0), which the application has verified. Returns how many of
    /// them were alive.
    ///
    /// Round trips: one for the list, one for each session of the user, one for each that ends. A user has
    /// [few](crate::SessionLimit).
    ///
    /// | the logout token has | call |
    /// |---|---|
    /// | `sub` and `sid` | this |
    /// | `sub` alone | [`revoke_all`](Self::revoke_all): the provider ended all that it has of the user |
    /// | `sid` alone | nothing. Stores find sessions by id and by user: a third way would cost each login and each logout a write, for the few providers that leave out `sub`. Answer 400, or keep the user of each `sid` in a table of your own |
    ///
    /// A login that is still under way when this is called is not seen. A provider begins nothing in a session that it has
    /// ended, but an ID token that it issued before may arrive after the logout token. Where that matters, remember the `sid`
    /// for as long as an ID token may take, and refuse its login.
    ///
    /// # Errors
    /// [`Error::Store`]: not all of them may have ended. Repeat the call: it is idempotent. Of the kind
    /// [`Corrupt`](StoreErrorKind::Corrupt) if a session of the user cannot be read, by this version at least, so that it may be
    /// one of them: all others have ended then, and `revoke_all` ends that one too. Of the kind
    /// [`Unsupported`](StoreErrorKind::Unsupported) for client-side sessions, with a deny list or without: nobody can list them.
    pub async fn revoke_provider_session(&self, user: &UserId, issuer: &str, sid: &str) -> Result<usize, Error> {
        let (manager, user, ended) = (self.clone(), user.clone(), ProviderSession::new(issuer, sid));
        self.persist(async move { manager.revoke_begun_in(&user, ended).await }).await
    }

    async fn revoke_begun_in(&self, user: &UserId, ended: ProviderSession) -> Result<usize, Error> {
        let listing = self.list_stored(user).await?;
        // Reported already.
        let mut unreadable = (!listing.unreadable.is_empty()).then(|| {
            let detail = "a session of the user cannot be read, and may be one that should end";
            StoreError::new(StoreErrorKind::Corrupt, detail).in_context(self.inner.backing.name(), "list_by_user")
        });
        let mut number = 0;
        for session in listing.sessions {
            let record = match self.load(session.id, Freshness::Latest).await {
                Ok(record) => record,
                Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt => {
                    unreadable = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(record) = record.filter(|record| record.user() == Some(user)) else { continue };
            match ProviderSession::read(&record.data).map_err(|error| self.store_failed("load", error)) {
                Ok(Some(began_in)) if began_in == ended => {}
                Ok(_) => continue,
                Err(Error::Store(error)) => {
                    unreadable = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            let was_alive = verdict(&record.summary, self.policy(), self.now()) == Verdict::Live;
            let outcome = self.terminate(&record, Termination::Revoked).await?;
            number += usize::from(was_alive && outcome == DeleteOutcome::Deleted);
        }
        unreadable.map_or(Ok(number), |error| Err(Error::Store(error)))
    }
}
