//! Every backend side by side with the least that could do the same job.
//!
//! What is measured is described once, as [`Case`]s. `cargo xtask bench` compares each with its floor, in rounds that
//! take turns; `cargo bench -p session-benches` runs the same with criterion, to compare a change with what was before.

mod case;
mod fill;
mod floor;
mod growth;
mod measure;
mod memory;
mod op;
mod payload;
mod report;
mod request;
mod servers;
mod store;

pub use case::{Case, What};
pub use growth::growth;
pub use measure::{Effort, Sample, compare};
pub use memory::memory;
pub use op::{Failure, Round, Subject};
pub use report::{Environment, Growth, Memory, Report, Row};
pub use request::RequestOpKind;
pub use servers::{Addresses, Backend, Proxies, Servers};
pub use store::StoreOpKind;
