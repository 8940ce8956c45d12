//! The accounts of this site, and how a user proves who they are.

use std::fmt;
use std::net::SocketAddr;

use async_trait::async_trait;
use axum::extract::ConnectInfo;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use serde::Deserialize;
use session_core::{Device, Login, SessionSummary, StepUp, UserId};
use session_jwt::{AccountStatus, AccountsError, Attempt};
use session_tower::Authenticator;
use subtle::ConstantTimeEq as _;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// Who may see the sessions of everybody. A real site has it in its database, beside what else a user may do.
const ADMINISTRATORS: [&str; 1] = ["alice"];

/// No secret. A real site stores one slow hash (Argon2id) per user, and limits the rate of attempts.
const PASSWORD: &str = "correct-horse";

/// What a login takes, in a form or in JSON.
#[derive(Deserialize)]
pub struct Credentials {
    /// The name of the user.
    pub username: String,
    password: String,
    #[serde(default)]
    remember: bool,
    /// The page that the form leads to afterwards; whatever the address of the form said.
    pub next: Option<String>,
}

impl Credentials {
    /// The login from this device, if name and password are right.
    #[must_use]
    pub fn login(&self, device: Device) -> Option<Login> {
        let login = Login::new(verify(&self.username, &self.password)?).method("pwd").device(device);
        Some(if self.remember { login.remember() } else { login })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// The password of a user who is already logged in.
#[derive(Deserialize)]
pub struct Reauthentication {
    password: String,
}

impl Reauthentication {
    /// The step-up, if the password is right.
    #[must_use]
    pub fn step_up(&self, user: &UserId) -> Option<StepUp> {
        verify(user.as_str(), &self.password).map(|user| StepUp::new(user).method("pwd"))
    }
}

impl fmt::Debug for Reauthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reauthentication").finish_non_exhaustive()
    }
}

/// What the token routes need to know: which logins are right, and which accounts are active. A real site queries its
/// database.
#[derive(Clone, Copy, Debug)]
pub struct Accounts;

#[async_trait]
impl Authenticator for Accounts {
    type Credentials = Credentials;

    async fn authenticate(&self, credentials: Credentials, parts: &Parts) -> Result<Attempt, AccountsError> {
        Ok(credentials.login(device(parts)).into())
    }
}

#[async_trait]
impl session_jwt::Accounts for Accounts {
    async fn status(&self, user: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(if USERS.contains(&user.as_str()) { AccountStatus::Active } else { AccountStatus::Disabled })
    }
}

/// Whether `user` may see the sessions of everybody. Asked for each request, and not kept in the session: who is no administrator
/// any more is none at once.
pub(crate) fn is_administrator(user: &UserId) -> bool {
    ADMINISTRATORS.contains(&user.as_str())
}

/// The user, if name and password are right. An unknown name takes as long as a wrong password.
fn verify(username: &str, password: &str) -> Option<UserId> {
    let right = bool::from(password.as_bytes().ct_eq(PASSWORD.as_bytes()));
    let known = USERS.contains(&username);
    if right && known { UserId::new(username).ok() } else { None }
}

/// The other end of the connection, for the list of devices.
///
/// Behind a proxy that is the proxy. A real site then takes the address from a header that its own proxy sets, and from
/// no other: any client can send an `X-Forwarded-For`.
pub(crate) fn device(parts: &Parts) -> Device {
    let mut device = Device::new();
    if let Some(user_agent) = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()) {
        device = device.with_user_agent(user_agent);
    }
    if let Some(ConnectInfo(address)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
        device = device.with_ip(address.ip().to_canonical());
    }
    device
}
