//! What a session is: its parts as plain data, without a decision and without I/O.

pub(crate) mod binding;
pub(crate) mod credential;
pub(crate) mod data;
pub(crate) mod device;
pub(crate) mod format;
pub(crate) mod grant;
pub(crate) mod id;
mod json;
pub(crate) mod record;
pub(crate) mod reserved;
pub(crate) mod summary;
pub(crate) mod token;
