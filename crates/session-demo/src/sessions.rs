//! The three kinds of sessions: the option `--mode`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use session_core::{Clock as _, Persistence, Policy, SessionManager, SystemClock, TracingObserver};
use session_jwt::{AccessTokens, JwtSeal, KeyRing, TokenPolicy, TokenService};

use crate::args::Args;
use crate::keys::{self, KeyFile};
use crate::store::StoreUrl;
use crate::tokens::Accounts;

/// Who signs, in what is signed. A real site takes its own address.
const ISSUER: &str = "https://session-demo.example";

/// How often another process's change of the keys is looked for. Keys are published a day before they sign.
const FOLLOW: Duration = Duration::from_secs(60);

/// What a client is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A cookie with a token; the session is in the store
    Cookie,
    /// Besides, for clients that keep no cookies: access tokens for five minutes, and refresh tokens
    TokenService,
    /// A cookie that is the session, signed; there is no store
    Client,
}

impl Mode {
    /// As on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::TokenService => "hybrid",
            Self::Client => "client",
        }
    }
}

/// The sessions of the site.
#[derive(Clone, Debug)]
pub enum Sessions {
    /// [`Mode::Cookie`].
    Cookie(SessionManager),
    /// [`Mode::TokenService`].
    TokenService(Arc<TokenService>),
    /// [`Mode::Client`]; the seal is the manager's.
    Client(SessionManager, Arc<JwtSeal>),
}

impl Sessions {
    /// What the options ask for. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the store or the keys cannot be used, or the options contradict each other.
    pub async fn open(args: &Args, policy: Policy) -> Result<Self, Box<dyn Error>> {
        if args.mode == Mode::Cookie && args.keys.is_some() {
            return Err("--keys is for --mode hybrid and --mode client: nothing is signed with --mode cookie".into());
        }
        let ring = || match &args.keys {
            Some(path) => KeyFile::new(path).open(SystemClock.now()).map_err(Box::<dyn Error>::from),
            None => Ok(keys::generate(SystemClock.now())?),
        };
        let memory = StoreUrl::memory();
        let store = async || args.store.as_ref().unwrap_or(&memory).open(&policy).await;
        Ok(match args.mode {
            Mode::Cookie => {
                let manager = SessionManager::builder(store().await?);
                Self::Cookie(manager.policy(policy).observer(TracingObserver).build())
            }
            Mode::TokenService => {
                let tokens = Arc::new(AccessTokens::new(token_policy(&policy)?, ring()?)?);
                let manager = SessionManager::builder(store().await?).policy(policy).observer(TracingObserver).build();
                Self::TokenService(Arc::new(TokenService::new(manager, tokens, Accounts)?))
            }
            Mode::Client => {
                let seal = Arc::new(JwtSeal::new(ISSUER, ring()?, &policy)?);
                let deny_list = if args.store.is_some() { Some(store().await?) } else { None };
                let manager = SessionManager::client_side(Arc::clone(&seal), deny_list);
                Self::Client(manager.policy(policy).observer(TracingObserver).build(), seal)
            }
        })
    }

    /// Which kind it is.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self {
            Self::Cookie(_) => Mode::Cookie,
            Self::TokenService(_) => Mode::TokenService,
            Self::Client(..) => Mode::Client,
        }
    }

    /// The sessions of browsers.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        match self {
            Self::Cookie(manager) | Self::Client(manager, _) => manager,
            Self::TokenService(hybrid) => hybrid.manager(),
        }
    }

    /// Uses what is in the key file, from now on and for ever: takes over what another process changed, and changes keys
    /// when that is due. As long as the file cannot be used, the keys stay what they are.
    pub async fn follow(self, file: KeyFile) {
        loop {
            tokio::time::sleep(FOLLOW).await;
            let (file, now) = (file.clone(), self.manager().now());
            let replaced = match tokio::task::spawn_blocking(move || file.rotate(now)).await {
                Ok(Ok(ring)) => self.set_ring(ring),
                Ok(Err(error)) => Err(error.into()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = replaced {
                eprintln!("session-demo: {error}; the keys stay what they are");
            }
        }
    }

    fn set_ring(&self, ring: KeyRing) -> Result<(), Box<dyn Error + Send + Sync>> {
        match self {
            Self::Cookie(_) => Ok(()),
            Self::TokenService(hybrid) => Ok(hybrid.tokens().set_ring(ring)?),
            Self::Client(_, seal) => Ok(seal.set_ring(ring)?),
        }
    }
}

/// Access tokens live for 5 minutes, or less where sessions do.
fn token_policy(policy: &Policy) -> Result<TokenPolicy, session_jwt::TokenPolicyError> {
    let idle = policy.timeouts(true, Persistence::Transient).idle;
    let lifetime = Duration::from_secs(300).min(idle / 2).max(policy.refresh_grace());
    TokenPolicy::builder(ISSUER, ISSUER).lifetime(Duration::from_secs(lifetime.as_secs().max(1))).build()
}
