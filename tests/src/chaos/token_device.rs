//! [`TokenDevice`]: a client with a refresh token.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Failure, Rng};
use session_core::store::Freshness;
use session_core::{IssuedRefreshToken, Login, PresentedToken, SessionId, SessionManager, UserId};

use super::cancel::{after_polls, patience};
use super::ledger::{Ledger, Scope};
use super::temper::{Temper, remember};
use super::world::World;

/// An application of a user, which refreshes its token one request at a time, and asks again if it was not answered.
pub(super) struct TokenDevice {
    world: Arc<World>,
    pub(super) ledger: Arc<Ledger>,
    user: UserId,
    temper: Temper,
    rng: Rng,
    held: Option<Held>,
    /// The last token of each session that ended.
    ended: Vec<Held>,
    /// It was told to log out, and has not succeeded yet.
    is_leaving: bool,
}

/// A token and the session that it is of.
#[derive(Clone)]
struct Held {
    id: SessionId,
    token: String,
}

impl TokenDevice {
    pub(super) fn new(world: Arc<World>, ledger: Arc<Ledger>, user: UserId, temper: Temper, rng: Rng) -> Self {
        Self { world, ledger, user, temper, rng, held: None, ended: Vec::new(), is_leaving: false }
    }

    /// Does one thing.
    pub(super) async fn act(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.below(80))).await;
        let Some(held) = self.held.clone() else { return self.log_in(None).await };
        if self.is_leaving {
            return self.log_out(&held).await;
        }
        match self.temper.decide(&mut self.rng) {
            0..700 => self.refresh(&held).await,
            700..815 => self.find(&held, Freshness::Latest).await,
            815..930 => self.find(&held, Freshness::Cached).await,
            930..990 => self.try_ended().await,
            990..994 => self.log_in(Some(held)).await,
            _ => self.log_out(&held).await,
        }
    }

    /// Asks what is stored when all is quiet.
    pub(super) async fn check(&mut self) -> Result<(), Failure> {
        for held in self.held.take().iter().chain(&self.ended) {
            let known = self.ledger.known(held.id);
            let verify = async |manager: &SessionManager| match held.presented() {
                Some(token) => manager.verify_refresh_token(&token).await,
                None => Ok(None),
            };
            match self.world.calm(verify).await? {
                Some(_) => self.ledger.seen(&known, &[], Freshness::Latest),
                None => self.ledger.gone(&known, "the last check"),
            }
        }
        Ok(())
    }

    async fn refresh(&mut self, held: &Held) {
        let known = self.ledger.known(held.id);
        let manager = self.world.any_node(&mut self.rng);
        let refresh = async {
            let Some(token) = held.presented() else { return Ok(None) };
            match manager.verify_refresh_token(&token).await? {
                Some(verified) => manager.rotate(verified).await,
                None => Ok(None),
            }
        };
        match after_polls(refresh, patience(&mut self.rng)).await {
            Some(Ok(Some(issued))) => {
                self.ledger.answered();
                self.ledger.seen(&known, &[], Freshness::Latest);
                self.held = Some(Held::new(&issued));
            }
            Some(Ok(None)) => {
                self.ledger.gone(&known, "a refresh");
                self.forget();
            }
            Some(Err(error)) => self.ledger.failed(&error),
            None => self.ledger.cancelled(),
        }
    }

    /// As for an access token of the session.
    async fn find(&mut self, held: &Held, freshness: Freshness) {
        let (manager, polls, known) =
            (self.world.any_node(&mut self.rng), patience(&mut self.rng), self.ledger.known(held.id));
        match after_polls(manager.find(&held.id, &self.user, freshness), polls).await {
            Some(Ok(Some(_))) => {
                self.ledger.answered();
                self.ledger.seen(&known, &[], freshness);
            }
            Some(Ok(None)) => {
                self.ledger.gone(&known, "a look at the session");
                self.forget();
            }
            Some(Err(error)) => self.ledger.failed(&error),
            None => self.ledger.cancelled(),
        }
    }

    async fn try_ended(&mut self) {
        let at = self.rng.below(self.ended.len().max(1) as u64) as usize;
        let Some(held) = self.ended.get(at).cloned() else { return };
        let Some(token) = held.presented() else { return };
        let known = self.ledger.known(held.id);
        match self.world.any_node(&mut self.rng).verify_refresh_token(&token).await {
            Ok(Some(_)) => self.ledger.seen(&known, &[], Freshness::Latest),
            Ok(None) => {}
            Err(error) => self.ledger.failed(&error),
        }
    }

    /// Logs in; in exchange for the present session, if there is one.
    async fn log_in(&mut self, present: Option<Held>) {
        let replacing = present.as_ref().map(|held| self.ledger.revoking(&self.user, Scope::One(held.id)));
        let replaced = present.as_ref().and_then(Held::presented);
        let manager = self.world.any_node(&mut self.rng);
        let beginning = self.ledger.beginning(&self.user);
        let issue = manager.issue_refresh_token(Login::new(self.user.clone()).method("pwd"), replaced.as_ref());
        match after_polls(issue, patience(&mut self.rng)).await {
            Some(Ok(issued)) => {
                self.ledger.answered();
                if let Some(replacing) = replacing {
                    self.ledger.revoked(replacing);
                }
                let held = Held::new(&issued);
                self.ledger.begun(beginning, held.id, BTreeSet::new());
                let replaced = self.held.replace(held);
                remember(&mut self.ended, replaced);
                return;
            }
            Some(Err(error)) => self.ledger.failed(&error),
            None => self.ledger.cancelled(),
        }
        if let Some(replacing) = replacing {
            self.ledger.perhaps_revoked(replacing);
        }
    }

    async fn log_out(&mut self, held: &Held) {
        self.is_leaving = true;
        let Some(token) = held.presented() else { return };
        let manager = self.world.any_node(&mut self.rng);
        let revoking = self.ledger.revoking(&self.user, Scope::One(held.id));
        match after_polls(manager.revoke_refresh_token(&token), patience(&mut self.rng)).await {
            Some(Ok(_)) => {
                self.ledger.answered();
                self.ledger.revoked(revoking);
                self.forget();
                return;
            }
            Some(Err(error)) => self.ledger.failed(&error),
            None => self.ledger.cancelled(),
        }
        self.ledger.perhaps_revoked(revoking);
    }

    /// The session ended.
    fn forget(&mut self) {
        remember(&mut self.ended, self.held.take());
        self.is_leaving = false;
    }
}

impl Held {
    fn new(issued: &IssuedRefreshToken) -> Self {
        Self { id: issued.session.id, token: issued.token.encode().expose().to_owned() }
    }

    fn presented(&self) -> Option<PresentedToken> {
        PresentedToken::parse(self.token.as_bytes()).ok()
    }
}
