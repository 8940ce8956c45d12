//! [`CookieDevice`]: a browser.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Failure, Rng};
use session_core::adapter::RequestSession;
use session_core::store::Freshness;
use session_core::{Error, Key, Login, PresentedToken, Session, SessionId, SessionManager, UserId};
use tokio::task::JoinSet;

use super::cancel::{after_polls, patience};
use super::ledger::{Known, Ledger, Revoking, Scope};
use super::temper::{Temper, remember};
use super::world::World;

/// The numbers of all increments: more than a counter says, which of them is missing.
const INCREMENTS: Key<Vec<u64>> = Key::new("increments");

/// With so many increments, a session has been busy enough.
const MANY: usize = 300;

/// A browser of a user. Sends requests to any node, sometimes from several tabs at once, and sometimes gives up.
pub(super) struct CookieDevice {
    world: Arc<World>,
    pub(super) ledger: Arc<Ledger>,
    user: UserId,
    temper: Temper,
    rng: Rng,
    jar: Option<Held>,
    /// What it had in its jar when the end of the session was acknowledged.
    ended: Vec<Held>,
    /// It was told to log out, and has not succeeded yet.
    is_leaving: bool,
}

/// A cookie and the session that it is of.
#[derive(Clone)]
struct Held {
    id: SessionId,
    cookie: String,
}

/// What a request found.
#[derive(Debug)]
struct Found {
    session: Option<SessionId>,
    increments: Vec<u64>,
}

/// How a request ended for the browser.
struct Response {
    outcome: Result<Found, Error>,
    /// `Some(None)` removes the cookie.
    cookie: Option<Option<String>>,
}

impl CookieDevice {
    pub(super) fn new(world: Arc<World>, ledger: Arc<Ledger>, user: UserId, temper: Temper, rng: Rng) -> Self {
        Self { world, ledger, user, temper, rng, jar: None, ended: Vec::new(), is_leaving: false }
    }

    /// Does one thing.
    pub(super) async fn act(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.below(80))).await;
        let Some(held) = self.jar.clone() else { return self.log_in(None).await };
        if self.is_leaving {
            return self.log_out(&held).await;
        }
        match self.temper.decide(&mut self.rng) {
            0..500 => self.increment(&held).await,
            500..900 => self.read(&held).await,
            900..960 => self.try_ended().await,
            960..980 => self.list().await,
            980..985 => self.log_in(Some(held)).await,
            985..988 => self.revoke(Scope::All).await,
            988..991 => self.revoke(Scope::Others(held.id)).await,
            991..994 => self.revoke_one().await,
            _ => self.log_out(&held).await,
        }
    }

    /// Reads what is stored when all is quiet.
    pub(super) async fn check(&mut self) -> Result<(), Failure> {
        for held in self.jar.take().iter().chain(&self.ended) {
            let known = self.ledger.known(held.id);
            let cookie = Some(held.cookie.clone());
            let read = async |manager: &SessionManager| {
                request(manager.clone(), cookie.clone(), |_: &Session| Ok(())).await.outcome
            };
            let found = self.world.calm(read).await?;
            self.judge(&known, &found, "the last check");
        }
        Ok(())
    }

    /// Several tabs, which share the jar, increment at once.
    async fn increment(&mut self, held: &Held) {
        let mut tabs = JoinSet::new();
        for _ in 0..=self.rng.below(3) {
            let (manager, polls) = (self.world.any_node(&mut self.rng), patience(&mut self.rng));
            let (ledger, held) = (Arc::clone(&self.ledger), held.clone());
            tabs.spawn(async move {
                let (number, known) = (ledger.increment(), ledger.known(held.id));
                let change = move |session: &Session| {
                    // An anonymous session, if that one is gone, is left as it is.
                    if session.id().is_none() {
                        return Ok(());
                    }
                    session.update(INCREMENTS, move |increments| increments.push(number))
                };
                let response = after_polls(request(manager, Some(held.cookie), change), polls).await;
                (number, known, response)
            });
        }
        for (number, known, response) in tabs.join_all().await {
            let found = self.received(&known, response, "an increment");
            if let Some(found) = found.filter(|found| found.session == Some(known.id())) {
                self.ledger.incremented(known.id(), number);
                self.is_leaving |= found.increments.len() > MANY;
            }
        }
    }

    async fn read(&mut self, held: &Held) {
        let known = self.ledger.known(held.id);
        let response = after_polls(
            request(self.world.any_node(&mut self.rng), Some(held.cookie.clone()), |_: &Session| Ok(())),
            patience(&mut self.rng),
        )
        .await;
        let _ = self.received(&known, response, "a read");
    }

    /// A cookie of a session that ended, for instance in a tab that was forgotten.
    async fn try_ended(&mut self) {
        let at = self.rng.below(self.ended.len().max(1) as u64) as usize;
        let Some(held) = self.ended.get(at).cloned() else { return };
        let known = self.ledger.known(held.id);
        let response =
            request(self.world.any_node(&mut self.rng), Some(held.cookie.clone()), |_: &Session| Ok(())).await;
        match &response.outcome {
            Ok(found) => self.judge(&known, found, "an old tab"),
            Err(error) => self.ledger.failed(error),
        }
    }

    /// Logs in; in exchange for the present session, if there is one.
    async fn log_in(&mut self, present: Option<Held>) {
        let replaced = present.as_ref().map(|held| (self.ledger.known(held.id), self.replacing(held.id)));
        let beginning = self.ledger.beginning(&self.user);
        let login = Login::new(self.user.clone()).method("pwd").carry_over(INCREMENTS);
        let log_in = move |session: &Session| session.login(login.clone());
        let cookie = present.map(|held| held.cookie);
        let response =
            after_polls(request(self.world.any_node(&mut self.rng), cookie, log_in), patience(&mut self.rng)).await;
        let Some(Response { outcome, cookie }) = response else {
            self.ledger.cancelled();
            return self.perhaps_replaced(replaced);
        };
        let found = match outcome {
            Ok(found) => found,
            Err(error) => {
                self.ledger.failed(&error);
                return self.perhaps_replaced(replaced);
            }
        };
        self.ledger.answered();
        let Some(held) = cookie.flatten().and_then(Held::new) else {
            return self.ledger.unexpected("a login without a cookie");
        };
        let mut carried = BTreeSet::new();
        if let Some((known, replacing)) = replaced {
            self.judge(&known, &found, "a login");
            if found.session == Some(known.id()) && known.must_live() {
                carried = known.into_increments();
            }
            self.ledger.revoked(replacing);
        }
        self.ledger.begun(beginning, held.id, carried);
        let replaced = self.jar.replace(held);
        remember(&mut self.ended, replaced);
    }

    fn replacing(&self, id: SessionId) -> Revoking {
        self.ledger.revoking(&self.user, Scope::One(id))
    }

    fn perhaps_replaced(&self, replaced: Option<(Known, Revoking)>) {
        if let Some((_, replacing)) = replaced {
            self.ledger.perhaps_revoked(replacing);
        }
    }

    async fn log_out(&mut self, held: &Held) {
        self.is_leaving = true;
        let known = self.ledger.known(held.id);
        let revoking = self.ledger.revoking(&self.user, Scope::One(held.id));
        let log_out = request(self.world.any_node(&mut self.rng), Some(held.cookie.clone()), Session::logout);
        match after_polls(log_out, patience(&mut self.rng)).await {
            Some(Response { outcome: Ok(found), .. }) => {
                self.ledger.answered();
                self.judge(&known, &found, "a logout");
                self.ledger.revoked(revoking);
                remember(&mut self.ended, self.jar.take());
                self.is_leaving = false;
            }
            Some(Response { outcome: Err(error), cookie }) => {
                self.ledger.failed(&error);
                self.ledger.perhaps_revoked(revoking);
                self.keep(cookie);
            }
            None => {
                self.ledger.cancelled();
                self.ledger.perhaps_revoked(revoking);
            }
        }
    }

    async fn list(&mut self) {
        let (manager, polls) = (self.world.any_node(&mut self.rng), patience(&mut self.rng));
        let known = self.ledger.of_user(&self.user);
        match after_polls(manager.list(&self.user), polls).await {
            Some(Ok(list)) => {
                self.ledger.answered();
                self.ledger.listed(&self.user, &known, &list);
            }
            Some(Err(error)) => self.ledger.failed(&error),
            None => self.ledger.cancelled(),
        }
    }

    /// Revokes any of the user's sessions.
    async fn revoke_one(&mut self) {
        let [live, _] = self.ledger.of_user(&self.user);
        let live: Vec<SessionId> = live.into_iter().collect();
        if let Some(id) = self.rng.pick(&live) {
            self.revoke(Scope::One(id)).await;
        }
    }

    async fn revoke(&mut self, scope: Scope) {
        let (manager, user) = (self.world.any_node(&mut self.rng), self.user.clone());
        let revoking = self.ledger.revoking(&user, scope);
        let revoke = async {
            match scope {
                Scope::One(id) => manager.revoke(&user, &id).await.map(drop),
                Scope::Others(kept) => manager.revoke_others(&user, &kept).await.map(drop),
                Scope::All => manager.revoke_all(&user).await.map(drop),
            }
        };
        match after_polls(revoke, patience(&mut self.rng)).await {
            Some(Ok(())) => {
                self.ledger.answered();
                self.ledger.revoked(revoking);
            }
            Some(Err(error)) => {
                self.ledger.failed(&error);
                self.ledger.perhaps_revoked(revoking);
            }
            None => {
                self.ledger.cancelled();
                self.ledger.perhaps_revoked(revoking);
            }
        }
    }

    /// What a request with the cookie of the jar found; `None` if it was not answered.
    fn received(&mut self, known: &Known, response: Option<Response>, what: &str) -> Option<Found> {
        let Some(Response { outcome, cookie }) = response else {
            self.ledger.cancelled();
            return None;
        };
        self.keep(cookie);
        match outcome {
            Ok(found) => {
                self.ledger.answered();
                self.judge(known, &found, what);
                if found.session.is_none() {
                    self.forget(known);
                }
                Some(found)
            }
            Err(error) => {
                self.ledger.failed(&error);
                if matches!(error, Error::Gone) {
                    self.ledger.gone(known, what);
                    self.forget(known);
                }
                None
            }
        }
    }

    fn judge(&self, known: &Known, found: &Found, what: &str) {
        match found.session {
            Some(id) if id == known.id() => self.ledger.seen(known, &found.increments, Freshness::Cached),
            Some(_) => self.ledger.unexpected("a cookie opened another session"),
            None => self.ledger.gone(known, what),
        }
    }

    /// A browser keeps the cookie of the response that came last.
    fn keep(&mut self, cookie: Option<Option<String>>) {
        match cookie {
            None => {}
            Some(None) => self.jar = None,
            Some(Some(cookie)) => match Held::new(cookie) {
                Some(held) if self.jar.as_ref().is_none_or(|jar| jar.id == held.id) => self.jar = Some(held),
                Some(_) => self.ledger.unexpected("a request that is no login set the cookie of another session"),
                None => self.ledger.unexpected("a cookie that holds no token"),
            },
        }
    }

    /// The session ended.
    fn forget(&mut self, known: &Known) {
        if let Some(held) = self.jar.take_if(|held| held.id == known.id()) {
            remember(&mut self.ended, Some(held));
            self.is_leaving = false;
        }
    }
}

impl Held {
    fn new(cookie: String) -> Option<Self> {
        let (_, token) = cookie.split_once('=')?;
        let id = PresentedToken::parse(token.as_bytes()).ok()?.id();
        Some(Self { id, cookie })
    }
}

/// A whole request, from the `Cookie` header to the response. The session is read, then changed.
async fn request(
    manager: SessionManager,
    cookie: Option<String>,
    change: impl Fn(&Session) -> Result<(), Error>,
) -> Response {
    let presented = manager.policy().cookie().read(cookie.as_deref().map(str::as_bytes));
    let request = RequestSession::new(manager, presented);
    let handled = match request.session().await {
        Ok(session) => find(session).and_then(|found| change(session).map(|()| found)),
        Err(error) => Err(error),
    };
    let (finished, headers) = request.finish().await;
    let cookie = headers.set_cookie.map(|cookie| {
        let pair = cookie.expose().split(';').next().unwrap_or_default();
        (!pair.ends_with('=')).then(|| pair.to_owned())
    });
    Response { outcome: handled.and_then(|found| finished.map(|()| found)), cookie }
}

fn find(session: &Session) -> Result<Found, Error> {
    Ok(Found { session: session.id(), increments: session.get(INCREMENTS)?.unwrap_or_default() })
}
