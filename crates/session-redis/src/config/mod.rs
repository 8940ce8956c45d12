//! How a store is opened.

pub(crate) mod builder;
pub(crate) mod credentials;
pub(crate) mod error;
pub(crate) mod target;
pub(crate) mod tls;
pub(crate) mod url;
