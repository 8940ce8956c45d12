//! [`failure`]: what is reported of an error.

use session_conformance::Failure;

pub(crate) fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
