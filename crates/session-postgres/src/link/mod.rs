//! The way to the server: which connection a statement is executed on, when once more, and which ones share a round
//! trip.
//!
//! Knows nothing of sessions.

mod batch;
mod connections;
mod executor;

pub(crate) use self::batch::{Batcher, Operation};
pub use self::executor::Pooler;
pub(crate) use self::executor::{Executor, Statement};
