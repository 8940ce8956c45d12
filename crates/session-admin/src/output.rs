//! Where results go: [`Output`], to standard output; and [`Progress`], to a terminal.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use session_core::store::Listing;
use session_core::{SessionId, SessionSummary};

use crate::error::Error;
use crate::view::{self, Session};

/// The results of a command.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    pub(crate) is_json: bool,
    has_header: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { out: BufWriter::new(io::stdout()), is_json, has_header: false }
    }

    /// A line, for people: what is no JSON.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Error> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// A line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let text = view::json(value).map_err(io::Error::from)?;
        self.line(&text)
    }

    /// `json`, or else the `lines`.
    pub(crate) fn either<S: AsRef<str>>(
        &mut self,
        json: &impl Serialize,
        lines: impl IntoIterator<Item = S>,
    ) -> Result<(), Error> {
        if self.is_json {
            return self.json(json);
        }
        lines.into_iter().try_for_each(|line| self.line(line.as_ref()))
    }

    /// A session, in a table or as a line of JSON.
    pub(crate) fn session(&mut self, session: &SessionSummary) -> Result<(), Error> {
        if self.is_json {
            return self.json(&Session::new(session));
        }
        self.header()?;
        self.line(&view::row(session))
    }

    /// A session that cannot be read.
    pub(crate) fn unreadable(&mut self, id: &SessionId) -> Result<(), Error> {
        if self.is_json {
            return self.json(&serde_json::json!({ "id": id.to_string(), "is_unreadable": true }));
        }
        self.header()?;
        self.line(&format!("{id}  (unreadable: of another release, or damaged)"))
    }

    fn header(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.has_header, true) { Ok(()) } else { self.line(&view::header()) }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.out.flush()?)
    }
}

/// To people, beside the results.
pub(crate) fn note(text: &str) {
    eprintln!("session-admin: {text}");
}

/// How far a command is: on standard error, and only if that is a terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// For a command that does `what` with sessions.
    pub(crate) fn new(what: &'static str) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new_spinner().with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} sessions, {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// The same for one that shows what it finds on the terminal meanwhile.
    pub(crate) fn beside_results(what: &'static str) -> Self {
        if io::stdout().is_terminal() { Self(ProgressBar::hidden()) } else { Self::new(what) }
    }

    pub(crate) fn add(&self, sessions: u64) {
        self.0.inc(sessions);
    }

    pub(crate) fn read(&self, listing: &Listing) {
        self.add((listing.sessions.len() + listing.unreadable.len()) as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Asks on the terminal, and waits for the answer. No, if there is no terminal, or no answer.
pub(crate) fn confirm(question: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes" | "YES")
}
