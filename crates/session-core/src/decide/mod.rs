//! What is decided: pure functions of a record, the policy, the time and random bytes.

pub(crate) mod draft;
pub(crate) mod intent;
pub(crate) mod loaded;
pub(crate) mod maintenance;
pub(crate) mod plan;
pub(crate) mod token;
pub(crate) mod verdict;
