//! What is decided: pure functions of a record, the policy, the time and random bytes.

pub(crate) mod intent;
pub(crate) mod plan;
pub(crate) mod replays;
pub(crate) mod verdict;
