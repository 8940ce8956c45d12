//! Processes of the demo on one store: how soon one obeys what another one did, and how late at most, whatever goes wrong.
//!
//! What the simulation and the model of session-cache show of its rules, this shows of everything together: processes,
//! connections, and servers that fail over.

mod bed;
mod census;
mod failures;
mod fault;
mod http;
mod inject;
mod latency;
mod node;
mod wire;
mod witness;
mod world;

pub use self::bed::Store;
pub use self::failures::{Broken, Options, Outcome, failures};
pub use self::fault::Fault;
pub use self::latency::{Delays, Latency, Revocation, latency};
