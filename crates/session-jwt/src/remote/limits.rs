//! [`FetchLimits`].

use std::time::Duration;

/// When and for how long a [`RemoteVerifier`](crate::RemoteVerifier) fetches, and how long it keeps what it got.
///
/// ```
/// use std::time::Duration;
/// use session_jwt::FetchLimits;
///
/// let limits = FetchLimits::builder().min_interval(Duration::from_secs(60)).build()?;
/// assert_eq!(limits.timeout(), Duration::from_secs(5));
/// # Ok::<_, session_jwt::FetchLimitsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    timeout: Duration,
    min_interval: Duration,
    min_fresh: Duration,
    max_fresh: Duration,
    keep_for: Duration,
}

/// The times of [`FetchLimits`] contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "timeout must be at most a minute, each time at least 1 second, min_interval <= min_fresh <= max_fresh <= keep_for <= 30 days"
)]
pub struct FetchLimitsError;

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            min_interval: Duration::from_secs(30),
            min_fresh: Duration::from_secs(60),
            max_fresh: Duration::from_secs(3600),
            keep_for: Duration::from_secs(24 * 3600),
        }
    }
}

impl FetchLimits {
    /// What a response without `Cache-Control` is worth, within the bounds.
    const USUAL_FRESH: Duration = Duration::from_secs(600);

    /// A builder that starts from the defaults.
    pub fn builder() -> FetchLimitsBuilder {
        FetchLimitsBuilder(Self::default())
    }

    /// The time limit of a fetch.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The time between the beginnings of two fetches, whatever asks for them.
    #[must_use]
    pub fn min_interval(&self) -> Duration {
        self.min_interval
    }

    /// How long keys serve while they cannot be fetched again.
    #[must_use]
    pub fn keep_for(&self) -> Duration {
        self.keep_for
    }

    /// For how long a document is fresh whose response allows `max_age`.
    pub(super) fn fresh_for(&self, max_age: Option<Duration>) -> Duration {
        max_age.unwrap_or(Self::USUAL_FRESH).clamp(self.min_fresh, self.max_fresh)
    }
}

/// Builds [`FetchLimits`]; made by [`FetchLimits::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct FetchLimitsBuilder(FetchLimits);

impl FetchLimitsBuilder {
    /// The time limit of a fetch, at most a minute. Default: 5 seconds.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.0.timeout = time;
        self
    }

    /// The time between the beginnings of two fetches. Until it has passed, a token with an unknown `kid` is refused without
    /// a fetch: so it is also how long a token of an issuer may be refused that signs with a key as soon as it publishes it.
    /// Default: 30 seconds.
    pub fn min_interval(mut self, time: Duration) -> Self {
        self.0.min_interval = time;
        self
    }

    /// The bounds of `max-age`: how long a document is fresh at least, and at most. Without `max-age`, it is for 10 minutes,
    /// within the bounds. Keys that the issuer has retired verify that long. Default: 1 minute to 1 hour.
    pub fn fresh_for(mut self, at_least: Duration, at_most: Duration) -> Self {
        self.0.min_fresh = at_least;
        self.0.max_fresh = at_most;
        self
    }

    /// How long keys serve while every fetch fails, since the last that did not; at most 30 days. It is also how long
    /// somebody who can block the fetches can keep a retired key alive. Default: 1 day.
    /// That includes an issuer that publishes no usable key any more, which looks like a fault: to withdraw the keys of an issuer
    /// at once, replace the verifier.
    pub fn keep_for(mut self, time: Duration) -> Self {
        self.0.keep_for = time;
        self
    }

    /// The limits.
    ///
    /// # Errors
    /// [`FetchLimitsError`] unless each time is at least a second, the timeout at most a minute, and `min_interval <=
    /// min_fresh <= max_fresh <= keep_for <= 30 days`.
    pub fn build(self) -> Result<FetchLimits, FetchLimitsError> {
        let FetchLimits { timeout, min_interval, min_fresh, max_fresh, keep_for } = self.0;
        let rising =
            [Duration::from_secs(1), min_interval, min_fresh, max_fresh, keep_for, Duration::from_secs(30 * 24 * 3600)];
        let timeouts = Duration::from_secs(1)..=Duration::from_secs(60);
        if rising.is_sorted() && timeouts.contains(&timeout) { Ok(self.0) } else { Err(FetchLimitsError) }
    }
}
