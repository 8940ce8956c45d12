//! The way to the server: which connection a statement is executed on, when once more, which ones share a round trip,
//! and what becomes of those that nobody waits for; what its errors mean.
//!
//! Knows nothing of sessions.

mod abandoned;
mod batch;
mod connections;
mod error;
mod executor;
mod home;
mod lease;
mod places;
mod unsettled;

pub(crate) use self::batch::{Batcher, Operation};
pub(crate) use self::error::{is_farewell, is_reply, store_error, unexpected_reply};
pub(crate) use self::executor::Executor;
pub use self::executor::Pooler;
pub(crate) use self::lease::Statement;
pub(crate) use self::places::Purpose;
