//! The cases of a store, by operation.

mod cancel;
mod cluster;
mod contention;
mod create;
mod delete;
mod disruptions;
mod evict;
mod history;
mod isolation;
mod limit;
mod limit_race;
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
mod update_race;
mod users;

use crate::case::Case;

/// All of them, in the order of the report.
pub(crate) const STORE_CASES: [&[Case]; 20] = [
    load::CASES,
    create::CASES,
    replace::CASES,
    evict::CASES,
    limit::CASES,
    limit_race::CASES,
    update::CASES,
    update_race::CASES,
    touch::CASES,
    delete::CASES,
    list::CASES,
    users::CASES,
    revoke::CASES,
    sweep::CASES,
    liveness::CASES,
    cancel::CASES,
    history::CASES,
    nodes::CASES,
    isolation::CASES,
    disruptions::CASES,
];
