//! Why a command did not do what it was told: [`Error`].

use std::error::Error as StdError;
use std::io;

use session_core::{Namespace, StoreError};
use session_kit::OpenError;

/// Names the cause and the next step. Has no URL, no value, no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No store was named.
    #[error("which store? Set SESSION_STORE_URL, or give --store URL: redis://…, postgres://…, sqlite:PATH")]
    NoStore,
    /// No application was named.
    #[error(
        "of which application? Set SESSION_NAMESPACE, or give --namespace NAME: the name that the application opens its store with"
    )]
    NoNamespace,
    /// Nobody else can look at it.
    #[error(
        "sessions in memory are those of the process that has them: only the application itself can list or end them"
    )]
    InMemory,
    /// What was given as an id is none. Not quoted: it may be a token.
    #[error("not a session id: expected 22 characters of base64url, as `list` shows them. A token is not an id")]
    NotAnId,
    /// It was not said where sessions move to.
    #[error("to which store? Set SESSION_NEW_STORE_URL, or give --to URL: redis://…, postgres://…, sqlite:PATH")]
    NoNewStore,
    /// They would move to where they are.
    #[error("the new store is the old one: the same URL, and the same namespace")]
    SameStore,
    /// Nobody said that the nodes are ready.
    #[error(
        "every node has to run with both stores first (MovingStore), and none with the old one alone: it would lose sessions that \
         move. If that is so, add --yes. Nothing was done"
    )]
    NodesUnknown,
    /// More than one session would end, and nobody said that this is meant.
    #[error("{0} sessions would end: add --yes if that is meant, or --dry-run to see them. Nothing was done")]
    Unconfirmed(String),
    /// The store could not be opened.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// The store failed.
    #[error("{what}: {}{}", causes(.error), if .error.is_retryable() { ". Is the server up, and is it busy? Then try again" } else { "" })]
    Store {
        /// What was done.
        what: &'static str,
        /// Why it failed.
        error: StoreError,
    },
    /// The store failed when some sessions had ended, or moved.
    #[error("{error}\n{done} sessions were done by then. The same command does the others")]
    Partly {
        /// How many.
        done: u64,
        /// What happened.
        error: Box<Self>,
    },
    /// There is no such session.
    #[error("no session of `{namespace}` has this id: it has ended, or the id is that of another application{}", hint(*.is_empty))]
    NoSuchSession {
        /// The application.
        namespace: Namespace,
        /// Whether it has no session at all.
        is_empty: bool,
    },
    /// Some of several were not there.
    #[error(
        "{missing} of {given} ids are those of no session of `{namespace}`: they have ended already, or are mistyped"
    )]
    SomeMissing {
        /// How many there are none of.
        missing: usize,
        /// How many ids were given.
        given: usize,
        /// The application.
        namespace: Namespace,
    },
    /// The record is of a form that is not known.
    #[error(
        "the session is stored in a form that this release does not know, or is damaged: {0}. Use a session-admin of the \
         application's release; `revoke --user` ends it, too"
    )]
    Unreadable(StoreError),
    /// The process cannot start.
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// For `map_err`: the store failed at this.
    pub(crate) fn at(what: &'static str) -> impl Fn(StoreError) -> Self {
        move |error| Self::Store { what, error }
    }

    /// What the process ends with: 1, failed; 2, not understood, and nothing was done.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoStore
            | Self::NoNamespace
            | Self::InMemory
            | Self::NotAnId
            | Self::NoNewStore
            | Self::SameStore
            | Self::NodesUnknown
            | Self::Unconfirmed(_) => 2,
            Self::Open(OpenError::NotUnderstood | OpenError::NoPath(_) | OpenError::MissingFeature(_)) => 2,
            Self::Open(_)
            | Self::Store { .. }
            | Self::Partly { .. }
            | Self::NoSuchSession { .. }
            | Self::SomeMissing { .. }
            | Self::Unreadable(_)
            | Self::Runtime(_)
            | Self::Output(_) => 1,
        }
    }
}

/// What is said where nothing was found.
pub(crate) const EMPTY: &str = "it has no session at all: is the namespace right, and in the URL the server and the number or name of the database?";

fn hint(is_empty: bool) -> String {
    if is_empty { format!(". In fact {EMPTY}") } else { String::new() }
}

fn causes(error: &StoreError) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
