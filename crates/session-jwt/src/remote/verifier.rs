//! [`RemoteVerifier`].

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use session_core::{Clock, SystemClock, Timestamp};

use super::cache_control::max_age;
use super::fetch::{FetchError, FetchJwks, JwksDocument};
use super::flight::{Departure, Flight, Flights, TooEarly};
use super::limits::FetchLimits;
use crate::dpop::key::ProvenKey;
use crate::keys::error::KeyError;
use crate::tokens::claims::Claims;
use crate::tokens::error::VerifyError;
use crate::tokens::issuer_claims::IssuerClaims;
use crate::tokens::logout_claims::LogoutClaims;
use crate::tokens::verifier::Verifier;
use crate::tokens::verifying_keys::VerifyingKeys;

/// Verifies the tokens of one issuer with keys that it fetches from the URL of the issuer's JWKS document.
///
/// Verifying a token whose key is known does no I/O, and costs as much as with a [`Verifier`]. The document is fetched
///
/// - by the first verification, or by [`load`](Self::load) before it;
/// - in the background, when three quarters of the time for which it is fresh have passed and a token is verified. `max-age`
///   of the response is that time, within bounds. After an idle time that was longer, the next verification waits;
/// - when a token names an unknown key: the verification waits for one fetch, and looks again. Tokens with a forged `kid`
///   cause no more fetches than one in [`FetchLimits::min_interval`].
///
/// There is at most one fetch at a time, for everybody who waits for it. If it fails, the keys serve for
/// [`FetchLimits::keep_for`], and nobody waits; then every token is refused ([`RemoteVerifyError::Keys`]).
///
/// Needs a Tokio runtime with time. Clones share everything.
///
/// ```no_run
/// use session_jwt::{FetchJwks, RemoteVerifier, TokenPolicy, Verifier, VerifyingKeys};
///
/// # async fn example(client: impl FetchJwks, token: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let policy = TokenPolicy::new("https://partner.example", "https://api.example")?;
/// let verifier = Verifier::for_issuer(policy, VerifyingKeys::none());
/// let verifier = RemoteVerifier::new(verifier, "https://partner.example/jwks.json", client)?;
/// verifier.load().await?; // optional: a wrong URL is noticed at the start
/// let claims = verifier.verify_foreign(token).await?; // `verify`, if the issuer is one of ours
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteVerifier {
    shared: Arc<Shared>,
}

struct Shared {
    verifier: Verifier,
    url: String,
    client: Box<dyn FetchJwks>,
    limits: FetchLimits,
    clock: Arc<dyn Clock>,
    /// `None` until the first fetch that succeeded.
    freshness: ArcSwapOption<Freshness>,
    flights: Flights,
}

/// Why a token was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteVerifyError {
    /// The token was rejected: status 401.
    #[error(transparent)]
    Token(#[from] VerifyError),
    /// There are no keys, or none that are recent enough, or the token names a key that the issuer may have published since:
    /// nothing is known about the token. Status 503, and the client may retry.
    #[error("the keys of the issuer are not available")]
    Keys(#[source] FetchError),
}

/// The URL of a JWKS document was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL of a JWKS document must begin with https://, or with http:// and be that of this machine")]
pub struct JwksUrlError;

impl RemoteVerifier {
    /// A verifier with the policy and the options of `verifier`, whose keys are those of `url`. Keys that `verifier` already
    /// has do not count. Fetches nothing yet.
    ///
    /// # Errors
    /// [`JwksUrlError`] unless the URL is `https`, or `http` at `localhost`, `127.0.0.1` or `[::1]`: whoever can change the
    /// document can sign tokens.
    pub fn new(verifier: Verifier, url: impl Into<String>, client: impl FetchJwks) -> Result<Self, JwksUrlError> {
        let url = url.into();
        if !is_trustworthy(&url) {
            return Err(JwksUrlError);
        }
        verifier.set_keys(VerifyingKeys::none());
        let shared = Shared {
            verifier,
            url,
            client: Box::new(client),
            limits: FetchLimits::default(),
            clock: Arc::new(SystemClock),
            freshness: ArcSwapOption::empty(),
            flights: Flights::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The same with other limits, before its first use.
    #[must_use]
    pub fn with_limits(self, limits: FetchLimits) -> Self {
        self.map(|shared| shared.limits = limits)
    }

    /// The same with another clock, before its first use: for tests.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.map(|shared| shared.clock = Arc::new(clock))
    }

    /// Verifies a token and returns its claims.
    ///
    /// # Errors
    /// [`RemoteVerifyError`]
    pub async fn verify(&self, token: impl AsRef<[u8]>) -> Result<Claims, RemoteVerifyError> {
        self.verify_with(token, None).await
    }

    /// As [`verify`](Self::verify), with the proof of a key: [`Verifier::verify_with`].
    ///
    /// # Errors
    /// [`RemoteVerifyError`]
    pub async fn verify_with(
        &self,
        token: impl AsRef<[u8]>,
        key: Option<&ProvenKey>,
    ) -> Result<Claims, RemoteVerifyError> {
        self.with_keys(|verifier, now| verifier.verify_with(token.as_ref(), key, now)).await
    }

    /// Verifies an access token of other software: [`Verifier::verify_foreign`].
    ///
    /// # Errors
    /// [`RemoteVerifyError`]
    pub async fn verify_foreign(&self, token: impl AsRef<[u8]>) -> Result<IssuerClaims, RemoteVerifyError> {
        self.verify_foreign_with(token, None).await
    }

    /// As [`verify_foreign`](Self::verify_foreign), with the proof of a key: [`Verifier::verify_foreign_with`].
    ///
    /// # Errors
    /// [`RemoteVerifyError`]
    pub async fn verify_foreign_with(
        &self,
        token: impl AsRef<[u8]>,
        key: Option<&ProvenKey>,
    ) -> Result<IssuerClaims, RemoteVerifyError> {
        self.with_keys(|verifier, now| verifier.verify_foreign_with(token.as_ref(), key, now)).await
    }

    /// Verifies a logout token of an OpenID provider: [`Verifier::verify_logout`].
    ///
    /// # Errors
    /// [`RemoteVerifyError`]
    pub async fn verify_logout(&self, token: impl AsRef<[u8]>) -> Result<LogoutClaims, RemoteVerifyError> {
        self.with_keys(|verifier, now| verifier.verify_logout(token.as_ref(), now)).await
    }

    async fn with_keys<T>(
        &self,
        verify: impl Fn(&Verifier, Timestamp) -> Result<T, VerifyError>,
    ) -> Result<T, RemoteVerifyError> {
        let now = self.shared.clock.now();
        self.shared.prepare(now).await.map_err(RemoteVerifyError::Keys)?;
        match verify(&self.shared.verifier, now) {
            Err(VerifyError::Key) => {}
            answer => return Ok(answer?),
        }
        match self.shared.board(now) {
            Ok(flight) => flight.landed().await.map_err(RemoteVerifyError::Keys)?,
            Err(TooEarly(Some(failure))) => return Err(RemoteVerifyError::Keys(failure)),
            // The keys are as recent as they may be.
            Err(TooEarly(None)) => return Err(VerifyError::Key.into()),
        }
        Ok(verify(&self.shared.verifier, self.shared.clock.now())?)
    }

    /// The time by which tokens are verified.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Fetches the keys, unless they are fresh: when a server starts, so that its first request does not wait, and a wrong
    /// URL is noticed.
    ///
    /// # Errors
    /// [`FetchError`]. A verification tries again after [`FetchLimits::min_interval`].
    pub async fn load(&self) -> Result<(), FetchError> {
        let now = self.shared.clock.now();
        match self.shared.age(now) {
            Age::Fresh | Age::Ageing => Ok(()),
            Age::Stale | Age::Expired => self.shared.fetched(now).await,
        }
    }

    fn map(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        // Builders are called before the first clone; afterwards nothing changes.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            change(shared);
        }
        self
    }
}

/// How old the keys are.
enum Age {
    /// Nothing is due.
    Fresh,
    /// It is time to fetch them again, in the background.
    Ageing,
    /// They should have been fetched again.
    Stale,
    /// They are not to be used any more, or there are none.
    Expired,
}

struct Freshness {
    fetched_at: Timestamp,
    ageing_from: Timestamp,
    stale_from: Timestamp,
    expired_from: Timestamp,
}

impl Shared {
    /// Sees to it that there are keys to verify with.
    async fn prepare(self: &Arc<Self>, now: Timestamp) -> Result<(), FetchError> {
        match self.age(now) {
            Age::Fresh => Ok(()),
            Age::Ageing => {
                let _in_background = self.board(now);
                Ok(())
            }
            Age::Stale => {
                if let Ok(flight) = self.board(now)
                    && !flight.follows_failure
                {
                    // If it fails, the keys that are there serve on.
                    let _ = flight.landed().await;
                }
                Ok(())
            }
            Age::Expired => self.fetched(now).await,
        }
    }

    /// Waits for a fetch.
    async fn fetched(self: &Arc<Self>, now: Timestamp) -> Result<(), FetchError> {
        match self.board(now) {
            Ok(flight) => flight.landed().await,
            Err(TooEarly(failure)) => Err(failure.unwrap_or(FetchError::Aborted)),
        }
    }

    fn age(&self, now: Timestamp) -> Age {
        let freshness = self.freshness.load();
        let Some(freshness) = freshness.as_deref() else { return Age::Expired };
        if freshness.fetched_at.since(now) > self.limits.min_interval() {
            // The clock was set back: how old they are is unknown.
            Age::Stale
        } else if now < freshness.ageing_from {
            Age::Fresh
        } else if now < freshness.stale_from {
            Age::Ageing
        } else if now < freshness.expired_from {
            Age::Stale
        } else {
            Age::Expired
        }
    }

    /// Begins a fetch, if none is under way and it is not too early. It goes on when its caller has gone.
    fn board(self: &Arc<Self>, now: Timestamp) -> Result<Flight, TooEarly> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| TooEarly(Some(FetchError::Aborted)))?;
        let (flight, departure) = self.flights.board(now, self.limits.min_interval())?;
        if let Some(departure) = departure {
            let landing = Landing { shared: Arc::clone(self), departure, outcome: Err(FetchError::Aborted) };
            runtime.spawn(landing.fly(now));
        }
        Ok(flight)
    }

    async fn fetch(&self, now: Timestamp) -> Result<(), FetchError> {
        let mut document = JwksDocument::default();
        let fetching = self.client.fetch(&self.url, &mut document);
        let fetched = tokio::time::timeout(self.limits.timeout(), fetching).await;
        match fetched {
            Ok(Ok(())) => {}
            Ok(Err(_)) if document.is_too_long() => return Err(FetchError::TooLong),
            Ok(Err(error)) => return Err(FetchError::Failed(error.into())),
            Err(_) => return Err(FetchError::TimedOut),
        }
        let (body, cache_control) = document.into_parts()?;
        let text = std::str::from_utf8(&body).map_err(|_| KeyError::Jwk)?;
        self.verifier.set_keys(VerifyingKeys::from_jwks(text)?);
        let fresh_for = self.limits.fresh_for(max_age(&cache_control));
        let freshness = Freshness {
            fetched_at: now,
            ageing_from: now + fresh_for * 3 / 4,
            stale_from: now + fresh_for,
            expired_from: now + self.limits.keep_for(),
        };
        self.freshness.store(Some(Arc::new(freshness)));
        Ok(())
    }
}

/// A fetch that is under way. However it ends, also by a panic of the client, those who wait learn of it.
struct Landing {
    shared: Arc<Shared>,
    departure: Departure,
    outcome: Result<(), FetchError>,
}

impl Landing {
    async fn fly(mut self, now: Timestamp) {
        self.outcome = self.shared.fetch(now).await;
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(FetchError::Aborted));
        self.shared.flights.land(&self.departure, outcome);
    }
}

impl fmt::Debug for RemoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { verifier, client, limits, .. } = &*self.shared;
        f.debug_struct("RemoteVerifier")
            .field("verifier", verifier)
            .field("client", client)
            .field("limits", limits)
            .finish_non_exhaustive()
    }
}

fn is_trustworthy(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'@';
    if authority.is_empty() || !authority.bytes().all(is_plain) {
        return false;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let is_local = ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| host.eq_ignore_ascii_case(local));
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") && is_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let good = [
            "https://login.example/jwks.json",
            "HTTPS://login.example:8443/a?b#c",
            "https://login.example",
            "https://[2001:db8::1]/jwks",
            "http://localhost/jwks",
            "http://LOCALHOST:8080/jwks",
            "http://127.0.0.1:9/jwks",
            "http://[::1]:80/jwks",
            "http://[::1]/jwks",
        ];
        for url in good {
            assert!(is_trustworthy(url), "{url}");
        }
        let bad = [
            "",
            "https://",
            "https:///jwks",
            "login.example/jwks",
            "http://login.example/jwks",
            "http://localhost.evil.example/jwks",
            "http://localhost@evil.example/jwks",
            "http://127.0.0.1:80@evil.example/jwks",
            "https://user:password@login.example/jwks",
            "http://evil.example/localhost",
            "http://evil.example\\@localhost/",
            "http://127.0.0.10/",
            "http://10.0.0.1/jwks",
            "https://login example/jwks",
            "https://login.example\n/jwks",
            "file:///etc/passwd",
            "ftp://localhost/jwks",
            "data:application/json,{}",
        ];
        for url in bad {
            assert!(!is_trustworthy(url), "{url}");
        }
    }
}
