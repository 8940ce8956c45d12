//! [`TokenRequirement`]: what a route wants of an access token.

use std::time::Duration;

use session_core::Assurance;

/// What a route wants of an access token, beside that it is valid: the parameter of [`Bearer`](crate::Bearer)
/// and [`LiveBearer`](crate::LiveBearer).
///
/// ```
/// use std::time::Duration;
/// use session_core::Assurance;
/// use session_tower::{Bearer, TokenRequirement};
///
/// struct Payments;
///
/// impl TokenRequirement for Payments {
///     const SCOPES: &'static [&'static str] = &["payments:write"];
///     const LEVEL: Option<Assurance> = Some(Assurance::Aal2);
///     const MAX_AGE: Option<Duration> = Some(Duration::from_secs(300));
/// }
///
/// async fn pay(bearer: Bearer<Payments>) -> String {
///     format!("{} may pay", bearer.user.as_str())
/// }
/// ```
pub trait TokenRequirement: Send + Sync + 'static {
    /// The scope tokens that it must have, all of them; else 403 `insufficient_scope`.
    const SCOPES: &'static [&'static str] = &[];
    /// The level at which the user must have authenticated; else 401 `insufficient_user_authentication` (RFC 9470): the client
    /// lets the user log in once more, more strongly, in place of the session.
    const LEVEL: Option<Assurance> = None;
    /// How long ago at most that may have been, else the same. Tokens tell it in whole seconds.
    const MAX_AGE: Option<Duration> = None;
}

/// Any valid access token will do.
#[derive(Clone, Copy, Debug)]
pub struct AnyToken;

impl TokenRequirement for AnyToken {}
