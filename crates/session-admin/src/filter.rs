//! Which sessions are meant: [`Filter`].

use session_core::{Kind, SessionSummary, Timestamp, UserId};

use crate::args::{self, Filters};

/// The filters of a command line, at one moment: what "30 days ago" means does not move while pages are read.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) user: Option<UserId>,
    /// Whether somebody must be logged in, or nobody.
    is_user: Option<bool>,
    kind: Option<Kind>,
    seen_before: Option<Timestamp>,
    created_before: Option<Timestamp>,
    /// In lower case.
    user_agent: Option<String>,
}

impl Filter {
    pub(crate) fn new(filters: &Filters, now: Timestamp) -> Self {
        let Filters { user, users, visitors, kind, idle_since, created_before, user_agent } = filters;
        Self {
            user: user.clone(),
            is_user: (*users || *visitors).then_some(*users),
            kind: kind.map(|kind| match kind {
                args::Kind::Cookie => Kind::Cookie,
                args::Kind::Refresh => Kind::Refresh,
            }),
            seen_before: idle_since.map(|moment| moment.resolve(now)),
            created_before: created_before.map(|moment| moment.resolve(now)),
            user_agent: user_agent.as_ref().map(|text| text.to_lowercase()),
        }
    }

    pub(crate) fn matches(&self, session: &SessionSummary) -> bool {
        let Self { user, is_user, kind, seen_before, created_before, user_agent } = self;
        let agent = || session.device.user_agent().unwrap_or_default().to_lowercase();
        user.as_ref().is_none_or(|user| session.user() == Some(user))
            && is_user.is_none_or(|is_user| session.user().is_some() == is_user)
            && kind.is_none_or(|kind| session.kind == kind)
            && seen_before.is_none_or(|before| session.last_seen < before)
            && created_before.is_none_or(|before| session.created_at < before)
            && user_agent.as_ref().is_none_or(|text| agent().contains(text))
    }

    /// Whether nothing narrows what is meant, but perhaps the user.
    pub(crate) fn is_of_user_alone(&self) -> bool {
        let Self { user: _, is_user, kind, seen_before, created_before, user_agent } = self;
        // Who is of a user is logged in.
        *is_user != Some(false)
            && (is_user.is_none() || self.user.is_some())
            && kind.is_none()
            && seen_before.is_none()
            && created_before.is_none()
            && user_agent.is_none()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::time::Duration;

    use session_core::{
        Assurance, Authentication, Device, OsEntropy, Proof, SessionId, SessionSummary, Timeouts, Timestamp, UserId,
    };

    use super::*;
    use crate::moment::Moment;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn session(user: Option<&str>) -> SessionSummary {
        let user = user.map(|user| UserId::new(user).unwrap());
        let id = SessionId::generate(user.as_ref(), &OsEntropy).unwrap();
        let mut session =
            SessionSummary::new(id, Kind::Cookie, NOW - HOUR, Timeouts { idle: HOUR, absolute: HOUR * 9 });
        session.authentication = user.map(|user| Authentication::new(user, Proof::new(Assurance::Aal1, NOW)));
        session.device = Device::new().with_user_agent("Mozilla/5.0 BadBot");
        session
    }

    fn matches(filters: Filters, session: &SessionSummary) -> bool {
        Filter::new(&filters, NOW).matches(session)
    }

    #[test]
    fn without_filters_all_match() {
        assert!(matches(Filters::default(), &session(None)) && matches(Filters::default(), &session(Some("alice"))));
    }

    #[test]
    fn each_filter_takes_what_it_names_and_nothing_else() {
        let (alice, visitor) = (session(Some("alice")), session(None));
        let of = |user: &str| Filters { user: Some(UserId::new(user).unwrap()), ..Filters::default() };
        assert!(matches(of("alice"), &alice) && !matches(of("alic"), &alice) && !matches(of("alice"), &visitor));
        let (users, visitors) =
            (|| Filters { users: true, ..Filters::default() }, || Filters { visitors: true, ..Filters::default() });
        assert!(matches(users(), &alice) && !matches(users(), &visitor));
        assert!(!matches(visitors(), &alice) && matches(visitors(), &visitor));
        let kind = |kind| Filters { kind: Some(kind), ..Filters::default() };
        assert!(matches(kind(args::Kind::Cookie), &alice) && !matches(kind(args::Kind::Refresh), &alice));
        let agent = |text: &str| Filters { user_agent: Some(text.to_owned()), ..Filters::default() };
        assert!(matches(agent("badBOT"), &alice) && !matches(agent("goodbot"), &alice));
        let mut unknown = alice.clone();
        unknown.device = Device::new();
        assert!(!matches(agent("bad"), &unknown));
    }

    #[test]
    fn before_is_before_and_not_at() {
        let mut session = session(None);
        session.last_seen = NOW - HOUR / 2;
        let idle = |ago| Filters { idle_since: Some(Moment::Ago(ago)), ..Filters::default() };
        let created = |ago| Filters { created_before: Some(Moment::Ago(ago)), ..Filters::default() };
        let milli = Duration::from_millis(1);
        assert!(matches(idle(HOUR / 2 - milli), &session) && !matches(idle(HOUR / 2), &session));
        assert!(matches(created(HOUR - milli), &session) && !matches(created(HOUR), &session));
    }

    #[test]
    fn all_filters_must_match() {
        let both = |user: &str, text: &str| Filters {
            user: Some(UserId::new(user).unwrap()),
            user_agent: Some(text.to_owned()),
            ..Filters::default()
        };
        let alice = session(Some("alice"));
        assert!(matches(both("alice", "bad"), &alice));
        assert!(!matches(both("alice", "good"), &alice) && !matches(both("bob", "bad"), &alice));
    }

    #[test]
    fn a_user_alone_is_all_of_a_user() {
        let of = |filters: Filters| Filter::new(&filters, NOW).is_of_user_alone();
        let user = || Some(UserId::new("alice").unwrap());
        assert!(of(Filters { user: user(), ..Filters::default() }));
        assert!(of(Filters { user: user(), users: true, ..Filters::default() }));
        assert!(!of(Filters { users: true, ..Filters::default() }));
        assert!(!of(Filters { visitors: true, ..Filters::default() }));
        assert!(!of(Filters { user: user(), kind: Some(args::Kind::Refresh), ..Filters::default() }));
        assert!(!of(Filters { user: user(), idle_since: Some(Moment::At(NOW)), ..Filters::default() }));
        assert!(!of(Filters { user: user(), created_before: Some(Moment::At(NOW)), ..Filters::default() }));
        assert!(!of(Filters { user: user(), user_agent: Some(String::new()), ..Filters::default() }));
    }
}
