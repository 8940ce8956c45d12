//! The state behind a [`Session`](crate::Session): what was loaded, what is intended, what the response must carry.

use std::sync::Arc;

use super::context::Context;
use crate::decide::draft::Draft;
use crate::decide::intent::Intent;
use crate::decide::loaded::{Activity, LoadedSession};
use crate::decide::maintenance::maintenance;
use crate::decide::plan::new_record;
use crate::entropy::{Entropy, EntropyError};
use crate::error::Error;
use crate::model::record::Record;
use crate::model::token::Kind;
use crate::policy::cookie::SetCookie;
use crate::policy::rules::Policy;

pub(crate) struct State {
    /// The stored session this one is about; `None` if there is none yet.
    pub(crate) loaded: Option<Arc<LoadedSession>>,
    intents: Vec<Intent>,
    /// `loaded` with all intents.
    pub(crate) draft: Draft,
    pub(crate) activity: Activity,
    /// What the response must carry, of every commit so far.
    cookie: Option<SetCookie>,
    is_closed: bool,
}

/// What a commit starts from.
pub(crate) struct CommitInput {
    pub(crate) loaded: Option<Arc<LoadedSession>>,
    /// `loaded` with all intents.
    pub(crate) draft: Draft,
    /// How many there are.
    pub(crate) intents: usize,
    pub(crate) activity: Activity,
}

impl State {
    pub(super) fn new(loaded: Option<LoadedSession>, cookie: Option<SetCookie>) -> Self {
        Self {
            draft: Draft::of(loaded.as_ref().map(|loaded| &loaded.record)),
            loaded: loaded.map(Arc::new),
            intents: Vec::new(),
            activity: Activity::Active,
            cookie,
            is_closed: false,
        }
    }

    pub(crate) fn intents(&self) -> &[Intent] {
        &self.intents
    }

    /// Records `intent` if it can be applied. A client-side session has to fit into its cookie, too.
    pub(super) fn intend(&mut self, intent: Intent, context: &Context) -> Result<(), Error> {
        if self.is_closed {
            return Err(Error::ResponseSent);
        }
        let policy = &context.policy;
        match &context.seal {
            None => self.draft.apply(&intent, policy)?,
            Some(seal) => {
                let mut draft = self.draft.clone();
                draft.apply(&intent, policy)?;
                let sample = sample(self.loaded.as_deref(), &draft, context)?;
                policy.cookie().fits(seal.sealed_len(&sample))?;
                self.draft = draft;
            }
        }
        self.intents.push(intent);
        Ok(())
    }

    /// Whether a commit would be a no-op.
    pub(crate) fn is_settled(&self, context: &Context) -> bool {
        let needs_nothing =
            |loaded: &Arc<LoadedSession>| maintenance(loaded, self.activity, &context.policy, context.now()).is_none();
        self.intents.is_empty() && self.loaded.as_ref().is_none_or(needs_nothing)
    }

    pub(crate) fn commit_input(&self) -> CommitInput {
        CommitInput {
            loaded: self.loaded.clone(),
            draft: self.draft.clone(),
            intents: self.intents.len(),
            activity: self.activity,
        }
    }

    /// Goes on from what a commit or a reload found. The first `committed` intents are done; a cookie replaces that of an
    /// earlier commit.
    pub(crate) fn rebase(
        &mut self,
        loaded: Option<Arc<LoadedSession>>,
        committed: usize,
        cookie: Option<SetCookie>,
        policy: &Policy,
    ) -> Result<(), Error> {
        let remaining = self.intents.split_off(committed.min(self.intents.len()));
        let record = loaded.as_ref().map(|loaded| &loaded.record);
        // If intents recorded meanwhile do not fit, they are dropped with the error.
        let (draft, intents, outcome) = match Draft::replay(record, &remaining, policy) {
            Ok(draft) => (draft, remaining, Ok(())),
            Err(error) => (Draft::of(record), Vec::new(), Err(error)),
        };
        self.draft = draft;
        self.intents = intents;
        self.loaded = loaded;
        self.cookie = cookie.or(self.cookie.take());
        outcome
    }

    /// Ends the request: nothing can be recorded any more. Returns what the response must carry.
    pub(crate) fn close(&mut self) -> Option<SetCookie> {
        self.is_closed = true;
        self.cookie.take()
    }
}

/// A record as long as the one that a commit would make.
fn sample(loaded: Option<&LoadedSession>, draft: &Draft, context: &Context) -> Result<Record, Error> {
    let mut record = match loaded {
        Some(loaded) => loaded.record.clone(),
        None => new_record(Kind::Cookie, draft, &context.policy, context.now(), &Zeros)?.0,
    };
    record.summary.authentication = draft.authentication.clone();
    record.summary.device = draft.device.clone();
    record.data = draft.data.clone();
    Ok(record)
}

/// No randomness, for what is thrown away.
#[derive(Debug)]
struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        dest.fill(0);
        Ok(())
    }
}
