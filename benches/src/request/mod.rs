//! Whole requests to an axum application, called in process.

mod op;
mod site;

pub(crate) use op::RequestOp;
pub use op::RequestOpKind;
pub(crate) use site::{site, tokens};
