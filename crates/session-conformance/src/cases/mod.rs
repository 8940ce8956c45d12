//! The cases of a store, by verb.

mod apart;
mod boundary;
mod cancel;
mod create;
mod delete;
mod disturbed;
mod evict;
mod history;
mod limit;
mod limit_race;
mod list;
mod load;
mod lost_reply;
mod nodes;
mod outage;
mod replace;
mod revoke;
mod support;
mod sweep;
mod table;
mod touch;
mod update;
mod update_race;
mod users;

pub(crate) use table::STORE_CASES;
