//! Moving live sessions from one store to another: the store that nodes have meanwhile, and the copy of the rest.

mod copy;
mod settle;
mod store;
mod ticket;

pub use copy::{MovedPage, MovingProgress};
pub use store::MovingStore;
