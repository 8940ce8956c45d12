//! What a request wants of its session: [`Login`], [`StepUp`], and every other [`Intent`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::model::binding::KeyThumbprint;
use crate::model::data::{Key, ValueError};
use crate::model::device::Device;
use crate::model::grant::Grant;
use crate::model::id::UserId;
use crate::model::reserved::{Credentials, ProviderSession};
use crate::model::summary::{Assurance, Proof, Timeouts, with_method};

/// A successful authentication, on its way into a session: the argument of [`Session::login`](crate::Session::login).
///
/// ```
/// use session_core::{Device, Key, Login, UserId};
///
/// const CART: Key<Vec<u32>> = Key::new("cart");
///
/// let login = Login::new(UserId::new("alice")?)
///     .method("pwd")
///     .device(Device::new().with_user_agent("Firefox"))
///     .carry_over(CART);
/// # Ok::<_, session_core::UserIdError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Login {
    pub(crate) user: UserId,
    pub(crate) methods: Arc<[String]>,
    pub(crate) level: Assurance,
    pub(crate) device: Device,
    pub(crate) remember: bool,
    pub(crate) carry_over: Vec<Bytes>,
    pub(crate) timeouts: Timeouts,
    pub(crate) grant: Arc<Grant>,
    pub(crate) key: Option<KeyThumbprint>,
    pub(crate) provider_session: Option<ProviderSession>,
    pub(crate) credentials: Option<Credentials>,
}

impl Login {
    /// A login of `user`, whose credentials the application has just verified.
    pub fn new(user: UserId) -> Self {
        Self {
            user,
            methods: Arc::default(),
            level: Assurance::Aal1,
            device: Device::new(),
            remember: false,
            carry_over: Vec::new(),
            timeouts: Timeouts::UNLIMITED,
            grant: Arc::default(),
            key: None,
            provider_session: None,
            credentials: None,
        }
    }

    /// A method that was used, as in the `amr` claim of RFC 8176 (`pwd`, `otp`, …).
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.methods = with_method(&self.methods, method.into());
        self
    }

    /// The assurance level reached. Without it, [`Assurance::Aal1`].
    pub fn level(mut self, level: Assurance) -> Self {
        self.level = level;
        self
    }

    /// Where the login came from, for the list of devices.
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Ends this session after so long without activity, if that is sooner than the policy says: a kiosk, a shared
    /// computer.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.timeouts.idle = idle;
        self
    }

    /// Ends this session after so long, if that is sooner than the policy says: impersonation, access for support.
    pub fn absolute_timeout(mut self, absolute: Duration) -> Self {
        self.timeouts.absolute = absolute;
        self
    }

    /// Asks for a cookie that outlives the browser. The policy decides.
    pub fn remember(mut self) -> Self {
        self.remember = true;
        self
    }

    /// What the refresh token is for that [`issue_refresh_token`](crate::SessionManager::issue_refresh_token) hands out.
    /// Without it, [`Grant::default`]. A session with a cookie has none.
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grant = Arc::new(grant);
        self
    }

    /// Binds the refresh token that [`issue_refresh_token`](crate::SessionManager::issue_refresh_token) hands out, and its
    /// successors, to the key of the client: only who proves to have it may use them
    /// ([`VerifiedRefreshToken::key`](crate::VerifiedRefreshToken::key)). A session with a cookie has none.
    pub fn bound_to(mut self, key: KeyThumbprint) -> Self {
        self.key = Some(key);
        self
    }

    /// The session of the OpenID provider that this login came from: `iss` and `sid` of the ID token. The session here, with a
    /// cookie or a refresh token, ends with it
    /// ([`revoke_provider_session`](crate::SessionManager::revoke_provider_session)). A digest of both is kept until the session
    /// ends; the next login, also of the same user, says it anew, or belongs to none.
    pub fn provider_session(mut self, issuer: &str, sid: &str) -> Self {
        self.provider_session = Some(ProviderSession::new(issuer, sid));
        self
    }

    /// Ties the session to the credentials that the account has now, so that any change of them, however it was made, ends
    /// it: the application compares when it has looked the user up
    /// ([`Session::has_credentials`](crate::Session::has_credentials),
    /// [`VerifiedRefreshToken::has_credentials`](crate::VerifiedRefreshToken::has_credentials)).
    ///
    /// `current` is whatever changes with them: the stored hash of the password (never the password), with the counter of a
    /// second factor behind it, say. A digest of it is kept until the session ends; the next login says it anew.
    pub fn credentials(mut self, current: impl AsRef<[u8]>) -> Self {
        self.credentials = Some(Credentials::new(current.as_ref()));
        self
    }

    /// What the refresh token is for, as far as it is said.
    #[must_use]
    pub fn granted(&self) -> &Grant {
        &self.grant
    }

    /// The key that the refresh token is bound to.
    #[must_use]
    pub fn key(&self) -> Option<KeyThumbprint> {
        self.key
    }

    /// Whose login it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// A value that survives the login of an anonymous session (or of the same user again). Everything else is dropped,
    /// and at the login of another user, this too.
    pub fn carry_over<T>(mut self, key: Key<T>) -> Self {
        self.carry_over.push(key.into_name());
        self
    }
}

impl Login {
    pub(super) fn proof(&self, at: Timestamp) -> Proof {
        Proof { methods: Arc::clone(&self.methods), ..Proof::new(self.level, at) }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("methods", &self.methods).field("level", &self.level).finish_non_exhaustive()
    }
}

/// A renewed authentication of the user who is logged in: the argument of [`Session::step_up`](crate::Session::step_up).
#[derive(Clone)]
#[must_use]
pub struct StepUp {
    pub(crate) user: UserId,
    pub(crate) methods: Arc<[String]>,
    pub(crate) level: Assurance,
    pub(crate) credentials: Option<Credentials>,
}

impl StepUp {
    /// `user` proved who they are once more. It must be the user who is logged in.
    pub fn new(user: UserId) -> Self {
        Self { user, methods: Arc::default(), level: Assurance::Aal1, credentials: None }
    }

    /// A method that was used. Added to those of the session, unless the level is below that of the session.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.methods = with_method(&self.methods, method.into());
        self
    }

    /// The assurance level reached, together with what the session had proved already. Without it, [`Assurance::Aal1`]. A
    /// step-up renews this level and those below: it never lowers the session's level, nor renews one that is above.
    pub fn level(mut self, level: Assurance) -> Self {
        self.level = level;
        self
    }

    /// Ties the session to credentials that have just been changed, by the user of this session: as
    /// [`Login::credentials`]. Without it, the session keeps those of before.
    pub fn credentials(mut self, current: impl AsRef<[u8]>) -> Self {
        self.credentials = Some(Credentials::new(current.as_ref()));
        self
    }
}

impl StepUp {
    /// The proof of a session that has proved `before`.
    pub(super) fn proof(&self, before: &Proof, at: Timestamp) -> Proof {
        let basis = if self.level >= before.level { Arc::clone(&before.methods) } else { Arc::default() };
        let methods = self.methods.iter().cloned().fold(basis, |methods, method| with_method(&methods, method));
        Proof { methods, ..Proof::new(self.level, at) }
    }
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp").field("methods", &self.methods).field("level", &self.level).finish_non_exhaustive()
    }
}

/// Computes the new encoded value of a key from the old one. Run again on every conflict.
pub(crate) type UpdateFn = Arc<dyn Fn(Option<&[u8]>) -> Result<Bytes, ValueError> + Send + Sync>;

/// Computes what binds a session from what has bound it. Run again on every conflict.
pub(crate) type RebindFn = Arc<dyn Fn(Option<&[u8]>) -> Option<Bytes> + Send + Sync>;

/// One thing a request wants.
#[derive(Clone)]
pub(crate) enum Intent {
    Set(Bytes, Bytes),
    Remove(Bytes),
    Update(Bytes, UpdateFn),
    Clear,
    Login(Arc<Login>, Timestamp),
    StepUp(Arc<StepUp>, Timestamp),
    Rebind(RebindFn),
    Regenerate,
    Logout,
}

impl Intent {
    /// The key that is overwritten blindly, if any.
    pub(crate) fn blind_write(&self) -> Option<&Bytes> {
        match self {
            Self::Set(key, _) | Self::Remove(key) => Some(key),
            Self::Update(..)
            | Self::Clear
            | Self::Login(..)
            | Self::StepUp(..)
            | Self::Rebind(_)
            | Self::Regenerate
            | Self::Logout => None,
        }
    }
}
