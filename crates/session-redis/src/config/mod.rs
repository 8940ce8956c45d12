//! How a store is opened.

pub(crate) mod builder;
pub(crate) mod error;
pub(crate) mod url;
