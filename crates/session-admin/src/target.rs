//! Which store, of which application: [`Target`]; and what keeps its password from being shown.

use std::ffi::OsString;

use session_core::{Namespace, SystemClock, Timestamp};
use session_kit::{Clock as _, OpenOptions, OpenedStore};

use crate::args::{Args, Copy};
use crate::error::Error;
use crate::pace::Pace;

/// Where the sessions are.
pub(crate) struct Target {
    url: String,
    pub(crate) namespace: Namespace,
    /// When the command began.
    pub(crate) began: Timestamp,
    /// How it works on them.
    pub(crate) pace: Pace,
}

impl Target {
    /// # Errors
    /// If it is not said which store, or which application, or it is one in memory.
    pub(crate) fn new(args: &Args) -> Result<Self, Error> {
        let url = args.store.clone().filter(|url| !url.is_empty()).ok_or(Error::NoStore)?;
        if url.split(':').next() == Some("memory") {
            return Err(Error::InMemory);
        }
        let namespace = args.namespace.clone().ok_or(Error::NoNamespace)?;
        Ok(Self { url, namespace, began: now(), pace: Pace::new(args.fast) })
    }

    /// Where its sessions move to.
    ///
    /// # Errors
    /// If it is not said where to, or it is the same place, or one in memory.
    pub(crate) fn other(&self, args: &Copy) -> Result<Self, Error> {
        let url = args.to.clone().filter(|url| !url.is_empty()).ok_or(Error::NoNewStore)?;
        if url.split(':').next() == Some("memory") {
            return Err(Error::InMemory);
        }
        let namespace = args.to_namespace.clone().unwrap_or_else(|| self.namespace.clone());
        if url == self.url && namespace == self.namespace {
            return Err(Error::SameStore);
        }
        Ok(Self { url, namespace, began: self.began, pace: self.pace })
    }

    /// The store, to look at. Nothing is made there.
    pub(crate) async fn open(&self) -> Result<OpenedStore, Error> {
        Ok(OpenOptions::new().existing().open(&self.url, self.namespace.clone()).await?)
    }

    /// The store, to end sessions: caches of the application hear of it.
    pub(crate) async fn open_telling(&self) -> Result<OpenedStore, Error> {
        Ok(OpenOptions::new().existing().publish_changes().open(&self.url, self.namespace.clone()).await?)
    }

    /// The URL without user, password and settings.
    pub(crate) fn location(&self) -> String {
        location(&self.url)
    }
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

fn location(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // The path of a file, as it is; it has no password. Anything else did not open.
        return if url.starts_with("sqlite:") { url.to_owned() } else { "…".to_owned() };
    };
    let before_settings = rest.split(['?', '#']).next().unwrap_or_default();
    match before_settings.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://{place}"),
        // An @ behind the first ? may be that of a password that has a ? in it.
        None if rest.contains('@') => format!("{scheme}://…"),
        None => format!("{scheme}://{before_settings}"),
    }
}

/// `text`, which may quote arguments, without those that may have a password or a token in them.
pub(crate) fn without_secrets(text: &str, command_line: &[OsString]) -> String {
    let mut text = text.to_owned();
    let given: Vec<String> = command_line.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let values = given.iter().flat_map(|arg| [Some(arg.as_str()), arg.split_once('=').map(|(_, value)| value)]);
    let mut secret: Vec<&str> = values.flatten().filter(|value| may_be_secret(value)).collect();
    // What contains another goes first.
    secret.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in secret {
        text = text.replace(value, "…");
    }
    text
}

/// A URL, credentials, or as long as a token.
fn may_be_secret(value: &str) -> bool {
    const LONG: usize = 40;
    value.contains("://") || value.contains('@') || value.len() >= LONG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_has_no_password() {
        for (url, expected) in [
            ("redis://:hunter2@localhost:6379/1", "redis://localhost:6379/1"),
            ("redis://app:hunter2@a,b:7000", "redis://a,b:7000"),
            ("redis+sentinel://:hunter2@a,b/main?sentinel_password=hunter2", "redis+sentinel://a,b/main"),
            ("postgres://app:hun@ter2@db/app?password=hunter2", "postgres://db/app"),
            ("postgres://db/app?user=app&password=hunter2", "postgres://db/app"),
            ("unix:///run/redis.sock?pass=hunter2", "unix:///run/redis.sock"),
            ("postgres://app:hunter2?x@db/app", "postgres://…"),
            ("hunter2", "…"),
            ("sqlite:/var/lib/shop/sessions.db", "sqlite:/var/lib/shop/sessions.db"),
        ] {
            assert_eq!(location(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_quoted_has_no_secret() {
        let line = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
        let url = "redis://:hunter2@localhost";
        let token = "A".repeat(64);
        let args = line(&["session-admin", url, &format!("--stor={url}"), &token, "--limit", "zero"]);
        let text = format!("error: '{url}' and '--stor={url}' and {token}, and zero");
        assert_eq!(without_secrets(&text, &args), "error: '…' and '…' and …, and zero");
    }
}
