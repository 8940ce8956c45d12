#![doc = include_str!("manual/index.md")]
#![cfg_attr(
    not(feature = "encryption"),
    allow(rustdoc::broken_intra_doc_links, reason = "what the feature brings is described too")
)]

pub mod adapter;
pub mod manual;
pub mod store;
#[cfg(feature = "test-util")]
pub mod testing;

mod binding;
mod clock;
mod decide;
mod entropy;
mod error;
mod event;
mod gate;
mod manager;
mod measurement;
#[cfg(feature = "metrics")]
mod metrics;
mod model;
mod policy;
mod session;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use decide::intent::{Login, StepUp};
pub use decide::verdict::{Verdict, verdict};
pub use entropy::{Entropy, EntropyError, OsEntropy};
pub use error::{Error, StoreError, StoreErrorKind};
pub use event::{
    Event, EventKind, Expiry, OriginRefusal, RequestContext, SessionObserver, Termination, TracingObserver,
};
pub use gate::{VisitorDecision, VisitorGate};
pub use manager::SessionManager;
pub use manager::builder::SessionManagerBuilder;
pub use manager::handle::SessionHandle;
pub use manager::refresh::{IssuedRefreshToken, VerifiedRefreshToken};
pub use measurement::{Measurement, Opened};
pub use model::binding::{KeyThumbprint, ParseKeyThumbprintError};
pub use model::data::{Key, KeyError, ValueError};
pub use model::device::Device;
pub use model::format::RecordFormat;
pub use model::grant::{Grant, GrantError, Scope};
pub use model::id::{ParseSessionIdError, SessionId, UserId, UserIdError};
pub use model::summary::{Assurance, Authentication, Persistence, Proof, SessionSummary, Timeouts};
pub use model::token::{EncodedToken, Kind, MalformedToken, PresentedToken, SessionToken};
pub use policy::builder::{PolicyBuilder, PolicyError};
pub use policy::caching::{AuthenticatedCaching, ClearSiteData};
pub use policy::cookie::{CookiePolicy, CookiePolicyBuilder, CookiePolicyError, SameSite};
pub use policy::limit::{LimitPolicy, SessionLimit};
pub use policy::rules::{PayloadLimit, Policy, RememberMe, Renewal, WriteConflict};
pub use policy::visitors::VisitorLimit;
pub use session::Session;
pub use store::contract::DeleteOutcome;
pub use store::namespace::{Namespace, NamespaceError};
