//! Properties of the planner, over random sessions, intents and times.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::credential::TokenCheck;
use crate::entropy::OsEntropy;
use crate::intent::{Intent, Login, StepUp};
use crate::policy::{LimitPolicy, Renewal};
use crate::record::{Authentication, Device, Timeouts};

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
        Step::Regenerate => Intent::Regenerate,
        Step::Logout => Intent::Logout,
    }
}

fn base(user: Option<&str>, standing: TokenStatus) -> LoadedSession {
    let user = user.map(|user| UserId::new(user).unwrap());
    let id = SessionId::generate(user.as_ref(), &OsEntropy).unwrap();
    let (credential, token) = Credential::issue(Kind::Cookie, id, START, &OsEntropy).unwrap();
    let mut record = Record {
        id,
        version: Version::first(&OsEntropy).unwrap(),
        kind: Kind::Cookie,
        created_at: START,
        last_seen: START,
        lifetime: Timeouts { idle: Duration::from_secs(600), absolute: Duration::from_secs(3600) },
        persistence: Persistence::Transient,
        authentication: user.map(|user| Authentication {
            user,
            at: START,
            methods: Arc::default(),
            level: crate::Assurance::Aal1,
        }),
        credential,
        device: Device::new(),
        data: crate::Data::default(),
    };
    for key in KEYS {
        record.data.insert(Bytes::from_static(key), Bytes::from_static(b"before"));
    }
    LoadedSession { record, token: Some(token.presented()), standing }
}

fn policy() -> Policy {
    Policy::standard()
        .to_builder()
        .renewal(Some(Renewal { timeout: Duration::from_secs(300), grace: Duration::from_secs(10) }))
        .session_limit(3, LimitPolicy::Reject)
        .build()
        .unwrap()
}

fn planned(base: Option<&LoadedSession>, steps: &[Step], activity: Activity, now: Timestamp) -> Option<(Plan, Draft)> {
    let policy = policy();
    let mut working = Draft::of(base.map(|base| &base.record));
    for step in steps {
        // An intent that is refused (a step-up of the wrong user) is not recorded.
        let _ = working.apply(&intent(step, now), &policy);
    }
    plan(base, &working, activity, &policy, now, &OsEntropy).ok().map(|plan| (plan, working))
}

fn bases() -> impl Strategy<Value = Option<(Option<&'static str>, TokenStatus)>> {
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
        from in bases(),
        steps in proptest::collection::vec(step(), 0..6),
        passive in any::<bool>(),
        elapsed in 0u64..700_000,
    ) {
        let now = START + Duration::from_millis(elapsed);
        let activity = if passive { Activity::Passive } else { Activity::Active };
        let base = from.map(|(user, standing)| base(user, standing));
        let Some((plan, working)) = planned(base.as_ref(), &steps, activity, now) else {
            // Refused only for a superseded token, or past the deadline.
            let superseded = matches!(from, Some((_, TokenStatus::Superseded)));
            prop_assert!(superseded || elapsed >= 600_000);
            return Ok(());
        };
        let policy = policy();
        match (&plan.store, &base) {
            (StoreOp::Update { next, expected }, Some(base)) => {
                let (old, record) = (&base.record, &next.record);
                prop_assert_eq!(*expected, old.version);
                prop_assert_eq!(record.version.number, old.version.number + 1);
                prop_assert_eq!((record.id, record.kind, record.created_at), (old.id, old.kind, old.created_at));
                prop_assert_eq!(record.user(), old.user());
                prop_assert!(record.last_seen >= old.last_seen);
                prop_assert!(!passive || record.last_seen == old.last_seen);
                prop_assert!(record.deadline() <= old.created_at + old.lifetime.absolute);
                prop_assert!(now < old.deadline(), "a dead session is never written");
                prop_assert!(record.data.same_as(&working.data));
                // The cookie changes exactly if the token does.
                let check = record.credential.check(Kind::Cookie, base.token.as_ref().unwrap());
                let held = record.credential.check(Kind::Cookie, next.token.as_ref().unwrap());
                prop_assert_eq!(held, TokenCheck::Current, "the session goes on with the token that its client has");
                match &plan.cookie {
                    CookieOp::Set { token, .. } => {
                        prop_assert_eq!(next.standing, TokenStatus::Current);
                        prop_assert_ne!(check, TokenCheck::Current);
                        prop_assert_eq!(record.credential.check(Kind::Cookie, &token.presented()), TokenCheck::Current);
                    }
                    CookieOp::Keep => {
                        prop_assert_eq!(check, TokenCheck::Current);
                        prop_assert_eq!(next.standing, base.standing);
                    }
                    CookieOp::Remove => prop_assert!(false, "an update never removes the cookie"),
                }
                // Grace is for renewal; regeneration has none.
                if matches!(working.change, Change::Regenerate | Change::StepUp) {
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
                prop_assert_eq!(token.id(), record.id);
                prop_assert_eq!(record.created_at, now);
                prop_assert_eq!(record.version.number, 1);
                prop_assert_eq!(limit.is_some(), record.user().is_some());
                prop_assert_eq!(replaces.is_some(), base.is_some());
                if let Some(base) = base {
                    prop_assert_ne!(record.id, base.record.id);
                    prop_assert_eq!(record.credential.check(Kind::Cookie, base.token.as_ref().unwrap()), TokenCheck::Unknown);
                }
                if let Some(user) = record.user() {
                    prop_assert_eq!(record.id.shard(), user.shard());
                    prop_assert_eq!(working.change, Change::Login);
                } else {
                    prop_assert!(!record.data.is_empty(), "a session that holds nothing is not stored");
                }
                prop_assert_eq!(record.lifetime, policy.lifetime(record.user().is_some(), record.persistence));
            }
            (StoreOp::Delete { id, .. }, Some(base)) => {
                prop_assert_eq!(*id, base.record.id);
                prop_assert_eq!(working.change, Change::Logout);
                prop_assert!(matches!(plan.cookie, CookieOp::Remove));
            }
            (StoreOp::Touch { id, seen, .. }, Some(base)) => {
                prop_assert_eq!((*id, *seen), (base.record.id, now));
                prop_assert!(!passive);
                prop_assert!(now >= START + policy.touch_interval());
                prop_assert!(base.record.data.same_as(&working.data));
                prop_assert!(matches!(plan.cookie, CookieOp::Keep));
            }
            (StoreOp::Nothing, base) => {
                prop_assert!(matches!(plan.cookie, CookieOp::Keep));
                if let Some(base) = base {
                    prop_assert!(base.record.data.same_as(&working.data), "a change is never dropped");
                } else {
                    prop_assert!(working.data.is_empty());
                }
            }
            (StoreOp::Update { .. } | StoreOp::Delete { .. } | StoreOp::Touch { .. }, None) => {
                prop_assert!(false, "nothing stored cannot be changed");
            }
        }
    }

    /// What lets a request end without a commit.
    #[test]
    fn a_session_needs_upkeep_exactly_if_a_plan_without_intents_does_something(
        from in bases().prop_filter_map("nothing stored", |from| from),
        renewed in any::<bool>(),
        passive in any::<bool>(),
        elapsed in 0u64..700_000,
    ) {
        let now = START + Duration::from_millis(elapsed);
        let activity = if passive { Activity::Passive } else { Activity::Active };
        let mut base = base(from.0, from.1);
        if renewed {
            let token = base.token.take().unwrap();
            let (credential, token) = base.record.credential.renew(Kind::Cookie, &token, START, &OsEntropy).unwrap();
            base = LoadedSession { record: Record { credential, ..base.record }, token: Some(token.presented()), ..base };
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
        let base = base(user, TokenStatus::Current);
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
    let base = base(Some("alice"), TokenStatus::Current);
    let (plan, _) = planned(Some(&base), &[], Activity::Active, START + Duration::from_millis(59_999)).unwrap();
    assert!(matches!((plan.store, plan.cookie), (StoreOp::Nothing, CookieOp::Keep)));
}

#[test]
fn a_touch_is_due_at_the_interval() {
    let base = base(Some("alice"), TokenStatus::Current);
    let at = START + Duration::from_secs(60);
    let (plan, _) = planned(Some(&base), &[], Activity::Active, at).unwrap();
    assert!(matches!(plan.store, StoreOp::Touch { seen, .. } if seen == at));
}

#[test]
fn writing_the_same_value_is_not_a_change() {
    let base = base(None, TokenStatus::Current);
    let policy = policy();
    let mut working = Draft::of(Some(&base.record));
    working.apply(&Intent::Set(Bytes::from_static(b"cart"), Bytes::from_static(b"before")), &policy).unwrap();
    let plan = plan(Some(&base), &working, Activity::Active, &policy, START, &OsEntropy).unwrap();
    assert!(matches!(plan.store, StoreOp::Nothing));
}

#[test]
fn a_failing_generator_issues_nothing() {
    #[derive(Debug)]
    struct Broken;
    impl crate::Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), crate::EntropyError> {
            Err(crate::EntropyError)
        }
    }
    let base = base(None, TokenStatus::Current);
    let mut working = Draft::of(Some(&base.record));
    working.apply(&intent(&Step::Login("alice", false), START), &policy()).unwrap();
    let refused = plan(Some(&base), &working, Activity::Active, &policy(), START, &Broken);
    assert!(matches!(refused, Err(Error::Entropy(_))));
}

#[test]
fn a_read_request_that_outlives_the_deadline_is_answered_and_a_write_is_refused() {
    let base = base(Some("alice"), TokenStatus::Current);
    let late = base.record.deadline();
    let (plan, _) = planned(Some(&base), &[], Activity::Active, late).unwrap();
    assert!(matches!(plan.store, StoreOp::Nothing));
    assert!(planned(Some(&base), &[Step::Set(0, 7)], Activity::Active, late).is_none());
}
