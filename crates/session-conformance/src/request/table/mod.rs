//! The list of all cases of whole requests, in the order of the report.

mod begin;
mod change;
mod keep;
mod refresh;

use crate::case::Case;

/// The tables, one after the other.
pub(crate) const REQUEST_CASES: [&[Case]; 4] = [begin::CASES, change::CASES, keep::CASES, refresh::CASES];
