//! [`Attempt`]: what an application says to an attempt to log in.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use session_core::{Login, UserId};

/// What comes of credentials.
///
/// Whatever it says must not tell whether a user exists: of an unknown name say what you say of a wrong password, after as
/// long, and limit attempts by name and by address alike, whether or not the name is one of yours. That an account is locked,
/// or that a second factor is needed, only those may learn who know the password.
///
/// ```
/// use std::time::Duration;
/// use session_core::{Login, UserId};
/// use session_jwt::{Attempt, Pending, Refusal};
///
/// # fn attempts() -> u32 { 0 }
/// # struct Account { id: UserId, has_otp: bool, is_locked: bool }
/// fn judge(account: Option<Account>) -> Attempt {
///     match account {
///         _ if attempts() > 10 => Refusal::too_many_attempts(Duration::from_secs(60)).into(),
///         None => Refusal::credentials().into(),
///         Some(account) if account.is_locked => Refusal::new("account_locked").description("Ask your bank.").into(),
///         Some(account) if account.has_otp => Attempt::SecondFactor(Pending::new(account.id).member("methods", ["otp"])),
///         Some(account) => Login::new(account.id).method("pwd").into(),
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Attempt {
    /// They are right.
    Accepted(Login),
    /// They are not, or do not help.
    Refused(Refusal),
    /// They are right, and not enough: 403 `mfa_required`, with a continuation token (`mfa_token`).
    SecondFactor(Pending),
}

impl From<Login> for Attempt {
    fn from(login: Login) -> Self {
        Self::Accepted(login)
    }
}

impl From<Refusal> for Attempt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Option<Login>> for Attempt {
    /// `None` is [`Refusal::credentials`].
    fn from(login: Option<Login>) -> Self {
        login.map_or_else(|| Refusal::credentials().into(), Self::Accepted)
    }
}

/// Why there is no login: an answer of the application. `Debug` hides what it says.
#[derive(Clone)]
#[must_use]
pub struct Refusal {
    pub(super) status: u16,
    pub(super) error: Cow<'static, str>,
    pub(super) description: Option<Cow<'static, str>>,
    pub(super) retry_after: Option<Duration>,
    pub(super) members: Map<String, Value>,
}

impl Refusal {
    /// Wrong name or password: 400 `invalid_grant` (RFC 6749).
    pub fn credentials() -> Self {
        Self::new("invalid_grant").description("the credentials or the refresh token are not valid; log in again")
    }

    /// 429 `too_many_attempts`, with `Retry-After`, in whole seconds, at least one.
    pub fn too_many_attempts(retry_after: Duration) -> Self {
        let refusal = Self::new("too_many_attempts").description("too many attempts; wait");
        Self { status: 429, retry_after: Some(retry_after), ..refusal }
    }

    /// 400 with a code of the application's own.
    pub fn new(error: impl Into<Cow<'static, str>>) -> Self {
        Self { status: 400, error: error.into(), description: None, retry_after: None, members: Map::new() }
    }

    /// `error_description`: for developers, not for users.
    pub fn description(self, description: impl Into<Cow<'static, str>>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// 403 instead: the client is known, and not allowed.
    pub fn forbidden(self) -> Self {
        Self { status: 403, ..self }
    }

    /// One more member of the body. `error` and `error_description` stay what they are; what is not JSON is left out.
    pub fn member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.members.insert(name.into(), value);
        }
        self
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").field("status", &self.status).field("error", &self.error).finish_non_exhaustive()
    }
}

/// A login whose first factor was right. Its client gets a continuation token: good once, for [`Self::LIFETIME`], for the
/// next request to the token route with `mfa_token` and whatever proves the second factor. Whoever fails there may get
/// another one, [`Self::MAX_ATTEMPTS`] times in all. `Debug` hides it.
#[derive(Clone, Serialize, Deserialize)]
#[must_use]
pub struct Pending {
    user: String,
    attempts: u32,
    state: Value,
    /// The client that began.
    pub(super) client: Option<String>,
    /// The key that it has proved to have.
    #[serde(default)]
    pub(super) key: Option<String>,
    #[serde(skip)]
    pub(super) members: Map<String, Value>,
}

impl Pending {
    /// How long the second factor may take: as the challenges of others, 5 minutes.
    pub const LIFETIME: Duration = Duration::from_secs(300);
    /// How often it may be tried with one first factor. Who knows the password can begin again: limit attempts by user, too.
    pub const MAX_ATTEMPTS: u32 = 5;
    pub(super) const PURPOSE: &str = "second factor";

    /// `user` has shown a first factor.
    pub fn new(user: UserId) -> Self {
        let user = user.as_str().to_owned();
        Self { user, attempts: 0, state: Value::Null, client: None, key: None, members: Map::new() }
    }

    /// What the application needs to know when the second factor comes: stored, and not shown to the client. What is not JSON
    /// is left out.
    pub fn state(self, state: impl Serialize) -> Self {
        Self { state: serde_json::to_value(state).unwrap_or_default(), ..self }
    }

    /// One more member of the answer: which factors there are. What is not JSON is left out.
    pub fn member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.members.insert(name.into(), value);
        }
        self
    }

    /// Whose login it is.
    ///
    /// # Errors
    /// `None` if what was stored is no user.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        UserId::new(self.user.clone()).ok()
    }

    /// How often it was tried before.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What [`state`](Self::state) has stored; `None` if it is none of this type.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.state.clone()).ok()
    }

    pub(super) fn after(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// 403 `mfa_required`, with the continuation token.
    pub(super) fn into_refusal(self, ticket: &str) -> Refusal {
        let refusal = Refusal::new("mfa_required").description("a second factor is needed; send it with the mfa_token");
        let refusal = Refusal { members: self.members, ..refusal.forbidden() };
        refusal.member("mfa_token", ticket).member("expires_in", Self::LIFETIME.as_secs())
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
