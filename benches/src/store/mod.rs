//! Store operations.

mod noop;
mod op;

pub(crate) use noop::NoopStore;
pub use op::StoreOpKind;
pub(crate) use op::{StoreOp, policy};
