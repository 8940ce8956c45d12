#![doc = include_str!("manual/index.md")]

mod client_side;
mod clock;
mod codec;
mod commit;
mod cookie;
mod credential;
mod data;
mod entropy;
mod error;
mod event;
mod id;
mod intent;
mod manager;
mod plan;
mod policy;
mod queue;
mod record;
mod refresh;
mod request;
mod session;
mod store;
mod sweep;
mod token;
mod verdict;

pub mod manual;

pub use client_side::Seal;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use codec::{RecordHeader, layout};
pub use cookie::{CookiePolicy, CookiePolicyBuilder, CookiePolicyError, PresentedCookie, SameSite, SetCookie};
pub use credential::{Credential, Grace, TokenCheck, TokenDigest};
pub use data::{Data, Key, KeyError, ValueError};
pub use entropy::{Entropy, EntropyError, OsEntropy};
pub use error::{Error, StoreError, StoreErrorKind};
pub use event::{Event, EventKind, SessionObserver, Termination, TracingObserver};
pub use id::{ParseSessionIdError, SessionId, UserId, UserIdError};
pub use intent::{Login, StepUp};
pub use manager::{SessionManager, SessionManagerBuilder};
pub use policy::{
    LimitCandidate, LimitPolicy, PayloadLimit, Policy, PolicyBuilder, PolicyError, RememberMe, Renewal, SessionLimit,
    WriteConflict,
};
pub use record::{Assurance, Authentication, Device, Kind, Persistence, Record, SessionSummary, Timeouts, Version};
pub use refresh::{IssuedRefreshToken, VerifiedRefreshToken};
pub use request::{RequestSession, ResponseHeaders};
pub use session::{Session, SessionInfo};
pub use store::{CreateOutcome, CreateRequest, DeleteOutcome, Replacement, SessionStore, TouchOutcome, UpdateOutcome};
pub use token::{EncodedToken, MalformedToken, PresentedToken, SessionToken};
pub use verdict::{Due, Expiry, Verdict, verdict};
