//! The cases of a store, by operation.

mod administration;
mod cancel;
mod create;
mod delete;
mod disruptions;
mod history;
mod limit;
mod list;
mod liveness;
mod load;
mod lost_reply;
mod nodes;
mod outage;
mod replace;
mod revoke;
mod support;
mod survival;
mod sweep;
mod touch;
mod update;
mod users;
mod visitors;

use crate::case::Case;

/// All of them, in the order of the report.
pub(crate) const STORE_CASES: [&[Case]; 18] = [
    load::CASES,
    create::CASES,
    replace::CASES,
    limit::CASES,
    visitors::CASES,
    update::CASES,
    touch::CASES,
    delete::CASES,
    list::CASES,
    users::CASES,
    revoke::CASES,
    administration::CASES,
    sweep::CASES,
    liveness::CASES,
    cancel::CASES,
    history::CASES,
    nodes::CASES,
    disruptions::CASES,
];
