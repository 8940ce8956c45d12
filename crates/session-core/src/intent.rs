//! What a request wants of its session, in order; and what the session looks like with all of it done.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::data::{Data, Key, ValueError};
use crate::error::Error;
use crate::id::UserId;
use crate::policy::Policy;
use crate::record::{Assurance, Authentication, Device, Persistence, Record};

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
        }
    }

    /// A method that was used, as in the `amr` claim of RFC 8176 (`pwd`, `otp`, …).
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.methods = with(&self.methods, method.into());
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

    /// Asks for a cookie that outlives the browser. The policy decides.
    pub fn remember(mut self) -> Self {
        self.remember = true;
        self
    }

    /// A value that survives the login of an anonymous visitor (or of the same user again). Everything else is dropped,
    /// and at the login of another user, this too.
    pub fn carry_over<T>(mut self, key: Key<T>) -> Self {
        self.carry_over.push(key.into_name());
        self
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
}

impl StepUp {
    /// `user` proved who they are once more. It must be the user who is logged in.
    pub fn new(user: UserId) -> Self {
        Self { user, methods: Arc::default(), level: Assurance::Aal1 }
    }

    /// A method that was used. Added to those of the login.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.methods = with(&self.methods, method.into());
        self
    }

    /// The assurance level reached. A step-up never lowers the session's level.
    pub fn level(mut self, level: Assurance) -> Self {
        self.level = level;
        self
    }
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepUp").field("methods", &self.methods).field("level", &self.level).finish_non_exhaustive()
    }
}

/// Computes the new encoded value of a key from the old one. Run again on every conflict.
pub(crate) type UpdateFn = Arc<dyn Fn(Option<&[u8]>) -> Result<Bytes, ValueError> + Send + Sync>;

/// One thing a request wants.
#[derive(Clone)]
pub(crate) enum Intent {
    Set(Bytes, Bytes),
    Remove(Bytes),
    Update(Bytes, UpdateFn),
    Clear,
    Login(Arc<Login>, Timestamp),
    StepUp(Arc<StepUp>, Timestamp),
    Regenerate,
    Logout,
}

impl Intent {
    /// The key that is overwritten blindly, if any.
    pub(crate) fn blind_write(&self) -> Option<&Bytes> {
        match self {
            Self::Set(key, _) | Self::Remove(key) => Some(key),
            Self::Update(..) | Self::Clear | Self::Login(..) | Self::StepUp(..) | Self::Regenerate | Self::Logout => {
                None
            }
        }
    }
}

/// What becomes of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Regenerate,
    StepUp,
    Login,
    Logout,
}

/// The session as the request sees it: the stored one, with its intents applied.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) data: Data,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) persistence: Persistence,
    pub(crate) device: Device,
    pub(crate) change: Change,
}

impl Draft {
    /// `base`, untouched.
    pub(crate) fn of(base: Option<&Record>) -> Self {
        match base {
            Some(record) => Self {
                data: record.data.clone(),
                authentication: record.authentication.clone(),
                persistence: record.persistence,
                device: record.device.clone(),
                change: Change::None,
            },
            None => Self {
                data: Data::default(),
                authentication: None,
                persistence: Persistence::Transient,
                device: Device::new(),
                change: Change::None,
            },
        }
    }

    /// What a login alone makes.
    pub(crate) fn logged_in(login: &Login, at: Timestamp, policy: &Policy) -> Self {
        let mut working = Self::of(None);
        working.log_in(login, at, policy);
        working
    }

    /// `base` with all `intents`. An error leaves nothing to commit.
    pub(crate) fn replay(base: Option<&Record>, intents: &[Intent], policy: &Policy) -> Result<Self, Error> {
        let mut working = Self::of(base);
        for intent in intents {
            working.apply(intent, policy)?;
        }
        Ok(working)
    }

    /// Applies one intent. On error, nothing is changed.
    pub(crate) fn apply(&mut self, intent: &Intent, policy: &Policy) -> Result<(), Error> {
        match intent {
            Intent::Set(key, value) => self.write(key, value.clone(), policy),
            Intent::Update(key, update) => {
                let value = update(self.data.get(key).map(|value| &value[..]))?;
                self.write(key, value, policy)
            }
            Intent::Remove(key) => {
                self.data.remove(key);
                Ok(())
            }
            Intent::Clear => {
                self.data = Data::default();
                Ok(())
            }
            Intent::Login(login, at) => {
                self.log_in(login, *at, policy);
                Ok(())
            }
            Intent::StepUp(step_up, at) => self.step_up(step_up, *at),
            Intent::Regenerate => {
                if self.change == Change::None {
                    self.change = Change::Regenerate;
                }
                Ok(())
            }
            Intent::Logout => {
                *self = Self { change: Change::Logout, ..Self::of(None) };
                Ok(())
            }
        }
    }

    fn write(&mut self, key: &Bytes, value: Bytes, policy: &Policy) -> Result<(), Error> {
        let mut data = self.data.clone();
        data.insert(key.clone(), value);
        let cap = policy.payload(self.authentication.is_some());
        // A session that is over a cap that was lowered may still shrink.
        if data.size() > cap.bytes && data.size() > self.data.size() {
            return Err(Error::TooLarge { size: data.size(), max: cap.bytes });
        }
        if data.len() > cap.values && data.len() > self.data.len() {
            return Err(Error::TooManyValues { count: data.len(), max: cap.values });
        }
        self.data = data;
        Ok(())
    }

    fn log_in(&mut self, login: &Login, at: Timestamp, policy: &Policy) {
        match &self.authentication {
            Some(previous) if previous.user != login.user => self.data = Data::default(),
            Some(_) | None => self.data.restrict(&login.carry_over),
        }
        self.authentication =
            Some(Authentication { user: login.user.clone(), at, methods: login.methods.clone(), level: login.level });
        self.persistence = policy.persistence(login.remember);
        self.device = login.device.clone();
        self.change = Change::Login;
    }

    fn step_up(&mut self, step_up: &StepUp, at: Timestamp) -> Result<(), Error> {
        let authentication = self.authentication.as_mut().ok_or(Error::NotAuthenticated)?;
        if authentication.user != step_up.user {
            return Err(Error::WrongUser);
        }
        authentication.at = authentication.at.max(at);
        authentication.level = authentication.level.max(step_up.level);
        for method in step_up.methods.iter() {
            if !authentication.methods.contains(method) {
                authentication.methods = with(&authentication.methods, method.clone());
            }
        }
        if self.change != Change::Login {
            self.change = Change::StepUp;
        }
        Ok(())
    }
}

/// `methods` and one more. Shared, because a session is copied more often than it is logged in to.
fn with(methods: &[String], method: String) -> Arc<[String]> {
    methods.iter().cloned().chain([method]).collect()
}
