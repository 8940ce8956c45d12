//! The shared suite that every session store must pass.
//!
//! [`SessionStore`](session_core::store::SessionStore) is a contract; this crate proves that a backend keeps it. It holds
//! the [cases], each of which is one promise with an id, and the runner. *Store cases* call the store; *request cases*
//! send whole requests through [`SessionManager`](session_core::SessionManager) above it.
//!
//! # Test your backend
//! Implement [`Harness`], and make it a test with `harness = false`:
//!
//! ```toml
//! [dev-dependencies]
//! async-trait = "0.1"
//! session-conformance = "0.1"
//!
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use session_conformance::{Capabilities, Failure, Harness};
//! use session_core::Namespace;
//! use session_core::store::SessionStore;
//! # use session_conformance::ReferenceStore as MyStore;
//!
//! #[derive(Debug)]
//! struct MyBackend;
//!
//! #[async_trait]
//! impl Harness for MyBackend {
//!     fn backend(&self) -> &'static str {
//!         "mine"
//!     }
//!
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities { durable: false, shared: false, disruptions: &[] }
//!     }
//!
//!     async fn open(&self, _namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
//!         Ok(Arc::new(MyStore::new()))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     session_conformance::main(MyBackend)
//! }
//! ```
//! `cargo test --test conformance` then shows each case as a test; `cargo test --test conformance -- update/` runs
//! those about `update`. A case that needs a [capability](Capabilities) the backend lacks is ignored, with the reason; so
//! is one that is [waived](Waiver). A waived case that passes is a failure, and so is a backend that cannot be reached.
//!
//! Cases run in parallel, each in its own namespace, with a manual clock in the year 2100, which exposes a backend that
//! reads its own clock. [`run`] does the same from a program, for a [`Report`] of several backends.
//!
//! # Recorded histories
//! Three cases (`history/…`) check linearizability. Several tasks make random calls at once, on two nodes if the backend is
//! [shared](Capabilities::shared); the case records calls and answers, and searches for an order of the calls in which
//! [`ReferenceStore`] gives the same answers. If there is none, the failure shows the whole history, with its seed. Of a store
//! that keeps copies, a copy may be a read of the past: as long ago as [`Harness::staleness`] says, and not before what the node
//! that gives it has answered before.
//!
//! # Disrupt your servers
//! A harness without [`disruptions`](Capabilities::disruptions), as above, is complete; cases that need one are then
//! `n/a`. If it can start servers, implement [`Harness::launch`] and [`Service`], too:
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use session_conformance::{Failure, Service};
//! use session_core::Namespace;
//! use session_core::store::SessionStore;
//! # use session_conformance::ReferenceStore as MyStore;
//! # #[derive(Debug, Default)]
//! # struct MyServer;
//! # impl MyServer {
//! #     async fn stop(&self) -> Result<(), Failure> { Ok(()) }
//! #     async fn start(&self) -> Result<(), Failure> { Ok(()) }
//! #     fn connect(&self, _: &Namespace) -> MyStore { MyStore::new() }
//! # }
//!
//! // What `launch` returns: servers that no other case uses.
//! #[derive(Debug)]
//! struct MyService {
//!     server: MyServer,
//! }
//!
//! #[async_trait]
//! impl Service for MyService {
//!     async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
//!         Ok(Arc::new(self.server.connect(namespace)))
//!     }
//!
//!     // `Disruption::Outage`
//!     async fn begin(&self) -> Result<(), Failure> {
//!         self.server.stop().await
//!     }
//!
//!     async fn end(&self) -> Result<(), Failure> {
//!         self.server.start().await
//!     }
//! }
//! ```
//! Such a case starts its own servers even if the others run on existing ones.
//!
//! # Test your HTTP adapter
//! Request cases send their requests through an HTTP adapter: [`CoreAdapter`] when a backend is tested. Implement
//! [`AdapterHarness`], and [`adapter_main`] runs them through yours; [`run_adapter`] does it from a program. If the adapter has
//! token routes, so are those about refresh tokens.
//!
//! # The suite is tested, too
//! Beside each store case stand the [faults](Fault) it catches. This crate's own tests seed each fault in turn into
//! the [`ReferenceStore`], and check that exactly the cases that name it fail. A new store case comes with a fault that
//! it catches. What request cases catch, mutation testing of session-core shows.
//!
//! # Test doubles
//! [`RecordBuilder`] builds valid records, [`ReferenceStore`] is a correct store in memory, and [`Intercepted`] puts a hook
//! around every operation of a store, to count, record, delay or fail them.

mod adapter;
mod case;
mod cases;
mod catalog;
mod compare;
mod core_adapter;
mod encrypted;
mod env;
mod faults;
mod harness;
mod history;
mod intercept;
mod layered;
mod mimic;
mod outcome;
mod record;
mod reference;
mod reference_harness;
mod refusal;
mod report;
mod request;
mod runner;
mod service;
mod table;
mod test_store;

pub use adapter::{AdapterHarness, Handler, HttpRequest, HttpResponse, TokenRequest};
pub use case::Case;
pub use catalog::{cases, is_request, matching};
pub use core_adapter::CoreAdapter;
pub use encrypted::EncryptedHarness;
pub use env::Env;
pub use faults::Fault;
pub use harness::{Capabilities, Harness, Need, Waiver};
pub use history::Rng;
pub use intercept::{Intercept, Intercepted, StoreCall};
pub use layered::LayeredHarness;
pub use mimic::{adapter_main, main};
pub use outcome::{Failure, Outcome};
pub use record::RecordBuilder;
pub use reference::ReferenceStore;
pub use reference_harness::ReferenceHarness;
pub use report::{CaseReport, CaseResult, Report, Row, Tally};
pub use runner::{Options, run, run_adapter, run_case};
pub use service::{Disruption, Service};
