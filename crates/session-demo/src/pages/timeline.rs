//! The life of a session as a picture: when it began, what happened to it, and when it ends.

use axum::Extension;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use maud::{Markup, html};
use serde::Deserialize;
use session_core::{Kind, Policy, SessionId, SessionSummary, Timestamp};
use session_tower::{RejectionKind, Session};

use super::agent::in_words;
use super::errors::PageError;
use super::layout::{Viewer, page};
use super::moment::{dated_moment, duration, minute};
use crate::history::{Change, History};

/// How high a bar of the picture is with its label, in pixels.
const LANE: u32 = 58;
/// Of the axis below the bars.
const AXIS: u32 = 44;

#[derive(Deserialize)]
pub(super) struct Chosen {
    id: SessionId,
}

/// The life of this session; or of another of the user's, which the list of devices leads to.
pub(super) async fn show(
    session: Session,
    Extension(history): Extension<History>,
    chosen: Result<Query<Chosen>, QueryRejection>,
) -> Result<Markup, PageError> {
    let manager = session.manager();
    let current = session.info();
    let chosen = chosen.ok().map(|Query(Chosen { id })| id).filter(|id| session.id() != Some(*id));
    let shown = match chosen {
        None => current,
        Some(id) => {
            let user = session.user().ok_or(RejectionKind::Unauthenticated)?;
            manager.find_live(&id, &user).await?
        }
    };
    let content = html! {
        @match (&shown, chosen) {
            (Some(shown), _) => {
                @let life = Life::new(shown, history.of(&shown.id), manager.policy(), manager.now());
                @if chosen.is_some() {
                    p { "The session of another device of yours: " strong { (in_words(shown.device.user_agent())) } "." }
                }
                (life.picture())
                (life.words())
            }
            (None, Some(_)) => p { "That session has ended." },
            (None, None) => p {
                "There is no session yet: your browser has shown no cookie of a live one. It begins when there is something to \
                 remember. Sign in, or put something into the cart."
            },
        }
        p {
            @if session.user().is_some() { a href="/devices" { "Your devices" } " · " }
            a href="/" { "Back to the start" }
        }
    };
    Ok(page("The life of a session", &Viewer::of(&session, "/timeline"), &content))
}

/// What the picture shows, and the list below it.
struct Life {
    began: Timestamp,
    last_seen: Timestamp,
    idle_deadline: Timestamp,
    absolute_deadline: Timestamp,
    now: Timestamp,
    /// What gave it a new token after its beginning.
    changes: Vec<(Timestamp, Change)>,
    /// Whether those are all.
    is_complete: bool,
    /// From when on the next request is given a new token, if the policy renews tokens and it is known how old this one is.
    renewal: Option<Timestamp>,
}

impl Life {
    fn new(session: &SessionSummary, mut changes: Vec<(Timestamp, Change)>, policy: &Policy, now: Timestamp) -> Self {
        let is_complete = changes.iter().any(|(_, change)| *change == Change::Began);
        changes.retain(|(_, change)| *change != Change::Began);
        let issued = changes.last().map(|(at, _)| *at).or(is_complete.then_some(session.created_at));
        let is_renewed = session.kind == Kind::Cookie && session.user().is_some();
        let renewal = policy.renewal().filter(|_| is_renewed).zip(issued).map(|(renewal, at)| at + renewal.timeout);
        Self {
            began: session.created_at,
            last_seen: session.last_seen,
            idle_deadline: session.deadline(),
            absolute_deadline: session.absolute_deadline(),
            now,
            changes,
            is_complete,
            // A session that ends before is not given another token.
            renewal: renewal.filter(|at| *at < session.absolute_deadline()),
        }
    }

    /// All moments, the earliest first.
    fn moments(&self) -> Vec<(Timestamp, &'static str)> {
        let changes = self.changes.iter().map(|(at, change)| (*at, change_in_words(*change)));
        let mut moments: Vec<(Timestamp, &'static str)> = [(self.began, "Began")].into_iter().chain(changes).collect();
        moments.push((self.last_seen, "Last activity"));
        if let Some(at) = self.renewal {
            moments.push((at, "The token is due: from then on, the next request renews it"));
        }
        if self.idle_deadline < self.absolute_deadline {
            moments.push((self.idle_deadline, "Ends, if there is no activity before"));
        }
        moments.push((self.absolute_deadline, "Ends in any case"));
        moments.sort_by_key(|(at, _)| *at);
        moments
    }

    /// The same in words, for whoever does not see the picture, and for whoever wants to know exactly.
    fn words(&self) -> Markup {
        html! {
            section {
                h2 { "In words" }
                dl.life {
                    @for (at, what) in self.moments() { dt { (what) } dd { (dated_moment(at, self.now)) } }
                }
                p.quiet {
                    "“Last activity” lags behind by up to a minute or so. "
                    @if !self.is_complete {
                        "This session began before this process did, or at another one: renewals from then are not shown."
                    }
                }
            }
        }
    }

    fn picture(&self) -> Markup {
        let bars = self.bars();
        let lanes = LANE * u32::try_from(bars.len()).unwrap_or(u32::MAX / LANE);
        let now = self.place(self.now);
        html! {
            section {
                // Places across are per cent, sizes are pixels: text is as large on a phone.
                svg.timeline role="img" aria-label="The times below, as bars from the beginning of the session to its last deadline"
                    width="100%" height=(lanes + AXIS) {
                    @for (lane, bar) in (0u32..).zip(&bars) { (self.lane(bar, lane * LANE)) }
                    text x={ (now) "%" } y=(lanes + 10) text-anchor=(anchor(now)) { "now" }
                    text.utc x="0%" y=(lanes + 36) { (minute(self.began)) }
                    text.utc x="100%" y=(lanes + 36) text-anchor="end" { (minute(self.absolute_deadline)) }
                }
            }
        }
    }

    fn bars(&self) -> Vec<Bar> {
        let mut tokens: Vec<Timestamp> = self.changes.iter().map(|(at, _)| *at).collect();
        let issued = tokens.last().copied().unwrap_or(self.began);
        let idle_end = self.idle_deadline.min(self.absolute_deadline);
        let mut bars = vec![
            Bar { label: "All of it", from: self.began, to: self.absolute_deadline, marks: vec![self.began] },
            Bar { label: "Without activity", from: self.last_seen, to: idle_end, marks: vec![self.last_seen] },
        ];
        if self.renewal.is_some() || !tokens.is_empty() {
            if self.is_complete {
                tokens.insert(0, self.began);
            }
            let to = self.renewal.unwrap_or(self.absolute_deadline);
            bars.push(Bar { label: "With this token", from: issued, to, marks: tokens });
        }
        bars
    }

    /// A bar: filled up to now, and empty behind.
    fn lane(&self, bar: &Bar, top: u32) -> Markup {
        let [from, to, now] = [bar.from, bar.to, self.now].map(|at| self.place(at));
        let done = now.clamp(from, to.max(from));
        html! {
            text x="0%" y=(top + 16) {
                (bar.label)
                @if let Some(length) = duration(bar.to.since(bar.from)) { ": " (length) }
            }
            rect.bar x={ (from) "%" } y=(top + 24) width={ (round(to - from).max(0.0)) "%" } height="16" {}
            rect.done x={ (from) "%" } y=(top + 24) width={ (round(done - from).max(0.0)) "%" } height="16" {}
            line.now x1={ (now) "%" } x2={ (now) "%" } y1=(top + 20) y2=(top + 44) {}
            @for at in &bar.marks { circle cx={ (self.place(*at)) "%" } cy=(top + 32) r="6" {} }
        }
    }

    /// Where a moment is, in per cent of the life.
    fn place(&self, at: Timestamp) -> f64 {
        let (all, part) = (self.absolute_deadline.since(self.began), at.since(self.began));
        if all.is_zero() { 0.0 } else { round(part.div_duration_f64(all).min(1.0) * 100.0) }
    }
}

struct Bar {
    label: &'static str,
    from: Timestamp,
    to: Timestamp,
    marks: Vec<Timestamp>,
}

fn change_in_words(change: Change) -> &'static str {
    match change {
        Change::Began => "Began",
        Change::SteppedUp => "Password given again, and a new token",
        Change::Renewed => "Token renewed",
        Change::Regenerated => "New token",
    }
}

/// On which side of its place a label is, so that it stays inside.
fn anchor(place: f64) -> &'static str {
    match place {
        ..10.0 => "start",
        90.0.. => "end",
        _ => "middle",
    }
}

fn round(per_cent: f64) -> f64 {
    (per_cent * 100.0).round() / 100.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::time::Duration;

    use session_core::{
        Assurance, Authentication, Kind, OsEntropy, Policy, Proof, SessionId, SessionSummary, Timestamp, UserId,
    };

    use super::{Change, Life};

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn begin() -> Timestamp {
        Timestamp::from_millis(1_795_418_060_000)
    }

    fn session(policy: &Policy, kind: Kind) -> SessionSummary {
        let user = UserId::new("alice").unwrap();
        let id = SessionId::generate(Some(&user), &OsEntropy).unwrap();
        let timeouts = policy.timeouts(true, session_core::Persistence::Transient);
        let mut session = SessionSummary::new(id, kind, begin(), timeouts);
        session.authentication = Some(Authentication::new(user, Proof::new(Assurance::Aal1, begin())));
        session
    }

    fn words(life: &Life) -> Vec<(u64, &'static str)> {
        life.moments().into_iter().map(|(at, what)| (at.since(begin()).as_secs() / 60, what)).collect()
    }

    #[test]
    fn a_life_has_its_moments_in_order() {
        let policy = Policy::high_assurance();
        let mut seen = session(&policy, Kind::Cookie);
        seen.last_seen = begin() + 40 * MINUTE;
        let changes = vec![
            (begin(), Change::Began),
            (begin() + 20 * MINUTE, Change::Renewed),
            (begin() + 38 * MINUTE, Change::SteppedUp),
        ];
        let life = Life::new(&seen, changes, &policy, begin() + 42 * MINUTE);
        let expected = [
            (0, "Began"),
            (20, "Token renewed"),
            (38, "Password given again, and a new token"),
            (40, "Last activity"),
            (50, "Ends, if there is no activity before"),
            (53, "The token is due: from then on, the next request renews it"),
            (480, "Ends in any case"),
        ];
        assert_eq!(words(&life), expected);
        assert_eq!(life.place(begin() - HOUR), 0.0);
        assert_eq!(life.place(begin() + 2 * HOUR), 25.0);
        assert_eq!(life.place(begin() + 9 * HOUR), 100.0);
        let picture = life.picture().into_string();
        for part in [
            // All of it, of which 42 of 480 minutes are over.
            "<rect class=\"bar\" x=\"0%\" y=\"24\" width=\"100%\"",
            "<rect class=\"done\" x=\"0%\" y=\"24\" width=\"8.75%\"",
            // Idle: from minute 40, for ten minutes.
            "<rect class=\"bar\" x=\"8.33%\" y=\"82\" width=\"2.09%\"",
            // Three tokens: at the beginning, at minute 20 and 38.
            "<circle cx=\"0%\" cy=\"148\" r=\"6\"></circle><circle cx=\"4.17%\" cy=\"148\"",
            "<circle cx=\"7.92%\" cy=\"148\"",
            ">2026-11-23 07:14<",
            ">2026-11-23 15:14<",
        ] {
            assert!(picture.contains(part), "{part}: {picture}");
        }
        assert!(!life.words().into_string().contains("renewals from then are not shown"));
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        // It began elsewhere: nobody knows how old its token is.
        let policy = Policy::high_assurance();
        let life = Life::new(&session(&policy, Kind::Cookie), vec![], &policy, begin() + MINUTE);
        assert_eq!((life.renewal, life.bars().len()), (None, 2));
        assert!(life.words().into_string().contains("renewals from then are not shown"));
        // Refresh tokens are renewed by their use, and those of this policy are not at all.
        let began = vec![(begin(), Change::Began)];
        let life = Life::new(&session(&policy, Kind::Refresh), began.clone(), &policy, begin());
        assert_eq!((life.renewal, life.bars().len()), (None, 2));
        let standard = Policy::standard();
        let life = Life::new(&session(&standard, Kind::Cookie), began, &standard, begin());
        assert_eq!((life.renewal, life.bars().len()), (None, 2));
    }

    #[test]
    fn in_its_last_minutes_a_session_has_one_end() {
        let policy = Policy::standard();
        let mut seen = session(&policy, Kind::Cookie);
        seen.last_seen = begin() + 8 * HOUR - MINUTE;
        let life = Life::new(&seen, vec![(begin(), Change::Began)], &policy, seen.last_seen);
        assert_eq!(words(&life), [(0, "Began"), (479, "Last activity"), (480, "Ends in any case")]);
        assert!(life.picture().into_string().contains("text-anchor=\"end\">now"), "it would be cut off");
    }
}
