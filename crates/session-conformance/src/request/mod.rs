//! Cases of whole requests, through `SessionManager`.

mod browser;
mod client;
mod cookies;
mod devices;
mod dice;
mod events;
mod fault;
mod fixation;
mod lifetime;
mod limits;
mod line;
mod node;
mod outage;
mod races;
mod recorder;
mod refresh;
mod refresh_races;
mod refresh_reuse;
mod renewal;
mod responses;
mod secrets;
mod seeded;
mod steps;
mod stepup;
mod table;
mod tokens;
mod values;

use session_core::{Policy, PolicyBuilder};

use crate::outcome::Failure;

pub use fault::RequestFault;
pub(crate) use table::REQUEST_CASES;

/// No store calls.
const NONE: [&str; 0] = [];

/// [`Policy::standard`] with changes.
fn policy(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Result<Policy, Failure> {
    change(Policy::standard().to_builder()).build().map_err(|error| Failure::new(error.to_string()))
}

/// Ends the case unless the result is an error of this pattern: `ensure_err!(result, Error::Gone, "a late write")`.
macro_rules! ensure_err {
    ($result:expr, $wanted:pat, $($text:tt)+) => {
        match $result {
            Err($wanted) => {}
            Err(error) => {
                let what = format!($($text)+);
                return Err($crate::Failure::new(format!("{what}: expected {}, got: {error}", stringify!($wanted))));
            }
            Ok(_) => {
                let what = format!($($text)+);
                return Err($crate::Failure::new(format!("{what}: expected {}, but it worked", stringify!($wanted))));
            }
        }
    };
}
use ensure_err;
