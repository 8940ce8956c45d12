//! One HTTP request and its session: what every adapter needs, without HTTP types.

use std::array;
use std::fmt;
use std::iter::Flatten;
use std::pin::Pin;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::plain_http::DroppedCookie;
use super::rejection::RejectionKind;
use crate::error::Error;
use crate::event::RequestContext;
use crate::manager::SessionManager;
use crate::manager::background::Persistent;
use crate::manager::handle::SessionHandle;
use crate::model::id::UserId;
use crate::model::summary::Assurance;
use crate::policy::caching::{ClearSiteData, NO_STORE};
use crate::policy::cookie::{PresentedCookie, SetCookie};
use crate::session::{HandedOut, Session};

/// The method, target and headers of a request. An adapter implements it for the types of its framework; everything in
/// [`adapter`](crate::adapter) that reads a request reads it through this.
pub trait RequestHead {
    /// The method as it was sent: `GET`, not `get`.
    fn method(&self) -> &str;

    /// The path of the request target, without the query, as it was sent.
    fn path(&self) -> &str;

    /// The path of the request target as the client sent it, where a router has cut off the beginning of [`path`](Self::path).
    fn target_path(&self) -> &str {
        self.path()
    }

    /// Host and port of the request target, where it has them: over HTTP/2 and in requests to a proxy.
    fn authority(&self) -> Option<&[u8]>;

    /// All values of a header in the order they were sent. `name` is in lower case.
    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]>;

    /// Adds to the context of an event what only the adapter knows: the address of the client, the id of the request.
    fn describe(&self, context: &mut RequestContext);
}

/// A header that may occur once at most.
#[derive(Clone, Copy)]
pub(super) enum Field<'h> {
    Absent,
    One(&'h [u8]),
    Repeated,
}

impl<'h> Field<'h> {
    pub(super) fn of(request: &'h impl RequestHead, name: &'static str) -> Self {
        let mut values = request.values(name);
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

/// The session of one request, loaded when it is first asked for. Cheap to clone.
///
/// An adapter makes one from the `Cookie` header, hands it to extractors, and calls [`finish`](Self::finish) before it
/// sends the response head. A request that never asks for its session costs no store call.
#[derive(Clone)]
pub struct RequestSession {
    inner: Arc<Inner>,
}

struct Inner {
    manager: SessionManager,
    presented: PresentedCookie,
    /// If the browser will drop the cookie of the response.
    dropped: Option<DroppedCookie>,
    session: OnceCell<Session>,
    consulted: AtomicBool,
    finished: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The request was given up before it was finished.
        if !*self.finished.get_mut()
            && let Some(session) = self.session.get()
        {
            session.lose_receiver();
        }
    }
}

/// What the response must carry. An adapter sets these headers whatever else the response holds.
#[derive(Debug, Default)]
#[must_use]
pub struct ResponseHeaders {
    /// `Set-Cookie`. With it goes `Cache-Control: private, no-store`, replacing any other; the one never without the other.
    pub set_cookie: Option<SetCookie>,
    /// Removals of cookies that were used before: see [`CookiePolicyBuilder::formerly`](crate::CookiePolicyBuilder::formerly).
    pub removed_cookies: Vec<SetCookie>,
    /// Whether the response depends on the cookie: `Vary: Cookie`.
    pub vary_cookie: bool,
    /// `Cache-Control`, where the application says nothing itself: `private, no-store`, or as the
    /// [policy](crate::PolicyBuilder::authenticated_caching) says. There is one if the session was asked for and a user was
    /// logged in when it was loaded or after any commit of this request, or if the request logged out.
    pub cache_control: Option<&'static str>,
    /// `Clear-Site-Data`, where the application sets none itself: if the request logged out and the
    /// [policy](crate::PolicyBuilder::clear_site_data) wants it.
    pub clear_site_data: Option<&'static str>,
    /// `Refresh: 0`: see [`Remedy::reloads`](crate::adapter::Remedy::reloads).
    pub refresh: bool,
}

impl RequestSession {
    /// The session of a request that presented this.
    #[must_use]
    pub fn new(manager: SessionManager, presented: PresentedCookie) -> Self {
        Self::expecting(manager, presented, None)
    }

    pub(super) fn expecting(
        manager: SessionManager,
        presented: PresentedCookie,
        dropped: Option<DroppedCookie>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                manager,
                presented,
                dropped,
                session: OnceCell::new(),
                consulted: AtomicBool::new(false),
                finished: AtomicBool::new(false),
            }),
        }
    }

    /// The manager this request belongs to.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        &self.inner.manager
    }

    /// The session; loaded at the first call, at most once. Costs what [`SessionManager::open`] costs. After the request was
    /// finished, it can be read and no longer changed.
    ///
    /// # Errors
    /// As [`SessionManager::open`]. Nothing is kept then; asking again tries again.
    pub async fn session(&self) -> Result<&Session, Error> {
        let inner = &self.inner;
        inner.consulted.store(true, Ordering::Relaxed);
        let adopted = |session: Session| {
            session.state().has_adapter = true;
            session
        };
        if let (None, PresentedCookie::Nothing) = (inner.session.get(), &inner.presented) {
            // There is nothing to wait for. Fails if another task does the same.
            let _ = inner.session.set(adopted(inner.manager.open_nothing()));
        }
        let session = match inner.session.get() {
            Some(session) => session,
            None => {
                let open = || async { inner.manager.open(&inner.presented).await.map(adopted) };
                inner.session.get_or_try_init(open).await?
            }
        };
        // Either this sees that the request is finished, or what finishes it sees the session.
        fence(Ordering::SeqCst);
        if inner.finished.load(Ordering::Relaxed) {
            session.state().is_closed = true;
        }
        Ok(session)
    }

    /// Commits the session if it was asked for, and ends the request: the session cannot be changed any more.
    ///
    /// The headers belong on the response whether or not the commit succeeded: there is a cookie only if its session was
    /// committed, here or earlier in the request.
    pub async fn finish(&self) -> (Result<(), Error>, ResponseHeaders) {
        match self.finish_unchanged() {
            Some(headers) => (Ok(()), headers),
            None => self.finish_changed().await,
        }
    }

    /// [`finish`](Self::finish), if a commit would be a no-op: the session was not asked for, or it was only read and no
    /// activity is to be recorded. Else `None`, and nothing is done. For adapters, which need not await anything then.
    #[must_use]
    pub fn finish_unchanged(&self) -> Option<ResponseHeaders> {
        let session = match self.inner.session.get() {
            Some(session) => session,
            None => match self.finished_session() {
                Some(session) => session,
                None => return Some(self.headers(HandedOut::default())),
            },
        };
        session.close_if_settled().map(|handed_out| self.headers(handed_out))
    }

    /// [`finish`](Self::finish), after [`finish_unchanged`](Self::finish_unchanged) has returned `None`. Dropped once it has
    /// begun, it is finished in the background.
    pub fn finish_changed(&self) -> Finish {
        let commit = self.finished_session().map(|session| {
            session.state().is_closed = true;
            self.inner.manager.commit_changes(session)
        });
        Finish { request: self.clone(), commit, is_handed_out: false }
    }

    fn finished_session(&self) -> Option<&Session> {
        self.inner.finished.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.inner.session.get()
    }

    fn headers(&self, HandedOut { cookie, remedy, had_user, logged_out }: HandedOut) -> ResponseHeaders {
        if !self.inner.consulted.load(Ordering::Relaxed) {
            return ResponseHeaders::default();
        }
        let policy = self.inner.manager.policy();
        if let (Some(_), Some(dropped)) = (&cookie, &self.inner.dropped) {
            dropped.report();
        }
        let clears = logged_out && policy.clear_site_data() == ClearSiteData::AtLogout;
        let mut removed_cookies = if cookie.is_some() { policy.cookie().remove_former() } else { Vec::new() };
        removed_cookies.extend(remedy.removes);
        ResponseHeaders {
            set_cookie: cookie,
            removed_cookies,
            vary_cookie: true,
            cache_control: match (logged_out, had_user) {
                (true, _) => Some(NO_STORE),
                (false, true) => Some(policy.authenticated_caching().cache_control()),
                (false, false) => None,
            },
            clear_site_data: clears.then_some(CLEARED),
            refresh: remedy.reloads,
        }
    }
}

/// The end of a request: returned by [`RequestSession::finish_changed`].
#[must_use]
pub struct Finish {
    request: RequestSession,
    commit: Option<Persistent<Result<(), Error>>>,
    is_handed_out: bool,
}

impl Drop for Finish {
    fn drop(&mut self) {
        if !self.is_handed_out
            && let Some(session) = self.request.inner.session.get()
        {
            session.lose_receiver();
        }
    }
}

impl Future for Finish {
    type Output = (Result<(), Error>, ResponseHeaders);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.commit {
            Some(commit) => ready!(Pin::new(commit).poll(context)),
            None => Ok(()),
        };
        self.is_handed_out = true;
        let session = self.request.inner.session.get();
        let mut handed_out = session.map(|session| session.state().hand_out()).unwrap_or_default();
        if matches!(outcome, Err(Error::Gone)) {
            // The cookie of a session that ended could only overwrite that of a login under way.
            handed_out.cookie = None;
        }
        Poll::Ready((outcome, self.request.headers(handed_out)))
    }
}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finish").finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSession").field("loaded", &self.inner.session.initialized()).finish_non_exhaustive()
    }
}

/// One change to the headers of a response. Names are in lower case.
#[derive(Clone, Copy, Debug)]
pub enum HeaderEdit<'h> {
    /// Adds a value and keeps the others.
    Append(&'static str, &'static str),
    /// Replaces all values.
    Set(&'static str, &'static str),
    /// Removes all values.
    Remove(&'static str),
    /// Appends to `Set-Cookie`, beside the cookies of the application. A secret: mark it so where the framework can.
    AppendCookie(&'h SetCookie),
}

/// Edits in the order they are to be applied. Allocates nothing.
#[derive(Clone, Debug)]
pub struct HeaderEdits<'h> {
    edits: Flatten<array::IntoIter<Option<HeaderEdit<'h>>, 7>>,
    removed_cookies: slice::Iter<'h, SetCookie>,
}

impl<'h> HeaderEdits<'h> {
    pub(super) fn new(edits: [Option<HeaderEdit<'h>>; 7], removed_cookies: &'h [SetCookie]) -> Self {
        Self { edits: edits.into_iter().flatten(), removed_cookies: removed_cookies.iter() }
    }
}

impl<'h> Iterator for HeaderEdits<'h> {
    type Item = HeaderEdit<'h>;

    fn next(&mut self) -> Option<HeaderEdit<'h>> {
        self.edits.next().or_else(|| self.removed_cookies.next().map(HeaderEdit::AppendCookie))
    }
}

/// Never cookies: browsers would remove those of all subdomains.
const CLEARED: &str = "\"cache\", \"storage\"";

impl ResponseHeaders {
    /// Whether there is nothing to set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { set_cookie, removed_cookies, vary_cookie, cache_control, clear_site_data, refresh } = self;
        set_cookie.is_none()
            && removed_cookies.is_empty()
            && !vary_cookie
            && cache_control.is_none()
            && clear_site_data.is_none()
            && !refresh
    }

    /// What to change in a response. `present` gives the values that it has of a header, whose name is in lower case.
    ///
    /// The application's `Cache-Control` stays, except beside a cookie: a cached copy of that response would hand the session
    /// to others. Where ours is set, the headers go that would overrule it in shared caches (RFC 9213 and its predecessor).
    pub fn edits<'v, V>(&self, present: impl Fn(&'static str) -> V) -> HeaderEdits<'_>
    where
        V: IntoIterator<Item = &'v [u8]>,
    {
        let unless_present = |name, value: Option<&'static str>| {
            value.filter(|_| present(name).into_iter().next().is_none()).map(|value| HeaderEdit::Set(name, value))
        };
        let vary = if self.vary_cookie { vary(present("vary"), "Cookie") } else { None };
        let cookie = self.set_cookie.as_ref().map(HeaderEdit::AppendCookie);
        let cache_control = match cookie {
            Some(_) => Some(HeaderEdit::Set("cache-control", NO_STORE)),
            None => unless_present("cache-control", self.cache_control),
        };
        let beside = |edit| cache_control.map(|_| edit);
        let edits = [
            vary,
            cookie,
            cache_control,
            beside(HeaderEdit::Remove("cdn-cache-control")),
            beside(HeaderEdit::Remove("surrogate-control")),
            unless_present("clear-site-data", self.clear_site_data),
            self.refresh.then_some(HeaderEdit::Set("refresh", "0")),
        ];
        HeaderEdits::new(edits, &self.removed_cookies)
    }
}

/// Adds `name` to `Vary`, unless the values `present` contain it, or `*`.
#[must_use]
pub fn vary<'v>(present: impl IntoIterator<Item = &'v [u8]>, name: &'static str) -> Option<HeaderEdit<'static>> {
    let mut fields = present.into_iter().flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let is_present = fields.any(|field| field == b"*" || field.eq_ignore_ascii_case(name.as_bytes()));
    (!is_present).then_some(HeaderEdit::Append("vary", name))
}

/// The session of a logged-in user, as it is stored. No round trip, unless this request has logged in before and nothing has
/// committed it: then this does, because what is not stored has neither an id nor a [`SessionHandle`].
///
/// # Errors
/// [`RejectionKind::Unauthenticated`] if no user is logged in; where there is something to commit, what keeps it from that.
pub async fn require_user(
    manager: &SessionManager,
    session: &Session,
) -> Result<(UserId, SessionHandle), RejectionKind> {
    let user = session.user().ok_or(RejectionKind::Unauthenticated)?;
    if let Some(handle) = handle_of(manager, session, &user) {
        return Ok((user, handle));
    }
    // Boxed, as what is rare: every other request would carry it along.
    Box::pin(manager.commit(session)).await?;
    let handle = handle_of(manager, session, &user).ok_or(RejectionKind::Gone)?;
    Ok((user, handle))
}

/// The handle of the session as it is stored, if it is this user's. No round trip.
#[must_use]
pub fn handle_of(manager: &SessionManager, session: &Session, user: &UserId) -> Option<SessionHandle> {
    manager.handle(session).filter(|handle| handle.user() == Some(user))
}

/// Checks that the user authenticated at `level` or above less than `max_age` ago.
///
/// Reloads the session first, so that neither an earlier load nor a cached copy lets a revoked session pass. One round
/// trip.
///
/// # Errors
/// [`RejectionKind::ReauthenticationRequired`] if it was too long ago or at a lower level,
/// [`RejectionKind::Unauthenticated`] if no user is logged in, [`RejectionKind::Gone`] if the session ended meanwhile,
/// [`RejectionKind::StoreUnavailable`] if the store failed.
pub async fn require_fresh(
    manager: &SessionManager,
    session: &Session,
    max_age: Duration,
    level: Assurance,
) -> Result<(), RejectionKind> {
    manager.reload(session).await?;
    match session.user() {
        None => Err(RejectionKind::Unauthenticated),
        Some(_) if session.is_fresh(max_age, level) => Ok(()),
        Some(_) => Err(RejectionKind::ReauthenticationRequired),
    }
}
