//! The extractors: [`Session`], [`Authenticated`], [`Fresh`].

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use session_core::adapter::{RejectionKind, handle_of, require_fresh, require_user};
use session_core::{Assurance, Error, SessionHandle, SessionId, SessionManager, UserId};

use crate::LocalBoxFuture;
use crate::config::{Inside, SessionOfRequest};
use crate::refusal::log_missing;
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
/// [`SessionMiddleware`](crate::SessionMiddleware) around the route, and only then. The first time in each worker, an error in
/// the log says so.
///
/// # Errors
/// [`RejectionKind::LayerMissing`] without a [`SessionMiddleware`](crate::SessionMiddleware) around the route. If the store
/// failed, it does not return: the request is [answered](crate#a-store-that-fails-makes-nobody-a-visitor) with
/// [`RejectionKind::StoreUnavailable`], or [`RejectionKind::Superseded`] as [`SessionManager::open`] says.
#[derive(Clone)]
pub struct Session {
    session: session_core::Session,
    request: SessionOfRequest,
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
    /// use actix_web::rt;
    /// use actix_web::web::Payload;
    /// use actix_web::{HttpRequest, HttpResponse};
    /// use actix_ws::{AggregatedMessage, AggregatedMessageStream};
    /// use session_actix::Authenticated;
    /// use session_core::SessionHandle;
    ///
    /// const MAX_MESSAGE: usize = 4096;
    ///
    /// async fn socket(user: Authenticated, request: HttpRequest, body: Payload) -> Result<HttpResponse, actix_web::Error> {
    ///     let session = user.handle();
    ///     let (response, socket, messages) = actix_ws::handle(&request, body)?;
    ///     // A message in several frames is one message.
    ///     let messages = messages.max_frame_size(MAX_MESSAGE).aggregate_continuations().max_continuation_size(MAX_MESSAGE);
    ///     rt::spawn(echo(socket, messages, session));
    ///     Ok(response)
    /// }
    ///
    /// async fn echo(mut socket: actix_ws::Session, mut messages: AggregatedMessageStream, session: SessionHandle) {
    ///     loop {
    ///         let message = tokio::select! {
    ///             () = session.ended() => break,
    ///             message = messages.recv() => message,
    ///         };
    ///         let Some(Ok(AggregatedMessage::Text(text))) = message else { break };
    ///         // Opening it is activity; whoever only reads opens it and commits nothing.
    ///         let Ok(current) = session.open().await else { break };
    ///         if session.commit(&current).await.is_err() || socket.text(text).await.is_err() {
    ///             break;
    ///         }
    ///     }
    ///     let _ = socket.close(None).await;
    /// }
    /// ```
    ///
    /// Server-sent events until the session ends. To watch is no activity, so the session does not live for it:
    ///
    /// ```
    /// use actix_web::HttpResponse;
    /// use actix_web::web::Bytes;
    /// use futures::stream::{self, StreamExt as _};
    /// use session_actix::Authenticated;
    ///
    /// async fn events(user: Authenticated) -> HttpResponse {
    ///     user.set_passive();
    ///     let session = user.handle();
    ///     let news = stream::pending().take_until(async move { session.ended().await });
    ///     let end = Bytes::from_static(b"data: signed out\n\n");
    ///     let events = news.chain(stream::once(async { Ok::<_, actix_web::Error>(end) }));
    ///     HttpResponse::Ok().content_type("text/event-stream").streaming(events)
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

    /// The session of the [`SessionMiddleware`](crate::SessionMiddleware) around the one that this session belongs to; `None`
    /// if there is none. Costs what [`Session`] costs.
    ///
    /// ```
    /// use session_actix::{Authenticated, Rejection};
    ///
    /// /// A page of the back office, which knows the shop's customer in the same browser, too.
    /// async fn office(clerk: Authenticated) -> Result<String, Rejection> {
    ///     let customer = clerk.outer().await?.and_then(|shop| shop.user());
    ///     Ok(format!("{} also shops here: {}", clerk.user().as_str(), customer.is_some()))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RejectionKind::StoreUnavailable`] if the store failed, [`RejectionKind::Superseded`] as [`SessionManager::open`] says.
    pub async fn outer(&self) -> Result<Option<Self>, Rejection> {
        match &self.request.outer {
            Some(outer) => Ok(Some(Self::of(outer).await?)),
            None => Ok(None),
        }
    }

    async fn of(request: &SessionOfRequest) -> Result<Self, Rejection> {
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

impl FromRequest for Session {
    type Error = Rejection;
    type Future = LocalBoxFuture<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(extract(request.clone(), &[], async |session| Ok(session)))
    }
}

/// What `of` makes of the session of the request. Rejections that only say that there is no such thing are `absent`; after any
/// other this does not return.
pub(crate) async fn extract<T>(
    request: HttpRequest,
    absent: &[RejectionKind],
    of: impl AsyncFnOnce(Session) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let Some(Inside { session, refuser, .. }) = Inside::of(&request) else {
        thread_local! {
            static LOGGED: Cell<bool> = const { Cell::new(false) };
            // On its own, because an `Option<Session>` is often meant to be `None`, one of a user never.
            static LOGGED_OF_USERS: Cell<bool> = const { Cell::new(false) };
        }
        let rejection = Rejection::from(RejectionKind::LayerMissing);
        log_missing(if absent.is_empty() { &LOGGED } else { &LOGGED_OF_USERS }, &request, &rejection);
        return Err(rejection);
    };
    let extracted = async { of(Session::of(&session).await?).await };
    match extracted.await {
        Err(rejection) if !absent.contains(&rejection.kind()) => Err(refuser.refuse(&request, rejection).await),
        extracted => extracted,
    }
}

/// The session of a logged-in user. Dereferences to [`Session`].
///
/// Costs what [`Session`] costs; and a commit, if this request has logged in before and nothing has committed it yet, so that the
/// session has an [id](Self::id). A login that waits for a second factor is not one yet: keep its state as a value of
/// the anonymous session, and log in when the last factor is proved.
///
/// As `Option<Authenticated>`, for routes that also work for visitors: `None` if no user is logged in. A store that failed
/// ends the request. A missing [`SessionMiddleware`](crate::SessionMiddleware) does not, because there is nothing that could end
/// it: then everybody is a visitor. The first time in each worker, an error in the log says so. (With session-tower it is an
/// error, 500.)
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

    async fn of(session: Session) -> Result<Self, Rejection> {
        let (user, stored) = require_user(session.manager(), &session).await?;
        Ok(Self { session, user, stored })
    }
}

impl Deref for Authenticated {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl FromRequest for Authenticated {
    type Error = Rejection;
    type Future = LocalBoxFuture<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(extract(request.clone(), &[RejectionKind::Unauthenticated], Self::of))
    }
}

/// The session of a user who authenticated less than `MAX_AGE_SECS` seconds ago, by a login or a
/// [`step_up`](session_core::Session::step_up): for sensitive actions. Dereferences to [`Authenticated`].
///
/// Costs one round trip more than [`Authenticated`], see [`require_fresh`](Authenticated::require_fresh).
///
/// `Option<Fresh>` is `None` if that was too long ago, if no user is logged in, or if the session ended meanwhile. A store that
/// failed ends the request; a missing [`SessionMiddleware`](crate::SessionMiddleware) does not, as with [`Authenticated`].
///
/// # Errors
/// [`RejectionKind::ReauthenticationRequired`] at that age or above, [`RejectionKind::Gone`] if the session ended meanwhile; else
/// as [`Authenticated`].
///
/// ```
/// use session_actix::Fresh;
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

impl<const MAX_AGE_SECS: u64> FromRequest for Fresh<MAX_AGE_SECS> {
    type Error = Rejection;
    type Future = LocalBoxFuture<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let absent = &[RejectionKind::ReauthenticationRequired, RejectionKind::Unauthenticated, RejectionKind::Gone];
        Box::pin(extract(request.clone(), absent, async |session| {
            let session = Authenticated::of(session).await?;
            session.require_fresh(Duration::from_secs(MAX_AGE_SECS), Assurance::Aal1).await?;
            Ok(Self(session))
        }))
    }
}
