//! How a case is declared: [`Case`].

use std::fmt;

use futures::future::BoxFuture;

use crate::env::Env;
use crate::faults::Fault;
use crate::harness::Need;
use crate::outcome::Outcome;

/// One promise of the contract, and how to check that a backend keeps it.
pub struct Case {
    /// `verb/what-must-hold`, in kebab-case; unique and never reused.
    pub id: &'static str,
    /// The promise, in words.
    pub summary: &'static str,
    /// What a backend must be capable of for the promise to apply.
    pub needs: &'static [Need],
    /// The seeded faults that make this case fail: all of them, unless it is [`random`](Self::random).
    pub catches: &'static [Fault],
    /// Whether the case makes random calls. It then catches the faults it names, and may catch others.
    pub random: bool,
    /// Runs the case.
    pub run: fn(Env) -> BoxFuture<'static, Outcome>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("id", &self.id).finish_non_exhaustive()
    }
}
