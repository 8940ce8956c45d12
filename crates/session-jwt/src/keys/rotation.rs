//! [`Rotation`]: how long a key is in each state.

use std::time::Duration;

use super::error::KeyError;

/// How long a key of a [`KeyRing`](crate::KeyRing) is in each state.
///
/// ```
/// use std::time::Duration;
/// use session_jwt::Rotation;
///
/// let weekly = Rotation::builder().sign_for(Duration::from_secs(7 * 24 * 3600)).build()?;
/// assert_eq!(weekly.publish_ahead(), Duration::from_secs(24 * 3600));
/// # Ok::<_, session_jwt::KeyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    publish_ahead: Duration,
    sign_for: Duration,
    verify_for: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            publish_ahead: Duration::from_secs(DAY),
            sign_for: Duration::from_secs(30 * DAY),
            verify_for: Duration::from_secs(3600),
        }
    }
}

impl Rotation {
    /// A builder that starts from the defaults.
    pub fn builder() -> RotationBuilder {
        RotationBuilder(Self::default())
    }

    /// How long a key is published before it signs.
    #[must_use]
    pub fn publish_ahead(&self) -> Duration {
        self.publish_ahead
    }

    /// How long a key signs.
    #[must_use]
    pub fn sign_for(&self) -> Duration {
        self.sign_for
    }

    /// How long a key still verifies after it has stopped signing.
    #[must_use]
    pub fn verify_for(&self) -> Duration {
        self.verify_for
    }
}

/// Builds a [`Rotation`]; made by [`Rotation::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct RotationBuilder(Rotation);

impl RotationBuilder {
    /// How long a key is published before it signs: at least as long as verifiers cache the JWKS document, and as servers
    /// take to load a stored ring. Default: 1 day.
    pub fn publish_ahead(mut self, time: Duration) -> Self {
        self.0.publish_ahead = time;
        self
    }

    /// How long a key signs. Default: 30 days.
    pub fn sign_for(mut self, time: Duration) -> Self {
        self.0.sign_for = time;
        self
    }

    /// How long a key still verifies after it has stopped signing: at least as long as what it signed may be used, which
    /// [`AccessTokens`](crate::AccessTokens) and [`JwtSeal`](crate::JwtSeal) check. Default: 1 hour.
    pub fn verify_for(mut self, time: Duration) -> Self {
        self.0.verify_for = time;
        self
    }

    /// The rotation.
    ///
    /// # Errors
    /// [`KeyError::Rotation`] unless each time is between 1 millisecond and 10 years, and `publish_ahead` is shorter than
    /// `sign_for`.
    pub fn build(self) -> Result<Rotation, KeyError> {
        const TEN_YEARS: Duration = Duration::from_secs(3653 * 24 * 3600);
        let Rotation { publish_ahead, sign_for, verify_for } = self.0;
        let allowed = Duration::from_millis(1)..=TEN_YEARS;
        let in_range = [publish_ahead, sign_for, verify_for].iter().all(|time| allowed.contains(time));
        if in_range && publish_ahead < sign_for { Ok(self.0) } else { Err(KeyError::Rotation) }
    }
}
