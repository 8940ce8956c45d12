//! [`Claims`]: what a verified access token states.

use std::fmt;

use serde::de::DeserializeOwned;
use session_core::{Assurance, SessionId, Timestamp, UserId};
use smallvec::SmallVec;

use super::account_claims::ClaimError;
use super::as_written;
use super::error::VerifyError;
use super::payload::{Confirmation, ReadPayload, level};
use super::policy::TokenPolicy;
use crate::dpop::key::ProvenKey;

/// The last second of the year 9999. A later `NumericDate` is invalid.
pub(super) const LAST_SECOND: u64 = 253_402_300_799;
/// The longest `jti`, in bytes.
pub(super) const MAX_ID_LEN: usize = 128;

/// What a verified access token states. Only verification creates one: holding it proves that every check has passed.
///
/// `Debug` hides the user, the session and the token.
///
/// ```compile_fail
/// fn forge(mut claims: session_jwt::Claims) -> session_jwt::Claims {
///     session_jwt::Claims { ..claims }
/// }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Claims {
    /// The session that the token belongs to (`sid`).
    pub session: SessionId,
    /// The user (`sub`).
    pub user: UserId,
    /// When the user last authenticated (`auth_time`), in whole seconds.
    pub authenticated_at: Timestamp,
    /// The assurance level reached (`acr`). `None` if the token has none or not one of ours: treat it as the lowest.
    pub level: Option<Assurance>,
    /// When the token was issued (`iat`), in whole seconds.
    pub issued_at: Timestamp,
    /// When the token expires (`exp`), in whole seconds. A verifier adds the leeway.
    pub expires_at: Timestamp,
    token_id: Span,
    client: Option<Span>,
    scope: Option<Span>,
    key: Option<Span>,
    /// Rarely more than two: no allocation of their own.
    methods: SmallVec<[Span; 2]>,
    /// The payload, as it was signed; behind it, without their escapes, the texts that have some. One buffer for all texts: a
    /// token is verified with each request, which looks at few of them.
    texts: String,
    payload_len: u32,
}

/// Where in [`Claims::texts`] a text is. A payload is much shorter than these can tell, and claims are moved a few times.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, len: usize) -> Self {
        let end = |end| u32::try_from(end).unwrap_or(u32::MAX);
        Self { start: end(start), end: end(start + len) }
    }
}

/// How a token is presented.
#[derive(Clone, Copy)]
pub(super) enum Possession<'k> {
    /// By whoever has it.
    Bearer,
    /// By whoever has proved to have this key, too.
    Key(&'k ProvenKey),
    /// It is not: somebody asks what it is.
    Any,
}

impl<'k> From<Option<&'k ProvenKey>> for Possession<'k> {
    fn from(key: Option<&'k ProvenKey>) -> Self {
        key.map_or(Self::Bearer, Self::Key)
    }
}

impl Possession<'_> {
    /// Whether a token may be presented so that is bound to the key with the thumbprint `bound`, or to none.
    pub(super) fn allows(self, bound: Option<&str>) -> Result<(), VerifyError> {
        match (self, bound) {
            (Self::Bearer, None) | (Self::Any, _) => Ok(()),
            (Self::Key(key), Some(bound)) if bound == key.thumbprint().to_string() => Ok(()),
            (Self::Bearer | Self::Key(_), Some(_)) => Err(VerifyError::Bound),
            (Self::Key(_), None) => Err(VerifyError::Unbound),
        }
    }
}

/// Whether `scope` is among these tokens.
pub(super) fn names_scope(scopes: Option<&str>, scope: &str) -> bool {
    scopes.is_some_and(|scopes| scopes.split(' ').any(|one| one == scope))
}

/// How much is asked of a token of this issuer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// It is for the audience of the policy, now.
    Full,
    /// It is for any audience that the issuer serves, now.
    AnyAudience,
    /// The same, at any time: for what a token may still be good for then, to end its session.
    AnyTime,
}

impl Claims {
    /// The identifier of this token (`jti`).
    #[must_use]
    pub fn token_id(&self) -> &str {
        self.text(self.token_id)
    }

    /// The application with which the session was opened (`client_id`).
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.map(|client| self.text(client))
    }

    /// The methods of authentication (`amr`).
    pub fn methods(&self) -> impl ExactSizeIterator<Item = &str> {
        self.methods.iter().map(|method| self.text(*method))
    }

    /// What the token may be used for (`scope`), separated by blanks: see [`has_scope`](Self::has_scope).
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.map(|scope| self.text(scope))
    }

    /// The thumbprint of the key that the token is bound to (`cnf.jkt`, RFC 9449). Whoever presented it has proved to have that
    /// key; a token without one is good for whoever has it.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.map(|key| self.text(key))
    }

    /// Whether the token may be used for `scope`, a single one.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        names_scope(self.scope(), scope)
    }

    /// The claims of the application, which [`AccountClaims`](crate::AccountClaims) has set: any type that reads them from an
    /// object, in which there are other claims too.
    ///
    /// ```
    /// # fn demo(claims: &session_jwt::Claims) -> Option<()> {
    /// #[derive(serde::Deserialize)]
    /// struct Mine {
    ///     #[serde(default)]
    ///     roles: Vec<String>,
    /// }
    ///
    /// let is_admin = claims.application::<Mine>().ok()?.roles.iter().any(|role| role == "admin");
    /// # Some(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClaimError::Type`] if the token's are not of this type.
    pub fn application<T: DeserializeOwned>(&self) -> Result<T, ClaimError> {
        let payload = self.text(Span { start: 0, end: self.payload_len });
        serde_json::from_str(payload).map_err(|_| ClaimError::Type)
    }

    fn text(&self, span: Span) -> &str {
        self.texts.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Reads a signed payload and checks it: the only way to get [`Claims`].
    pub(super) fn read(
        json: Vec<u8>,
        policy: &TokenPolicy,
        now: Timestamp,
        check: Check,
        possession: Possession<'_>,
    ) -> Result<Self, VerifyError> {
        let json = String::from_utf8(json).map_err(|_| VerifyError::Payload)?;
        let ReadPayload { iss, sub, aud, exp, nbf, iat, jti, sid, auth_time, acr, amr, client_id, scope, cnf } =
            match as_written::read(&json) {
                Some(payload) => payload,
                None => ReadPayload::parse(&json)?,
            };
        if *require(iss, "iss")? != *policy.issuer() {
            return Err(VerifyError::Issuer);
        }
        let audience = require(aud, "aud")?;
        let is_ours = match check {
            Check::Full => audience.includes(policy.audience()),
            Check::AnyAudience | Check::AnyTime => audience.any(|audience| policy.issues_for(audience)),
        };
        if !is_ours {
            return Err(VerifyError::Audience);
        }
        let (issued_at, expires_at) = (time(iat, "iat")?, time(exp, "exp")?);
        let authenticated_at = time(auth_time, "auth_time")?;
        let not_before = if nbf.is_some() { Some(time(nbf, "nbf")?) } else { None };
        if check != Check::AnyTime {
            if now - policy.leeway() >= expires_at {
                return Err(VerifyError::Expired);
            }
            let latest = now + policy.ahead();
            if not_before.is_some_and(|not_before| not_before > latest) {
                return Err(VerifyError::NotYetValid);
            }
            if issued_at > latest {
                return Err(VerifyError::IssuedInFuture);
            }
            if expires_at <= issued_at || expires_at.since(issued_at) > policy.lifetime() {
                return Err(VerifyError::Lifetime);
            }
            if authenticated_at > issued_at + policy.ahead() {
                return Err(VerifyError::Invalid("auth_time"));
            }
        }
        let token_id = require(jti, "jti")?;
        if token_id.is_empty() || token_id.len() > MAX_ID_LEN {
            return Err(VerifyError::Invalid("jti"));
        }
        let session = require(sid, "sid")?;
        let user = UserId::new(&*require(sub, "sub")?).map_err(|_| VerifyError::Invalid("sub"))?;
        let level = acr.and_then(|acr| level(&acr));
        let mut texts = Texts { json: &json, unescaped: String::new() };
        // Not collected: `SmallVec` reserves and checks more then, for the one or two that there are.
        let mut methods = SmallVec::new();
        for method in &require(amr, "amr")? {
            methods.push(texts.span(method));
        }
        let token_id = texts.span(&token_id);
        let client = client_id.map(|client| texts.span(&client));
        let scope = scope.map(|scope| texts.span(&scope));
        let key = match &cnf {
            None => None,
            Some(Confirmation::Key(key)) => Some(&**key),
            Some(Confirmation::Unknown) => return Err(VerifyError::Confirmation),
        };
        possession.allows(key)?;
        let key = key.map(|key| texts.span(key));
        let (payload_len, unescaped) = (Span::new(0, json.len()).end, texts.unescaped);
        let texts = if unescaped.is_empty() { json } else { json + &unescaped };
        Ok(Self {
            session,
            user,
            authenticated_at,
            level,
            issued_at,
            expires_at,
            token_id,
            client,
            scope,
            key,
            methods,
            texts,
            payload_len,
        })
    }
}

/// The texts of a payload, on their way into one buffer.
struct Texts<'a> {
    json: &'a str,
    unescaped: String,
}

impl Texts<'_> {
    /// Where `text` is in the payload, or where it will be behind it.
    fn span(&mut self, text: &str) -> Span {
        let start = text.as_ptr().addr().wrapping_sub(self.json.as_ptr().addr());
        if start < self.json.len() {
            return Span::new(start, text.len());
        }
        let start = self.json.len() + self.unescaped.len();
        self.unescaped.push_str(text);
        Span::new(start, text.len())
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("authenticated_at", &self.authenticated_at)
            .field("methods", &self.methods().collect::<Vec<_>>())
            .field("level", &self.level)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn require<T>(claim: Option<T>, name: &'static str) -> Result<T, VerifyError> {
    claim.ok_or(VerifyError::Missing(name))
}

/// A `NumericDate`, restricted to whole seconds.
fn time(claim: Option<u64>, name: &'static str) -> Result<Timestamp, VerifyError> {
    match i64::try_from(require(claim, name)?) {
        Ok(seconds) if seconds.unsigned_abs() <= LAST_SECOND => Ok(Timestamp::from_millis(seconds * 1000)),
        Ok(_) | Err(_) => Err(VerifyError::Invalid(name)),
    }
}
