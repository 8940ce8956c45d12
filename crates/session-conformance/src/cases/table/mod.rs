//! The list of all cases of a store, in the order of the report.

mod begin;
mod change;
mod end;

use crate::case::Case;

/// The tables, one after the other.
pub(crate) const STORE_CASES: [&[Case]; 3] = [begin::CASES, change::CASES, end::CASES];
