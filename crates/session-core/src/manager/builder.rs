//! [`SessionManagerBuilder`].

use std::sync::Arc;

use super::background::Background;
use super::backing::{Backing, DenyList};
use super::queue::{CommitQueue, RecentTouches};
use super::watches::Watches;
use super::{Inner, SessionManager};
use crate::clock::{Clock, SystemClock};
use crate::entropy::{Entropy, OsEntropy};
use crate::event::{Reporter, SessionObserver};
use crate::gate::VisitorGate;
use crate::policy::rules::Policy;
use crate::session::Context;
use crate::store::contract::SessionStore;
use crate::store::seal::Seal;

/// Sets up a [`SessionManager`] with other parts than the default ones.
#[derive(Debug)]
#[must_use]
pub struct SessionManagerBuilder {
    kept: Kept,
    policy: Policy,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observers: Vec<Arc<dyn SessionObserver>>,
    gate: Option<Arc<dyn VisitorGate>>,
    reports_new_devices: bool,
}

/// Where sessions are to be kept.
#[derive(Debug)]
enum Kept {
    InStore(Arc<dyn SessionStore>),
    ByClient { seal: Arc<dyn Seal>, deny_list: Option<Arc<dyn SessionStore>> },
}

impl SessionManager {
    /// A builder, for a store that may be shared.
    pub fn builder(store: Arc<dyn SessionStore>) -> SessionManagerBuilder {
        SessionManagerBuilder::new(Kept::InStore(store))
    }

    /// A builder for client-side sessions: each is in its cookie, sealed, and nowhere else. No request costs a round trip.
    ///
    /// In exchange, and whatever the policy says: two requests that change a session at once overwrite each other, and
    /// the later response wins; there is no list of a user's sessions, no limit, and no revocation but
    /// [`Policy::not_before`]; a logout or login removes a cookie, but a copy of it works until its deadlines, unless there
    /// is a `deny_list`, and without one, step-up and regeneration are [refused](crate::Error::NoDenyList); a session, with
    /// everything around it, has at most [3000 bytes](crate::CookiePolicyBuilder::size_limit), so that it passes a proxy, and
    /// unless its seal encrypts, its holder can read it.
    ///
    /// `deny_list` is any store, best one of its own. Sessions that end are noted there, those of visitors as far as their
    /// [limit](crate::VisitorLimit) goes, and it is asked with each request
    /// that opens a session: one round trip.
    pub fn client_side(seal: impl Seal, deny_list: Option<Arc<dyn SessionStore>>) -> SessionManagerBuilder {
        SessionManagerBuilder::new(Kept::ByClient { seal: Arc::new(seal), deny_list })
    }
}

impl SessionManagerBuilder {
    fn new(kept: Kept) -> Self {
        Self {
            kept,
            policy: Policy::standard(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            observers: Vec::new(),
            gate: None,
            reports_new_devices: false,
        }
    }

    /// The rules. Without it, [`Policy::standard`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock that decides deadlines. Without it, [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The source of ids and tokens. Without it, [`OsEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Adds a receiver of events.
    pub fn observer(mut self, observer: impl SessionObserver) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Counts and times through the facade [`metrics`](https://docs.rs/metrics), version 0.24: what there is, is said in
    /// [the manual](crate::manual::observing). Install the recorder of your exporter before this is called: metrics are registered
    /// here, with the one that is there.
    #[cfg(feature = "metrics")]
    pub fn metrics(self) -> Self {
        let store = match &self.kept {
            Kept::InStore(store) => store.name(),
            Kept::ByClient { .. } => "client-side",
        };
        self.observer(crate::metrics::Meter::new(store))
    }

    /// Who decides whether a visitor may begin a session. Without it, every visitor may.
    ///
    /// The context of every request is collected for it, which costs each a few allocations.
    pub fn visitor_gate(mut self, gate: impl VisitorGate) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// Reports [`EventKind::NewDevice`](crate::EventKind::NewDevice), so that the user can be told. One more round trip for each
    /// login.
    pub fn report_new_devices(mut self) -> Self {
        self.reports_new_devices = true;
        self
    }

    /// The manager.
    #[must_use]
    pub fn build(self) -> SessionManager {
        let Self { kept, policy, clock, entropy, observers, gate, reports_new_devices } = self;
        let (backing, seal) = match kept {
            Kept::InStore(store) => (Backing::Store(store), None),
            Kept::ByClient { seal, deny_list } => {
                let deny_list = deny_list.map(|store| DenyList {
                    store,
                    entropy: Arc::clone(&entropy),
                    format: policy.record_format(),
                    visitors: policy.visitor_limit(),
                });
                (Backing::Client { deny_list }, Some(seal))
            }
        };
        let wants_request = gate.is_some() || observers.iter().any(|observer| observer.wants_request());
        let reporter = Arc::new(Reporter::new(Arc::clone(&clock), observers));
        let background = Arc::new(Background::new(Arc::clone(&reporter)));
        let ends_cookies = !matches!(backing, Backing::Client { deny_list: None });
        let context = Context { policy, clock, seal, ends_cookies };
        let (queue, touches) = (CommitQueue::default(), RecentTouches::default());
        let watches = Watches::default();
        let inner = Inner {
            backing,
            context,
            entropy,
            reporter,
            background,
            queue,
            touches,
            watches,
            gate,
            wants_request,
            reports_new_devices,
        };
        SessionManager { inner: Arc::new(inner), request: None }
    }
}
