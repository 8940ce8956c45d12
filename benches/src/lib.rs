//! Every backend side by side with its floor: the least work that could do the same job.
//!
//! What is measured is described once, as [`Case`]s. `cargo xtask bench` compares each with its floor in alternating
//! rounds; `cargo bench -p session-benches` runs the same cases with criterion, to compare a change with the last run.

mod admin;
mod backend;
mod case;
mod chart;
mod cost;
mod floor;
mod followers;
mod growth;
mod measure;
mod memory;
mod op;
mod payload;
mod populate;
mod process;
mod report;
mod request;
mod servers;
mod store;
mod tables;

pub use admin::{AdminOptions, AdminStore, admin};
pub use backend::Backend;
pub use case::{CachedOpKind, Case, Operation};
pub use chart::svg;
pub use cost::cost;
pub use followers::followers;
pub use growth::growth;
pub use measure::{RunLength, Sample, compare};
pub use memory::memory;
pub use op::{Benchmark, Failure, Round};
pub use report::{Administration, Cost, Environment, Followers, Growth, Memory, Moved, Report, Row};
pub use request::RequestOpKind;
pub use servers::{Addresses, Proxies, Servers};
pub use store::StoreOpKind;
pub use tables::{markdown, text};
