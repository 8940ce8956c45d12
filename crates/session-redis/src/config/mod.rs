//! How a store is opened.

pub(crate) mod builder;
pub(crate) mod url;
