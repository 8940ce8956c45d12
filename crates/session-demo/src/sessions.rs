//! The three kinds of sessions: the option `--mode`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::SessionStore;
use session_core::{
    Clock as _, Persistence, Policy, SessionManager, SessionManagerBuilder, SystemClock, TracingObserver,
};
use session_jwt::{AccessTokens, JwtSeal, KeyRing, TokenPolicy, TokenService};
use session_moka::MokaStore;

use crate::accounts::Accounts;
use crate::args::{Args, Mode};
use crate::history::History;
use crate::keys::{self, KeyFile};
use crate::store::OpenStore;

/// How often the key file is read again. Keys are published a day before they sign.
const RELOAD_INTERVAL: Duration = Duration::from_secs(60);

/// The sessions of the site.
#[derive(Clone, Debug)]
pub enum Sessions {
    /// [`Mode::Cookie`].
    Cookie(SessionManager),
    /// [`Mode::Hybrid`].
    Hybrid(Arc<TokenService>),
    /// [`Mode::Client`], with the seal of the manager.
    Client(SessionManager, Arc<JwtSeal>),
}

impl Sessions {
    /// The sessions that the options ask for, in the store of `--store`; without it in memory or, with [`Mode::Client`],
    /// nowhere. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the keys cannot be used, or the options contradict each other.
    pub async fn open(args: &Args, policy: Policy, store: Option<&OpenStore>) -> Result<Self, Box<dyn Error>> {
        Self::open_with(args, policy, store, History::new()).await
    }

    /// As [`open`](Self::open); what happens to sessions is remembered in `history`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        args: &Args,
        policy: Policy,
        store: Option<&OpenStore>,
        history: History,
    ) -> Result<Self, Box<dyn Error>> {
        if args.mode == Mode::Cookie && args.keys.is_some() {
            return Err("--keys is for --mode hybrid and --mode client: nothing is signed with --mode cookie".into());
        }
        let ring = async || match args.keys.clone() {
            // Waits for a lock, which must not keep the server from ending.
            Some(path) => {
                let opened = tokio::task::spawn_blocking(move || KeyFile::new(path).open(SystemClock.now()));
                opened.await?.map_err(Box::<dyn Error>::from)
            }
            None => Ok(keys::generate(SystemClock.now())?),
        };
        let store = store.map(OpenStore::store);
        let in_memory = || -> Arc<dyn SessionStore> { Arc::new(MokaStore::new()) };
        let manager = |builder: SessionManagerBuilder| {
            builder.policy(policy.clone()).observer(TracingObserver).observer(history.clone()).metrics().build()
        };
        Ok(match args.mode {
            Mode::Cookie => Self::Cookie(manager(SessionManager::builder(store.unwrap_or_else(in_memory)))),
            Mode::Hybrid => {
                let tokens = Arc::new(AccessTokens::new(token_policy(&policy, &args.issuer())?, ring().await?)?);
                let manager = manager(SessionManager::builder(store.unwrap_or_else(in_memory)));
                Self::Hybrid(Arc::new(TokenService::new(manager, tokens, Accounts)?))
            }
            Mode::Client => {
                let seal = Arc::new(JwtSeal::new(args.issuer(), ring().await?, &policy)?);
                Self::Client(manager(SessionManager::client_side(Arc::clone(&seal), store)), seal)
            }
        })
    }

    /// Which kind they are.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self {
            Self::Cookie(_) => Mode::Cookie,
            Self::Hybrid(_) => Mode::Hybrid,
            Self::Client(..) => Mode::Client,
        }
    }

    /// The manager of browser sessions.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        match self {
            Self::Cookie(manager) | Self::Client(manager, _) => manager,
            Self::Hybrid(service) => service.manager(),
        }
    }

    /// Keeps the keys in step with the key file, for ever: adopts the changes of other processes, and rotates keys that
    /// are due. While the file is unusable, the current keys stay in use.
    pub async fn watch_key_file(self, file: KeyFile) {
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let (file, now) = (file.clone(), self.manager().now());
            let replaced = match tokio::task::spawn_blocking(move || file.rotate(now)).await {
                Ok(Ok(ring)) => self.set_ring(ring),
                Ok(Err(error)) => Err(error.into()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = replaced {
                eprintln!("session-demo: {error}; the current keys stay in use");
            }
        }
    }

    fn set_ring(&self, ring: KeyRing) -> Result<(), Box<dyn Error + Send + Sync>> {
        match self {
            Self::Cookie(_) => Ok(()),
            Self::Hybrid(service) => Ok(service.tokens().set_ring(ring)?),
            Self::Client(_, seal) => Ok(seal.set_ring(ring)?),
        }
    }
}

/// Access tokens live for 5 minutes, or less if sessions do.
fn token_policy(policy: &Policy, issuer: &str) -> Result<TokenPolicy, session_jwt::TokenPolicyError> {
    let idle = policy.timeouts(true, Persistence::Transient).idle;
    let lifetime = Duration::from_secs(300).min(idle / 2).max(policy.refresh_grace());
    TokenPolicy::builder(issuer, issuer).lifetime(Duration::from_secs(lifetime.as_secs().max(1))).build()
}
