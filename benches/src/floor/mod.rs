//! The floors: the least work that could possibly do the job, without any library for sessions.

mod keep;
mod site;
mod store;

pub(crate) use keep::Keep;
pub(crate) use site::{bare, site};
pub(crate) use store::FloorOp;
