//! The list of all cases of a store, in the order of the report.

mod begin;
mod change;
mod disturbed;
mod end;

use crate::case::Case;

/// The tables, one after the other.
pub(crate) const STORE_CASES: [&[Case]; 4] = [begin::CASES, change::CASES, end::CASES, disturbed::CASES];
