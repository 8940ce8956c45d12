//! A session with the intents of its request applied: [`Draft`]. Pure.

use bytes::Bytes;

use super::intent::{Intent, Login, StepUp, with_method};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::model::data::Data;
use crate::model::device::Device;
use crate::model::record::Record;
use crate::model::summary::{Authentication, Persistence};
use crate::policy::rules::Policy;

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
                authentication: record.summary.authentication.clone(),
                persistence: record.summary.persistence,
                device: record.summary.device.clone(),
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
        let mut draft = Self::of(None);
        draft.log_in(login, at, policy);
        draft
    }

    /// `base` with all `intents`. An error leaves nothing to commit.
    pub(crate) fn replay(base: Option<&Record>, intents: &[Intent], policy: &Policy) -> Result<Self, Error> {
        let mut draft = Self::of(base);
        for intent in intents {
            draft.apply(intent, policy)?;
        }
        Ok(draft)
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
        let authentication = Authentication::new(login.user.clone(), at, login.level);
        self.authentication = Some(Authentication { methods: login.methods.clone(), ..authentication });
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
                authentication.methods = with_method(&authentication.methods, method.clone());
            }
        }
        if self.change != Change::Login {
            self.change = Change::StepUp;
        }
        Ok(())
    }
}
