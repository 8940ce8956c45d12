//! [`Dpop`]: whether tokens are bound to keys, and which proofs are accepted.

use std::fmt;
use std::time::Duration;

use session_core::adapter::RequestHead;
use session_core::{SessionManager, Timestamp};

use super::key::ProvenKey;
use super::nonces::Nonces;
use super::proof::{Proof, ProofError};
use super::replays::{ProofId, Replays};
use super::target::Target;
use crate::algorithm::Algorithm;
use crate::tokens::error::VerifyError;

/// Whether tokens are bound to the keys of their clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DpopMode {
    /// No: a proof counts for nothing, and tokens are for `Bearer`.
    Off,
    /// If the client sends a proof. A token that was bound once is good with proofs of its key alone.
    #[default]
    Optional,
    /// Always: there is no token without a proof, and no access with an unbound one.
    Required,
}

/// DPoP (RFC 9449): a client proves with each request that it has the key that its tokens are bound to, so that a stolen token is
/// worth nothing. For the token routes and the bearer layer of an adapter; clones share what they know of used proofs.
///
/// ```
/// use session_jwt::{Dpop, DpopMode};
///
/// let dpop = Dpop::new("https://api.example")?.mode(DpopMode::Required);
/// # Ok::<_, session_jwt::DpopError>(())
/// ```
///
/// A proof is a JWT in the one `DPoP` header: `typ` is `dpop+jwt`, `alg` one of [`algorithms`](Self::algorithms), `jwk` a public
/// key, `htm` the method and `htu` the URI of the request, `iat` recent, `jti` new, and, beside an access token, `ath` its digest.
/// What it says of the request is compared with what this was told of the server, never with `Host` or `Forwarded`.
///
/// # Replays
/// A captured proof is good for nothing once it was used: its `jti` is remembered for as long as it would be good. **By default
/// each process remembers its own** (up to a million for a minute and a half; beyond that, 503), so that behind a load balancer a
/// proof can be used once at each server, within [`max_age`](Self::max_age). [`replays_in`](Self::replays_in) a store, it is good
/// once in all, for a round trip with each request. A proof that was captured and never arrived is new, in either case:
/// [`nonces`](Self::nonces) bound how old it can be.
///
/// # Cost
/// A signature is verified with each request: 40 to 100 µs, as with an access token that has an asymmetric algorithm. Requests
/// without a proof cost what they cost without this.
#[derive(Clone)]
#[must_use]
pub struct Dpop {
    mode: DpopMode,
    targets: Vec<Target>,
    algorithms: Vec<Algorithm>,
    max_age: Duration,
    nonces: Option<Nonces>,
    replays: Replays,
}

/// What cannot be configured, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// The base is not one of a server.
    #[error("a base must be an http or https URI without user, query and fragment, as clients see it")]
    Base,
    /// Algorithms are none, or symmetric.
    #[error("proofs are signed with at least one algorithm, and each has a public key")]
    Algorithms,
    /// The age is zero, or longer than ten minutes.
    #[error("a proof may be between 1 second and 10 minutes old")]
    MaxAge,
    /// The secret of nonces is too short.
    #[error("the secret of nonces must have at least 32 random bytes")]
    Secret,
}

/// A proof that is in order, and may have been used before.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) key: ProvenKey,
    pub(crate) id: ProofId,
    until: Timestamp,
}

impl Dpop {
    /// How old a proof may be, without nonces.
    const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
    /// By how much it may be made in the future: as access tokens ([`TokenPolicy::ahead`](crate::TokenPolicy::ahead)).
    const AHEAD: Duration = Duration::from_secs(30);

    /// Optional, for requests to the server at `base`, as clients see it: scheme, host and port, as in `https://api.example`. If a
    /// proxy cuts off the beginning of paths, that too: `https://example.com/api`.
    ///
    /// # Errors
    /// [`DpopError::Base`]
    pub fn new(base: &str) -> Result<Self, DpopError> {
        let algorithms = vec![Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Rs256];
        let dpop = Self {
            mode: DpopMode::Optional,
            targets: Vec::new(),
            algorithms,
            max_age: Self::DEFAULT_MAX_AGE,
            nonces: None,
            replays: Replays::here(),
        };
        dpop.also_at(base)
    }

    /// The server has this base, too.
    ///
    /// # Errors
    /// [`DpopError::Base`]
    pub fn also_at(mut self, base: &str) -> Result<Self, DpopError> {
        self.targets.push(Target::parse(base).ok_or(DpopError::Base)?);
        Ok(self)
    }

    /// Whether tokens are bound. At the token routes, [`Clients`](crate::Clients) may say otherwise of a client.
    pub fn mode(self, mode: DpopMode) -> Self {
        Self { mode, ..self }
    }

    /// The algorithms that proofs may be signed with. Default: ES256, EdDSA, PS256 and RS256, which is what clients have.
    ///
    /// # Errors
    /// [`DpopError::Algorithms`]
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Self, DpopError> {
        let algorithms: Vec<Algorithm> = algorithms.into_iter().collect();
        if algorithms.is_empty() || algorithms.iter().any(|algorithm| algorithm.is_symmetric()) {
            return Err(DpopError::Algorithms);
        }
        Ok(Self { algorithms, ..self })
    }

    /// How old a proof may be: 1 second to 10 minutes. Default: 60 seconds. It may be made up to 30 seconds in the future. With
    /// [`nonces`](Self::nonces), it is the nonce that must be recent.
    ///
    /// # Errors
    /// [`DpopError::MaxAge`]
    pub fn max_age(self, max_age: Duration) -> Result<Self, DpopError> {
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&max_age) {
            return Err(DpopError::MaxAge);
        }
        Ok(Self { max_age, ..self })
    }

    /// Proofs need a nonce of the server (RFC 9449, section 8), which is at most two minutes old: whoever has a key for a moment
    /// cannot make proofs for later, and clients whose clocks are wrong are served. No server remembers nonces: those with the
    /// same secret of at least 32 random bytes accept each other's. A client's first request costs it one more, and with each
    /// answer it gets the next nonce (`DPoP-Nonce`).
    ///
    /// # Errors
    /// [`DpopError::Secret`]
    pub fn nonces(self, secret: impl AsRef<[u8]>) -> Result<Self, DpopError> {
        let nonces = Nonces::new(secret.as_ref(), Nonces::DEFAULT_SLOT).ok_or(DpopError::Secret)?;
        Ok(Self { nonces: Some(nonces), ..self })
    }

    /// Remembers used proofs in the store of `manager`, for all servers with the same one: one round trip for each.
    pub fn replays_in(self, manager: SessionManager) -> Self {
        Self { replays: Replays::Everywhere(manager), ..self }
    }

    /// Verifies the proof of a request, and uses it up. `token` is the access token beside it, if there is one, without its
    /// scheme. `None` without a proof. For what is no adapter: those do it by themselves.
    ///
    /// # Errors
    /// [`ProofError`]
    pub async fn verify(
        &self,
        head: &impl RequestHead,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<ProvenKey>, ProofError> {
        match self.check(head, token, None, now)? {
            Some(checked) => self.accept(checked, now).await.map(Some),
            None => Ok(None),
        }
    }

    /// The first half: everything but whether it was used before. `seen` is the proof that this request has used up already,
    /// which may have grown old since.
    pub(crate) fn check(
        &self,
        head: &impl RequestHead,
        token: Option<&str>,
        seen: Option<ProofId>,
        now: Timestamp,
    ) -> Result<Option<Checked>, ProofError> {
        let mut values = head.values("dpop");
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(ProofError::Repeated);
        }
        let proof = Proof::open(value, &self.algorithms)?;
        if proof.method != head.method() {
            return Err(ProofError::Method);
        }
        if !self.targets.iter().any(|target| target.is_named_by(&proof.uri, head.target_path())) {
            return Err(ProofError::Uri);
        }
        if token.is_some_and(|token| !proof.is_about(token)) {
            return Err(ProofError::AccessToken);
        }
        let until = if seen == Some(proof.id) { now } else { self.good_until(&proof, now)? };
        Ok(Some(Checked { key: ProvenKey::new(proof.key), id: proof.id, until }))
    }

    /// The second half, once all else is in order: what is refused for another reason fills no memory.
    pub(crate) async fn accept(&self, checked: Checked, now: Timestamp) -> Result<ProvenKey, ProofError> {
        let window = (self.max_age + Self::AHEAD).max(self.nonces.as_ref().map_or(Duration::ZERO, Nonces::longest));
        let is_first = self.replays.claim(&checked.id, checked.until, window, now).await?;
        if is_first { Ok(checked.key) } else { Err(ProofError::Replayed) }
    }

    fn good_until(&self, proof: &Proof, now: Timestamp) -> Result<Timestamp, ProofError> {
        if let Some(nonces) = &self.nonces {
            // By the clock of the server, whatever that of the client says.
            let nonce = proof.nonce.as_ref().ok_or(ProofError::Nonce)?;
            return nonces.accepted_until(nonce, now).ok_or(ProofError::Nonce);
        }
        let latest = now + Self::AHEAD;
        if proof.made_at > latest || proof.not_before.is_some_and(|not_before| not_before > latest) {
            return Err(ProofError::InFuture);
        }
        // Proofs need none.
        if proof.expires_at.is_some_and(|expires_at| now >= expires_at + Self::AHEAD) {
            return Err(VerifyError::Expired.into());
        }
        let until = proof.made_at + self.max_age;
        if now >= until { Err(ProofError::TooOld) } else { Ok(until) }
    }

    /// Whether a proof that one of them has seen is used up for the other.
    pub(crate) fn remembers_with(&self, other: &Self) -> bool {
        self.replays.is_same(&other.replays)
    }

    /// The value of `DPoP-Nonce` now, if there are nonces.
    #[must_use]
    pub fn nonce(&self, now: Timestamp) -> Option<String> {
        self.nonces.as_ref().map(|nonces| nonces.current(now))
    }

    /// Whether tokens are bound.
    #[must_use]
    pub fn current_mode(&self) -> DpopMode {
        self.mode
    }

    /// The names of the algorithms, each as clients may write it.
    pub(crate) fn algorithm_names(&self) -> Vec<&'static str> {
        self.algorithms
            .iter()
            .flat_map(|algorithm| algorithm.spellings())
            .filter(|name| **name != "ESP256")
            .copied()
            .collect()
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop")
            .field("mode", &self.mode)
            .field("targets", &self.targets)
            .field("algorithms", &self.algorithms)
            .field("max_age", &self.max_age)
            .field("nonces", &self.nonces.is_some())
            .field("replays", &self.replays)
            .finish()
    }
}
