//! The operations of a store.

mod noop;
mod op;

pub(crate) use noop::NoopStore;
pub use op::StoreOpKind;
pub(crate) use op::{PER_WORKER, StoreOp, policy};
