//! Properties of the planner, over random sessions, intents and times.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::decide::intent::{Intent, Login, StepUp};
use crate::decide::verdict::TokenStatus;
use crate::entropy::OsEntropy;
use crate::model::binding::is_bound;
use crate::model::credential::TokenCheck;
use crate::model::id::UserId;
use crate::model::summary::{Authentication, Timeouts};
use crate::policy::limit::LimitPolicy;
use crate::policy::rules::Renewal;

const START: Timestamp = Timestamp::from_millis(1_000_000);
const KEYS: [&[u8]; 3] = [b"cart", b"locale", b"secret"];

#[derive(Clone, Debug)]
enum Step {
    Set(usize, u8),
    Remove(usize),
    Append(usize),
    Clear,
    Login(&'static str, bool),
    Confirm(&'static str),
    /// Bound to a key, asked for one, or set free.
    Rebind(Option<u8>),
    Regenerate,
    Logout,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    let user = prop_oneof![Just("alice"), Just("bob")];
    prop_oneof![
        4 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Step::Set(key, value)),
        2 => key.clone().prop_map(Step::Remove),
        2 => key.prop_map(Step::Append),
        1 => Just(Step::Clear),
        1 => (user.clone(), any::<bool>()).prop_map(|(user, remember)| Step::Login(user, remember)),
        1 => user.prop_map(Step::Confirm),
        1 => prop_oneof![Just(None), Just(Some(2)), Just(Some(0x82))].prop_map(Step::Rebind),
        1 => Just(Step::Regenerate),
        1 => Just(Step::Logout),
    ]
}

fn intent(step: &Step, now: Timestamp) -> Intent {
    let key = |at: &usize| Bytes::from_static(KEYS[*at]);
    match step {
        Step::Set(at, value) => Intent::Set(key(at), vec![*value].into()),
        Step::Remove(at) => Intent::Remove(key(at)),
        Step::Append(at) => {
            Intent::Update(key(at), Arc::new(|old| Ok([old.unwrap_or_default(), b"x"].concat().into())))
        }
        Step::Clear => Intent::Clear,
        Step::Login(user, remember) => {
            let login = Login::new(UserId::new(*user).unwrap()).carry_over(crate::Key::<u8>::new("cart"));
            Intent::Login(Arc::new(if *remember { login.remember() } else { login }), now)
        }
        Step::Confirm(user) => Intent::StepUp(Arc::new(StepUp::new(UserId::new(*user).unwrap())), now),
        Step::Rebind(protocol) => {
            let binding = protocol.map(|protocol| Bytes::from(vec![protocol]));
            Intent::Rebind(Arc::new(move |_| binding.clone()))
        }
        Step::Regenerate => Intent::Regenerate,
        Step::Logout => Intent::Logout,
    }
}

fn loaded(user: Option<&str>, status: TokenStatus) -> Arc<LoadedSession> {
    let user = user.map(|user| UserId::new(user).unwrap());
    let id = SessionId::generate(user.as_ref(), &OsEntropy).unwrap();
    let (credential, token) = Credential::issue(Kind::Cookie, id, START, &OsEntropy).unwrap();
    // It began when the policy allowed sessions to be twice as long.
    let timeouts = Timeouts { idle: Duration::from_secs(1800), absolute: Duration::from_secs(57_600) };
    let mut summary = SessionSummary::new(id, Kind::Cookie, START, timeouts);
    summary.authentication =
        user.map(|user| Authentication::new(user, crate::Proof::new(crate::Assurance::Aal1, START)));
    let mut record = Record::new(summary, Version::first(&OsEntropy).unwrap(), credential);
    record = record.with_binding(Some(Bytes::from_static(b"key of the device")));
    record.replaces = Some(Bytes::from_static(b"as it was read"));
    for key in KEYS {
        record.data.insert(Bytes::from_static(key), Bytes::from_static(b"before"));
    }
    Arc::new(LoadedSession { record, access: Access::Token(token.presented(), status) })
}

fn held(session: &LoadedSession) -> (&PresentedToken, TokenStatus) {
    let Access::Token(token, status) = &session.access else { panic!("a session of a store has a token") };
    (token, *status)
}

fn policy() -> Policy {
    Policy::standard()
        .to_builder()
        .renewal(Some(Renewal { timeout: Duration::from_secs(300), grace: Duration::from_secs(10) }))
        .session_limit(3, LimitPolicy::Reject)
        .build()
        .unwrap()
}

fn circumstances(activity: Activity, policy: &Policy, now: Timestamp) -> Circumstances<'_> {
    Circumstances { activity, policy, now, entropy: &OsEntropy }
}

fn planned(
    loaded: Option<&Arc<LoadedSession>>,
    steps: &[Step],
    activity: Activity,
    now: Timestamp,
) -> Option<(Plan, Draft)> {
    let policy = policy();
    let mut draft = Draft::of(loaded.map(|loaded| &loaded.record));
    for step in steps {
        // An intent that is refused (a step-up of the wrong user) is not recorded.
        let _ = draft.apply(&intent(step, now), &policy);
    }
    plan(loaded, &draft, circumstances(activity, &policy, now)).ok().map(|plan| (plan, draft))
}

fn sessions() -> impl Strategy<Value = Option<(Option<&'static str>, TokenStatus)>> {
    prop_oneof![
        Just(None),
        Just(Some((None, TokenStatus::Current))),
        Just(Some((Some("alice"), TokenStatus::Current))),
        Just(Some((Some("alice"), TokenStatus::Superseded))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_planned_keeps_the_laws(
        from in sessions(),
        steps in proptest::collection::vec(step(), 0..6),
        passive in any::<bool>(),
        elapsed in 0u64..2_000_000,
    ) {
        let now = START + Duration::from_millis(elapsed);
        let activity = if passive { Activity::Passive } else { Activity::Active };
        let base = from.map(|(user, status)| loaded(user, status));
        let Some((plan, draft)) = planned(base.as_ref(), &steps, activity, now) else {
            // Refused only for a superseded token.
            let superseded = matches!(from, Some((_, TokenStatus::Superseded)));
            prop_assert!(superseded);
            return Ok(());
        };
        let policy = policy();
        match (&plan.store, &base) {
            (StoreOp::Update { next, expected }, Some(base)) => {
                let (old, record) = (&base.record, &next.record);
                prop_assert_eq!(*expected, old.version);
                prop_assert_eq!(record.version.number, old.version.number + 1);
                prop_assert_eq!((record.id(), record.summary.kind, record.summary.created_at), (old.id(), old.summary.kind, old.summary.created_at));
                prop_assert_eq!(record.user(), old.user());
                let is_due = !passive && now >= START + policy.touch_interval();
                prop_assert_eq!(record.summary.last_seen, if is_due { now } else { old.summary.last_seen });
                prop_assert!(record.deadline() <= old.summary.absolute_deadline());
                prop_assert!(now < old.deadline(), "a dead session is never written");
                prop_assert!(record.data.same_as(&draft.data));
                prop_assert_eq!((&record.binding, &record.replaces), (&draft.binding, &old.replaces));
                prop_assert_eq!(record.summary.is_bound, is_bound(record.binding.as_deref()));
                prop_assert_eq!(record.summary.timeouts, policy.effective_timeouts(&old.summary));
                // The cookie changes exactly if the token does.
                let check = record.check(held(base).0);
                prop_assert_eq!(record.check(held(next).0), TokenCheck::Current, "the session goes on with the token that its client has");
                match &plan.cookie {
                    CookieOp::Set { token, .. } => {
                        prop_assert_eq!(held(next).1, TokenStatus::Current);
                        prop_assert_ne!(check, TokenCheck::Current);
                        prop_assert_eq!(record.check(&token.presented()), TokenCheck::Current);
                    }
                    CookieOp::Keep => {
                        prop_assert_eq!(check, TokenCheck::Current);
                        prop_assert_eq!(held(next).1, held(base).1);
                    }
                    CookieOp::Remove => prop_assert!(false, "an update never removes the cookie"),
                }
                // Grace is for renewal; regeneration has none.
                if matches!(draft.change, Change::Regenerate | Change::StepUp) {
                    prop_assert_eq!(check, TokenCheck::Unknown);
                } else if matches!(plan.cookie, CookieOp::Set { .. }) {
                    prop_assert_eq!(check, TokenCheck::Superseded);
                }
            }
            (StoreOp::Create { next, replaces, limit }, base) => {
                let record = &next.record;
                let CookieOp::Set { token, .. } = &plan.cookie else {
                    return Err(TestCaseError::fail("a new session comes with a cookie"));
                };
                prop_assert_eq!(token.id(), record.id());
                prop_assert_eq!(record.summary.created_at, now);
                prop_assert_eq!(record.version.number, 1);
                // What binds a session does not go on with a login; of its own it may have one.
                prop_assert!(record.replaces.is_none());
                let rebound = steps.iter().skip_while(|step| !matches!(step, Step::Login(..))).any(|step| matches!(step, Step::Rebind(_)));
                prop_assert!(rebound || record.binding.is_none());
                prop_assert_eq!((&record.binding, record.summary.is_bound), (&draft.binding, is_bound(draft.binding.as_deref())));
                prop_assert_eq!(limit.is_some(), record.user().is_some());
                prop_assert_eq!(replaces.is_some(), base.is_some());
                if let Some(base) = base {
                    prop_assert_ne!(record.id(), base.record.id());
                    prop_assert_eq!(record.check(held(base).0), TokenCheck::Unknown);
                }
                if let Some(user) = record.user() {
                    prop_assert_eq!(record.id().shard(), user.shard());
                    prop_assert_eq!(draft.change, Change::Login);
                } else {
                    prop_assert!(!record.data.is_empty(), "a session that holds nothing is not stored");
                }
                prop_assert_eq!(record.summary.timeouts, policy.timeouts(record.user().is_some(), record.summary.persistence));
            }
            (StoreOp::Delete(Replaced { id, .. }), Some(base)) => {
                prop_assert_eq!(*id, base.record.id());
                prop_assert_eq!(draft.change, Change::Logout);
                prop_assert!(matches!(plan.cookie, CookieOp::Remove));
            }
            (StoreOp::Touch { session, now: seen }, Some(base)) => {
                prop_assert_eq!((session.record.id(), *seen), (base.record.id(), now));
                prop_assert!(!passive);
                prop_assert!(now >= START + policy.touch_interval());
                prop_assert!(base.record.data.same_as(&draft.data));
                prop_assert_eq!(&base.record.binding, &draft.binding);
                prop_assert!(matches!(plan.cookie, CookieOp::Keep));
            }
            (StoreOp::LoadAgain, _) => prop_assert!(elapsed >= 1_800_000),
            (StoreOp::Nothing, base) => {
                prop_assert!(matches!(plan.cookie, CookieOp::Keep));
                if let Some(base) = base {
                    prop_assert!(base.record.data.same_as(&draft.data), "a change is never dropped");
                    prop_assert_eq!(&base.record.binding, &draft.binding);
                } else {
                    prop_assert!(draft.data.is_empty());
                }
            }
            (StoreOp::Update { .. } | StoreOp::Delete { .. } | StoreOp::Touch { .. }, None) => {
                prop_assert!(false, "what is not stored cannot be changed");
            }
        }
    }

    /// What lets a request end without a commit.
    #[test]
    fn a_session_needs_maintenance_exactly_if_a_plan_without_intents_does_something(
        from in sessions().prop_filter_map("nothing stored", |from| from),
        renewed in any::<bool>(),
        passive in any::<bool>(),
        elapsed in 0u64..2_000_000,
    ) {
        let now = START + Duration::from_millis(elapsed);
        let activity = if passive { Activity::Passive } else { Activity::Active };
        let mut base = loaded(from.0, from.1);
        if renewed {
            let (token, status) = held(&base);
            let (credential, token) = base.record.credential.renew(Kind::Cookie, token, Duration::from_secs(10), START, &OsEntropy).unwrap();
            let record = Record { credential, ..base.record.clone() };
            base = Arc::new(LoadedSession { record, access: Access::Token(token.presented(), status) });
        }
        let (plan, _) = planned(Some(&base), &[], activity, now).unwrap();
        let nothing = matches!((&plan.store, &plan.cookie, &plan.event), (StoreOp::Nothing, CookieOp::Keep, None));
        prop_assert_eq!(maintenance(&base, activity, &policy(), now).is_none(), nothing);
    }

    #[test]
    fn login_carries_over_the_allow_list_and_nothing_else(
        user in prop_oneof![Just(None), Just(Some("alice")), Just(Some("bob"))],
        before in proptest::collection::vec(step().prop_filter("data only", |step| {
            matches!(step, Step::Set(..) | Step::Append(_))
        }), 0..4),
    ) {
        let base = loaded(user, TokenStatus::Current);
        let mut steps = before;
        steps.push(Step::Login("alice", false));
        let (plan, _) = planned(Some(&base), &steps, Activity::Active, START).unwrap();
        let StoreOp::Create { next, .. } = plan.store else { panic!("a login creates a session") };
        let names: Vec<&str> = next.record.data.names().collect();
        if user == Some("bob") {
            prop_assert!(names.is_empty(), "another user's data");
        } else {
            prop_assert_eq!(names, vec!["cart"]);
        }
    }
}

#[test]
fn a_request_that_changes_nothing_writes_nothing() {
    let base = loaded(Some("alice"), TokenStatus::Current);
    let (plan, _) = planned(Some(&base), &[], Activity::Active, START + Duration::from_millis(59_999)).unwrap();
    assert!(matches!((plan.store, plan.cookie), (StoreOp::Nothing, CookieOp::Keep)));
}

#[test]
fn a_touch_is_due_at_the_interval() {
    let base = loaded(Some("alice"), TokenStatus::Current);
    let at = START + Duration::from_secs(60);
    let (plan, _) = planned(Some(&base), &[], Activity::Active, at).unwrap();
    assert!(matches!(plan.store, StoreOp::Touch { now, .. } if now == at));
}

/// A write moves `last_seen` when a touch would.
#[test]
fn an_update_moves_last_seen_at_the_interval() {
    let base = loaded(Some("alice"), TokenStatus::Current);
    let seen = |after, activity| {
        let (plan, _) = planned(Some(&base), &[Step::Set(0, 7)], activity, START + after).unwrap();
        let StoreOp::Update { next, .. } = plan.store else { panic!("a write is an update") };
        next.record.summary.last_seen
    };
    let (early, due) = (Duration::from_millis(59_999), Duration::from_secs(60));
    assert_eq!(seen(early, Activity::Active), START);
    assert_eq!(seen(due, Activity::Active), START + due);
    assert_eq!(seen(due, Activity::Passive), START);
}

#[test]
fn writing_the_same_value_is_not_a_change() {
    let base = loaded(None, TokenStatus::Current);
    let policy = policy();
    let mut draft = Draft::of(Some(&base.record));
    draft.apply(&Intent::Set(Bytes::from_static(b"cart"), Bytes::from_static(b"before")), &policy).unwrap();
    let plan = plan(Some(&base), &draft, circumstances(Activity::Active, &policy, START)).unwrap();
    assert!(matches!(plan.store, StoreOp::Nothing));
}

#[test]
fn a_read_request_that_outlives_the_deadline_is_answered_and_a_write_needs_a_later_state() {
    let base = loaded(Some("alice"), TokenStatus::Current);
    let late = base.record.deadline();
    let (plan, _) = planned(Some(&base), &[], Activity::Active, late).unwrap();
    assert!(matches!(plan.store, StoreOp::Nothing));
    let (plan, _) = planned(Some(&base), &[Step::Set(0, 7)], Activity::Active, late).unwrap();
    assert!(matches!(plan.store, StoreOp::LoadAgain));
}

#[test]
fn renewal_is_due_at_its_timeout_and_for_authenticated_sessions_only() {
    let needs =
        |user, after| maintenance(&loaded(user, TokenStatus::Current), Activity::Active, &policy(), START + after);
    let (early, due) = (Duration::from_millis(299_999), Duration::from_secs(300));
    assert_eq!(needs(Some("alice"), early), Maintenance::Touch);
    assert_eq!(needs(Some("alice"), due), Maintenance::Renewal);
    assert_eq!(needs(None, due), Maintenance::Touch);
}
