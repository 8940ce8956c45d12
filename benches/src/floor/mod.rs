//! The floors: the least work that could do the job, without any session library.

mod op;
mod site;
mod sqlite;
mod store;

pub(crate) use op::FloorOp;
pub(crate) use site::{bare, site};
pub(crate) use store::FloorStore;
