//! The command line, and the policy it describes.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use session_core::{CookiePolicy, LimitPolicy, Namespace, PayloadLimit, Persistence, Policy, SameSite, Timeouts};
use session_tower::{OriginError, OriginGuard};

use crate::store::StoreUrl;

/// A site with login, devices and logout everywhere. Accounts: alice, bob, carol; password: correct-horse. The administrator, who
/// sees how many sessions there are, is alice
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Address to listen on; with port 0, a free one
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// What a client is given
    #[arg(long, value_enum, default_value_t = Mode::Cookie)]
    pub mode: Mode,
    /// The keys that sign, in a file that several demos share; made if it is missing. Without it, a new key for each
    /// start. For --mode hybrid and client
    #[arg(long, value_name = "PATH")]
    pub keys: Option<PathBuf>,
    /// Who issues the tokens: the address of the site, as its clients know it, without a slash at the end. Several demos that
    /// share keys have the same [default: that of NAMESPACE.example, with https]. For --mode hybrid and client
    #[arg(long, value_name = "URL", value_parser = parse_issuer)]
    pub issuer: Option<String>,
    /// Where sessions are kept: memory; a file, which keeps them over a restart, as in sqlite:sessions.db; or the URL of a
    /// server that several machines share: redis://…, rediss://…, redis+sentinel://…, redis+cluster://…, unix://…, or
    /// postgres://…. With --mode client, the ids of sessions that were ended [default: memory; with --mode client, nowhere]
    #[arg(long, value_name = "URL")]
    pub store: Option<StoreUrl>,
    /// Keep copies of sessions in this process, and give each for so long after its session was changed or ended elsewhere, at
    /// most, as in 5s: for a store that several processes share. GET /api/cache shows what they are good for
    #[arg(long, value_name = "MAX_STALE", value_parser = humantime::parse_duration)]
    pub cache: Option<Duration>,
    /// The name of this application, which keeps its sessions apart from those of others in the same store
    #[arg(long, value_name = "NAME", default_value = "session-demo")]
    pub namespace: Namespace,
    /// The preset to start from
    #[arg(long, value_enum, default_value_t = Preset::Standard)]
    pub policy: Preset,
    /// How long a session lives without activity, as in 30m
    #[arg(long, value_parser = humantime::parse_duration)]
    pub idle: Option<Duration>,
    /// How long a session lives whatever the activity, as in 8h
    #[arg(long, value_parser = humantime::parse_duration)]
    pub absolute: Option<Duration>,
    /// How many sessions a user may have at once
    #[arg(long)]
    pub limit: Option<u32>,
    /// What happens to the login that would exceed the limit
    #[arg(long, value_enum)]
    pub on_limit: Option<OnLimit>,
    /// How many anonymous sessions there may be: beyond that, the one that was used least recently ends for each that begins
    #[arg(long, value_name = "N")]
    pub max_visitors: Option<u32>,
    /// Bind sessions to the device they began on, where the browser can (a draft: Device Bound Session Credentials). With
    /// require, /sensitive wants it. Behind a proxy with https, --issuer says the address of the site
    #[arg(long, value_enum, default_value_t = Bind::Off)]
    pub bind: Bind,
    /// Use a cookie that works over plain http everywhere: for local development only. Its name has that of the namespace, which
    /// keeps demos on several ports of one host apart
    #[arg(long)]
    pub insecure_cookies: bool,
    /// The origin of a site that may show the pages in a frame: scheme, host and port; for several, several times. Inside each of
    /// them, a user has a session of their own. Browsers demand https of this site
    #[arg(long, value_name = "ORIGIN", conflicts_with = "insecure_cookies")]
    pub embedded_by: Vec<Embedder>,
}

/// The origin of a site, which is all that the documents of this one can be found at.
fn parse_issuer(text: &str) -> Result<String, String> {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    match OriginGuard::new().trusted_origin(text) {
        Ok(_) if is_web && !text.contains('*') => Ok(text.to_owned()),
        Ok(_) | Err(_) => {
            Err("an issuer is http or https, a host, and maybe a port, as in https://login.example".into())
        }
    }
}

/// The origin of a site that may show this one in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedder(String);

impl Embedder {
    /// As `Content-Security-Policy` has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Embedder {
    type Err = OriginError;

    /// One exact origin of the web: what this refuses could mean something else in `Content-Security-Policy`.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let origin = text.trim().to_ascii_lowercase();
        let is_web = origin.starts_with("https://") || origin.starts_with("http://");
        if !is_web || origin.contains('*') {
            return Err(OriginError::Form);
        }
        OriginGuard::new().trusted_origin(&origin).map(|_| Self(origin))
    }
}

/// What a client is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A cookie with a token; the session is in the store
    Cookie,
    /// Besides, for clients that keep no cookies: access tokens for five minutes, and refresh tokens
    Hybrid,
    /// A cookie that is the session, signed; there is no store
    Client,
}

impl Mode {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Hybrid => "hybrid",
            Self::Client => "client",
        }
    }
}

/// Whether sessions are bound to devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bind {
    /// No
    Off,
    /// Where the browser can
    Offer,
    /// The same; and /sensitive is for bound sessions alone
    Require,
}

/// A preset of [`Policy`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Preset {
    /// [`Policy::standard`].
    Standard,
    /// [`Policy::high_assurance`].
    HighAssurance,
    /// [`Policy::consumer`].
    Consumer,
}

/// What happens at the session limit.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OnLimit {
    /// The session that was created first ends.
    EvictOldest,
    /// The session that was used least recently ends.
    EvictLeastRecent,
    /// The login fails.
    Reject,
}

impl Args {
    /// The `iss` claim of everything that is signed, which tells applications apart even if they share keys.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.issuer.clone().unwrap_or_else(|| format!("https://{}.example", self.namespace))
    }

    /// Where sessions are kept, unless it is said by the mode: with a cache, in memory by default.
    ///
    /// # Errors
    /// If there is to be a cache, and nothing that it could keep.
    pub fn store_url(&self) -> Result<Option<StoreUrl>, Box<dyn Error>> {
        if self.cache.is_some() && self.mode == Mode::Client {
            return Err(
                "--cache is for --mode cookie and --mode hybrid: with --mode client, browsers keep the sessions".into(),
            );
        }
        Ok(self.store.clone().or_else(|| self.cache.map(|_| StoreUrl::from("memory"))))
    }

    /// The preset with the other options applied.
    ///
    /// # Errors
    /// If they contradict each other.
    pub fn policy(&self) -> Result<Policy, Box<dyn Error>> {
        let preset = match self.policy {
            Preset::Standard => Policy::standard(),
            Preset::HighAssurance => Policy::high_assurance(),
            Preset::Consumer => Policy::consumer(),
        };
        let Timeouts { idle, absolute } = preset.timeouts(true, Persistence::Transient);
        let authenticated = Timeouts { idle: self.idle.unwrap_or(idle), absolute: self.absolute.unwrap_or(absolute) };
        // Anonymous sessions live no longer than others, so that short timeouts apply to them too.
        let anonymous = authenticated.min(preset.timeouts(false, Persistence::Transient));
        let mut policy = preset
            .to_builder()
            .idle_timeout(authenticated.idle)
            .absolute_timeout(authenticated.absolute)
            .anonymous(anonymous)
            // Clients of /api/data choose the keys: leave some room to play.
            .payload(PayloadLimit { values: 256, ..preset.payload(true) })
            .anonymous_payload(PayloadLimit { values: 256, ..preset.payload(false) });
        if self.limit.is_some() || self.on_limit.is_some() {
            let preset = preset.session_limit();
            let at_limit = match self.on_limit {
                None => preset.at_limit,
                Some(OnLimit::EvictOldest) => LimitPolicy::EvictOldest,
                Some(OnLimit::EvictLeastRecent) => LimitPolicy::EvictLeastRecent,
                Some(OnLimit::Reject) => LimitPolicy::Reject,
            };
            policy = policy.session_limit(self.limit.unwrap_or(preset.max.get()), at_limit);
        }
        if let Some(max) = self.max_visitors {
            policy = policy.max_visitors(max);
        }
        if self.insecure_cookies {
            policy = policy.cookie(CookiePolicy::local_development(self.namespace.as_str())?);
        }
        if !self.embedded_by.is_empty() {
            // Under a name of its own: it is not the cookie of a site that is visited.
            policy = policy.cookie(CookiePolicy::builder("__Host-embedded").same_site(SameSite::Embedded).build()?);
        }
        Ok(policy.build()?)
    }
}
