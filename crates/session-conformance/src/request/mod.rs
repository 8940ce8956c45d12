//! Cases of whole requests, through an HTTP adapter and `SessionManager`.

mod app;
mod app_tokens;
mod browser;
mod client;
mod cookies;
mod devices;
mod events;
mod fixation;
mod jar;
mod lifetime;
mod limits;
mod node;
mod outage;
mod races;
mod refresh;
mod refresh_reuse;
mod refresh_table;
mod renewal;
mod support;
mod table;

use crate::case::Case;

/// All of them, in the order of the report.
pub(crate) const REQUEST_CASES: [&[Case]; 2] = [table::CASES, refresh_table::CASES];
