//! The policy and the verdict.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use proptest::prelude::*;
use session_core::{
    Assurance, Authentication, Expiry, Kind, LimitPolicy, OsEntropy, PayloadLimit, Persistence, Policy, PolicyBuilder,
    PolicyError, Proof, RememberMe, Renewal, SessionId, SessionSummary, Timeouts, Timestamp, UserId, Verdict, verdict,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const START: Timestamp = Timestamp::from_millis(1_000_000_000);

fn session(policy: &Policy, user: Option<&str>, persistence: Persistence) -> SessionSummary {
    let user = user.map(|user| UserId::new(user).unwrap());
    let id = SessionId::generate(user.as_ref(), &OsEntropy).unwrap();
    let mut session = SessionSummary::new(id, Kind::Cookie, START, policy.timeouts(user.is_some(), persistence));
    session.persistence = persistence;
    session.authentication = user.map(|user| Authentication::new(user, Proof::new(Assurance::Aal1, START)));
    session
}

fn alice(policy: &Policy) -> SessionSummary {
    session(policy, Some("alice"), Persistence::Transient)
}

#[test]
fn the_presets_are_valid_and_as_documented() {
    for preset in [Policy::standard(), Policy::high_assurance(), Policy::consumer()] {
        preset.to_builder().build().unwrap();
    }
    let standard = Policy::standard();
    assert_eq!(standard.timeouts(true, Persistence::Transient), Timeouts { idle: 30 * MINUTE, absolute: 8 * HOUR });
    assert_eq!(standard.timeouts(false, Persistence::Transient), Timeouts { idle: 30 * MINUTE, absolute: 2 * HOUR });
    assert_eq!(standard.timeouts(true, Persistence::Persistent), Timeouts { idle: 7 * DAY, absolute: 30 * DAY });
    assert_eq!((standard.session_limit().max.get(), standard.session_limit().at_limit), (10, LimitPolicy::EvictOldest));
    assert_eq!(standard.renewal(), None);
    assert_eq!(standard.touch_interval(), MINUTE);
    let high = Policy::high_assurance();
    assert_eq!(high.timeouts(true, Persistence::Persistent), Timeouts { idle: 10 * MINUTE, absolute: 8 * HOUR });
    assert_eq!((high.session_limit().max.get(), high.session_limit().at_limit), (1, LimitPolicy::Reject));
    assert_eq!(high.remember_me(), RememberMe::Never);
    let consumer = Policy::consumer();
    assert_eq!(consumer.timeouts(true, Persistence::Persistent), Timeouts { idle: 7 * DAY, absolute: 30 * DAY });
}

#[test]
fn contradictions_are_refused() {
    let refused =
        |change: fn(PolicyBuilder) -> PolicyBuilder| change(Policy::standard().to_builder()).build().unwrap_err();
    let class = "authenticated";
    assert_eq!(refused(|p| p.idle_timeout(Duration::ZERO)), PolicyError::IdleTimeout { class });
    assert_eq!(refused(|p| p.idle_timeout(9 * HOUR)), PolicyError::IdleExceedsAbsolute { class });
    assert_eq!(refused(|p| p.idle_timeout(Duration::MAX)), PolicyError::IdleExceedsAbsolute { class });
    assert_eq!(refused(|p| p.absolute_timeout(Duration::MAX)), PolicyError::AbsoluteTimeout { class });
    assert_eq!(refused(|p| p.absolute_timeout(401 * DAY)), PolicyError::AbsoluteTimeout { class });
    let class = "anonymous";
    let timeouts = Timeouts { idle: 2 * HOUR, absolute: HOUR };
    assert_eq!(
        Policy::standard().to_builder().anonymous(timeouts).build().unwrap_err(),
        PolicyError::IdleExceedsAbsolute { class }
    );
    let class = "remember-me";
    assert_eq!(
        Policy::standard().to_builder().remember_me(RememberMe::OptIn(timeouts)).build().unwrap_err(),
        PolicyError::IdleExceedsAbsolute { class }
    );
    for renewal in [(Duration::ZERO, Duration::ZERO), (MINUTE, MINUTE), (HOUR, 6 * MINUTE)] {
        let renewal = Some(Renewal { timeout: renewal.0, grace: renewal.1 });
        assert_eq!(Policy::standard().to_builder().renewal(renewal).build().unwrap_err(), PolicyError::Renewal);
    }
    assert_eq!(refused(|p| p.touch_interval(16 * MINUTE)), PolicyError::TouchInterval);
    assert_eq!(refused(|p| p.session_limit(0, LimitPolicy::Reject)), PolicyError::SessionLimit);
    assert_eq!(refused(|p| p.session_limit(101, LimitPolicy::Reject)), PolicyError::SessionLimit);
    assert_eq!(refused(|p| p.payload(PayloadLimit { bytes: 0, values: 1 })), PolicyError::Payload);
    assert_eq!(refused(|p| p.payload(PayloadLimit { bytes: 1, values: 0 })), PolicyError::Payload);
    assert_eq!(refused(|p| p.anonymous_payload(PayloadLimit { bytes: usize::MAX, values: 1 })), PolicyError::Payload);
    assert_eq!(refused(|p| p.store_timeout(Duration::ZERO)), PolicyError::StoreTimeout);
    assert_eq!(refused(|p| p.store_timeout(HOUR)), PolicyError::StoreTimeout);
}

#[test]
fn a_short_idle_timeout_shortens_the_touch_interval() {
    let policy = Policy::standard().to_builder().idle_timeout(2 * SECOND).build().unwrap();
    assert_eq!(policy.touch_interval(), Duration::from_millis(100));
}

#[test]
fn at_the_deadline_a_session_is_dead() {
    let policy = Policy::standard();
    let ms = Duration::from_millis(1);
    let mut session = alice(&policy);
    let idle = START + 30 * MINUTE;
    assert_eq!(verdict(&session, &policy, idle - ms), Verdict::Live);
    assert_eq!(verdict(&session, &policy, idle), Verdict::Expired(Expiry::Idle));
    assert_eq!(verdict(&session, &policy, idle + ms), Verdict::Expired(Expiry::Idle));
    let absolute = START + 8 * HOUR;
    session.last_seen = absolute - SECOND;
    assert_eq!(verdict(&session, &policy, absolute - ms), Verdict::Live);
    assert_eq!(verdict(&session, &policy, absolute), Verdict::Expired(Expiry::Absolute));
    assert!(session.is_expired(absolute) && !session.is_expired(absolute - ms));
}

#[test]
fn a_tighter_policy_applies_to_existing_sessions_and_a_looser_one_does_not() {
    let old = Policy::standard();
    let session = alice(&old);
    let tighter = old.to_builder().idle_timeout(MINUTE).build().unwrap();
    assert_eq!(verdict(&session, &tighter, START + MINUTE), Verdict::Expired(Expiry::Idle));
    let looser = old.to_builder().idle_timeout(4 * HOUR).build().unwrap();
    assert_eq!(verdict(&session, &looser, START + 30 * MINUTE), Verdict::Expired(Expiry::Idle));
    let incident = old.to_builder().not_before(START + SECOND).build().unwrap();
    assert_eq!(verdict(&session, &incident, START + SECOND), Verdict::Expired(Expiry::NotBefore));
}

proptest! {
    #[test]
    fn no_setting_panics(
        idle in any::<Duration>(), absolute in any::<Duration>(), touch in any::<Duration>(), grace in any::<Duration>(),
        at in any::<i64>(), seen in any::<i64>(),
    ) {
        let built = Policy::standard()
            .to_builder()
            .idle_timeout(idle)
            .absolute_timeout(absolute)
            .touch_interval(touch)
            .renewal(Some(Renewal { timeout: idle, grace }))
            .build();
        let policy = built.unwrap_or_default();
        let mut session = alice(&policy);
        session.created_at = Timestamp::from_millis(seen);
        session.last_seen = Timestamp::from_millis(seen);
        session.timeouts = Timeouts { idle, absolute };
        let _ = verdict(&session, &policy, Timestamp::from_millis(at));
    }

    #[test]
    fn activity_never_moves_the_absolute_deadline(steps in proptest::collection::vec(0u64..3_600_000, 1..40)) {
        let policy = Policy::standard();
        let mut session = alice(&policy);
        let mut now = START;
        for step in steps {
            now = now + Duration::from_millis(step);
            match verdict(&session, &policy, now) {
                Verdict::Live => session.last_seen = session.last_seen.max(now),
                Verdict::Expired(_) => break,
            }
            prop_assert!(now < START + 8 * HOUR);
            prop_assert!(session.deadline() <= START + 8 * HOUR);
        }
    }
}
