//! The extractors: [`Session`], [`Authenticated`], [`Fresh`].

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use session_core::adapter::{RejectionKind, handle_of, require_fresh, require_user};
use session_core::{Assurance, Error, SessionHandle, SessionId, SessionManager, UserId};

use crate::layer::RequestSessionExt;
use crate::rejection::Rejection;

/// The session of the request, anonymous or not. Dereferences to [`session_core::Session`].
///
/// Costs one round trip at the first extraction in a request that carries a token, none otherwise. What the handler
/// does to it is committed before the response is sent; there is nothing to call.
///
/// A request that is not activity of the user, such as polling or a status page, calls
/// [`set_passive`](session_core::Session::set_passive), so that it does not keep the session alive.
///
/// `Option<Session>` is for code that is also used where there are no sessions: `None` without a
/// [`SessionLayer`](crate::SessionLayer) around the route, and only then.
///
/// # Errors
/// [`RejectionKind::StoreUnavailable`] if the store failed, [`RejectionKind::Superseded`] as [`SessionManager::open`]
/// says, [`RejectionKind::LayerMissing`] without a [`SessionLayer`](crate::SessionLayer) around the route.
#[derive(Clone)]
pub struct Session {
    session: session_core::Session,
    request: RequestSessionExt,
}

impl Session {
    /// The manager: to list and revoke sessions.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        self.request.session.manager()
    }

    /// What a socket, a stream or a job takes along, which goes on after the response: see [`SessionHandle`]. `None` if nothing
    /// is stored; of a user, there always is one: [`Authenticated::handle`].
    ///
    /// A WebSocket, whose messages are activity, and which closes when the session ends:
    ///
    /// ```
    /// use axum::extract::ws::{WebSocket, WebSocketUpgrade};
    /// use axum::response::Response;
    /// use session_core::SessionHandle;
    /// use session_tower::Authenticated;
    ///
    /// async fn socket(user: Authenticated, upgrade: WebSocketUpgrade) -> Response {
    ///     let session = user.handle();
    ///     upgrade.on_upgrade(|socket| echo(socket, session))
    /// }
    ///
    /// async fn echo(mut socket: WebSocket, session: SessionHandle) {
    ///     loop {
    ///         let message = tokio::select! {
    ///             () = session.ended() => return,
    ///             Some(Ok(message)) = socket.recv() => message,
    ///             else => return,
    ///         };
    ///         // Opening it is activity; whoever only reads opens it and commits nothing.
    ///         let Ok(current) = session.open().await else { return };
    ///         if session.commit(&current).await.is_err() || socket.send(message).await.is_err() {
    ///             return;
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// Server-sent events until the session ends. To watch is no activity, so the session does not live for it:
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use axum::response::IntoResponse;
    /// use axum::response::sse::{Event, KeepAlive, Sse};
    /// use futures::stream::{self, StreamExt as _};
    /// use session_tower::Authenticated;
    ///
    /// async fn events(user: Authenticated) -> impl IntoResponse {
    ///     user.set_passive();
    ///     let session = user.handle();
    ///     let news = stream::pending().take_until(async move { session.ended().await });
    ///     let events = news.chain(stream::once(async { Ok::<_, Infallible>(Event::default().data("signed out")) }));
    ///     Sse::new(events).keep_alive(KeepAlive::default())
    /// }
    /// ```
    #[must_use]
    pub fn handle(&self) -> Option<SessionHandle> {
        self.manager().handle(&self.session)
    }

    /// Commits now, for a handler that must know the outcome before it answers: of a login under a limit, or the value
    /// that an [`update`](session_core::Session::update) led to. Costs what [`SessionManager::commit`] costs; the
    /// commit before the response is a no-op then.
    ///
    /// # Errors
    /// As [`SessionManager::commit`].
    pub async fn commit(&self) -> Result<(), Error> {
        self.manager().commit(&self.session).await
    }

    /// The session of the [`SessionLayer`](crate::SessionLayer) around the one that this session belongs to; `None` if there
    /// is none. Costs what [`Session`] costs.
    ///
    /// ```
    /// use session_tower::{Authenticated, Rejection};
    ///
    /// /// A page of the back office, which knows the shop's customer in the same browser, too.
    /// async fn office(clerk: Authenticated) -> Result<String, Rejection> {
    ///     let customer = clerk.outer().await?.and_then(|shop| shop.user());
    ///     Ok(format!("{} also shops here: {}", clerk.user().as_str(), customer.is_some()))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Session`].
    pub async fn outer(&self) -> Result<Option<Self>, Rejection> {
        match &self.request.outer {
            Some(outer) => Ok(Some(Self::of(outer).await?)),
            None => Ok(None),
        }
    }

    async fn of(request: &RequestSessionExt) -> Result<Self, Rejection> {
        let request = request.clone();
        let session = request.session.session().await?.clone();
        Ok(Self { session, request })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.session).finish()
    }
}

impl Deref for Session {
    type Target = session_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Self::of(parts.extensions.get().ok_or(RejectionKind::LayerMissing)?).await
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        none_for(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await, &[RejectionKind::LayerMissing])
    }
}

/// `None` in place of these rejections. All others stay: a store that fails makes nobody a visitor.
fn none_for<T>(extracted: Result<T, Rejection>, absent: &[RejectionKind]) -> Result<Option<T>, Rejection> {
    match extracted {
        Ok(extracted) => Ok(Some(extracted)),
        Err(rejection) if absent.contains(&rejection.kind()) => Ok(None),
        Err(rejection) => Err(rejection),
    }
}

/// The session of a logged-in user. Dereferences to [`Session`].
///
/// Costs what [`Session`] costs; and a commit, if this request has logged in before and nothing has committed it yet, so that the
/// session has an [id](Self::id). A login that waits for a second factor is not one yet: keep its state as a value of
/// the anonymous session, and log in when the last factor is proved.
///
/// As `Option<Authenticated>`, for routes that also work for visitors: `None` if no user is logged in. A store that failed
/// stays an error.
///
/// # Errors
/// [`RejectionKind::Unauthenticated`] if no user is logged in, whether there was no cookie or an unknown, expired or
/// revoked one; else as [`Session`].
#[derive(Clone, Debug)]
pub struct Authenticated {
    session: Session,
    user: UserId,
    /// The session as it was stored when it was extracted.
    stored: SessionHandle,
}

impl Authenticated {
    /// The user who was logged in when the request came.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The public handle of the user's session. After another login of this user, that of the new one once it is committed; after a
    /// logout, or a login of somebody else, that of the session which this was extracted from, and which has ended.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.handle().id()
    }

    /// What a socket, a stream or a job takes along, as [`Session::handle`] explains: the session with this [id](Self::id).
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        handle_of(self.manager(), &self.session, &self.user).unwrap_or_else(|| self.stored.clone())
    }

    /// Checks that the user authenticated at `level` or above less than `max_age` ago: for a sensitive action whose
    /// limits are known at run time only. See [`Fresh`].
    ///
    /// Reloads the session from the store, so that neither an earlier load nor a cached copy lets a revoked session
    /// pass. One round trip.
    ///
    /// # Errors
    /// [`RejectionKind::ReauthenticationRequired`] if it was too long ago or at a lower level, [`RejectionKind::Gone`] if
    /// the session ended meanwhile, [`RejectionKind::StoreUnavailable`] if the store failed.
    pub async fn require_fresh(&self, max_age: Duration, level: Assurance) -> Result<(), Rejection> {
        Ok(require_fresh(self.manager(), &self.session, max_age, level).await?)
    }
}

impl Deref for Authenticated {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let (user, stored) = require_user(session.manager(), &session).await?;
        Ok(Self { session, user, stored })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        let extracted = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await;
        none_for(extracted, &[RejectionKind::Unauthenticated])
    }
}

/// The session of a user who authenticated less than `MAX_AGE_SECS` seconds ago, by a login or a
/// [`step_up`](session_core::Session::step_up): for sensitive actions. Dereferences to [`Authenticated`].
///
/// Costs one round trip more than [`Authenticated`], see [`require_fresh`](Authenticated::require_fresh).
///
/// `Option<Fresh>` is `None` if that was too long ago, if no user is logged in, or if the session ended meanwhile. A store that
/// failed stays an error.
///
/// # Errors
/// [`RejectionKind::ReauthenticationRequired`] at that age or above; else as [`Authenticated`] and
/// [`require_fresh`](Authenticated::require_fresh).
///
/// ```
/// use session_tower::Fresh;
///
/// async fn change_password(session: Fresh<300>) -> String {
///     format!("Hello {}, which password would you like?", session.user().as_str())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Fresh<const MAX_AGE_SECS: u64>(Authenticated);

impl<const MAX_AGE_SECS: u64> Deref for Fresh<MAX_AGE_SECS> {
    type Target = Authenticated;

    fn deref(&self) -> &Authenticated {
        &self.0
    }
}

impl<S: Send + Sync, const MAX_AGE_SECS: u64> FromRequestParts<S> for Fresh<MAX_AGE_SECS> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let session = <Authenticated as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        session.require_fresh(Duration::from_secs(MAX_AGE_SECS), Assurance::Aal1).await?;
        Ok(Self(session))
    }
}

impl<S: Send + Sync, const MAX_AGE_SECS: u64> OptionalFromRequestParts<S> for Fresh<MAX_AGE_SECS> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        let extracted = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await;
        let absent = [RejectionKind::ReauthenticationRequired, RejectionKind::Unauthenticated, RejectionKind::Gone];
        none_for(extracted, &absent)
    }
}
