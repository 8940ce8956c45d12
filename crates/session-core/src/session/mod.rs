//! What a handler works with.

pub(crate) mod context;
pub(crate) mod handle;
pub(crate) mod state;
