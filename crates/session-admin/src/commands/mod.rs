//! What each command does.

pub(crate) mod check;
pub(crate) mod copy;
pub(crate) mod count;
pub(crate) mod list;
pub(crate) mod revoke;
pub(crate) mod show;
pub(crate) mod sweep;
