//! Recorded histories: the calls of several tasks at once, their answers, and whether these are linearizable.
//!
//! They are if there is an order of all calls in which each lies between its beginning and its end, and in which
//! [`Sessions`](crate::reference::Sessions) gives the same answers.

mod call;
#[cfg(test)]
mod copies;
mod linearize;
#[cfg(test)]
mod oracle;
mod render;
mod rng;

pub(crate) use call::{Answer, Call, Seen};
pub(crate) use linearize::{Copies, Log};
pub use rng::Rng;
