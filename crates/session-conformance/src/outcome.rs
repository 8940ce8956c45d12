//! How a case ends: [`Outcome`], and the checks that lead to it.

use std::error::Error as StdError;
use std::fmt;

use session_core::{EntropyError, KeyError, NamespaceError, StoreError, UserIdError};

/// What a case returns.
pub type Outcome = Result<(), Failure>;

/// What was expected of a backend, and what happened instead. Never contains a token, an id or a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure in one sentence.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The sentence.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An error with all of its sources, because a report shows nothing else.
    pub(crate) fn from_error(error: &(dyn StdError + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Errors that a case does not expect, which end it by `?`.
macro_rules! unexpected {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::from_error(&error)
            }
        }
    )+};
}
unexpected!(
    StoreError,
    session_core::Error,
    EntropyError,
    UserIdError,
    KeyError,
    NamespaceError,
    tokio::task::JoinError
);

/// Ends the case with the given text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new(format!($($text)+)));
        }
    };
}

/// Ends the case unless both values are equal: `ensure_eq!(what happened, what was expected, "the touch")`.
macro_rules! ensure_eq {
    ($actual:expr, $expected:expr, $($text:tt)+) => {
        match (&$actual, &$expected) {
            (actual, expected) => {
                if actual != expected {
                    let what = format!($($text)+);
                    return Err($crate::Failure::new(format!("{what}: expected {expected:?}, got {actual:?}")));
                }
            }
        }
    };
}

pub(crate) use {ensure, ensure_eq};
