//! Each metric of core is provoked, and counted once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use session_conformance::ReferenceStore;
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::{
    Error, Event, EventKind, Expiry, Key, Measurement, OriginRefusal, PresentedToken, RequestContext, SessionManager,
    SessionObserver, StepUp, StoreErrorKind, Termination, UserId, VisitorDecision, VisitorGate,
};

use crate::bed::{Bed, FOREVER, Metrics, RENEWAL, login};

const COUNT: Key<u32> = Key::new("count");

/// Every event has one counter, and is counted there once; no two have the same.
#[test]
fn every_event_is_counted_once() {
    let terminations = [
        (Termination::Logout, "logout"),
        (Termination::Replaced, "replaced"),
        (Termination::Revoked, "revoked"),
        (Termination::Evicted, "evicted"),
        (Termination::Reuse, "reuse"),
        (Termination::Unreceived, "unreceived"),
    ];
    let refusals = [
        (OriginRefusal::OtherSite, "other_site"),
        (OriginRefusal::OtherHost, "other_host"),
        (OriginRefusal::Opaque, "opaque"),
        (OriginRefusal::Missing, "missing"),
        (OriginRefusal::Unreadable, "unreadable"),
        (OriginRefusal::HostNotAllowed, "host_not_allowed"),
    ];
    let others = [
        (EventKind::Created, "session_begun_total{kind=visitor}"),
        (EventKind::LoggedIn, "session_begun_total{kind=user}"),
        (EventKind::NewDevice, "session_new_devices_total"),
        (EventKind::SteppedUp, "session_tokens_changed_total{cause=step_up}"),
        (EventKind::Regenerated, "session_tokens_changed_total{cause=regeneration}"),
        (EventKind::Renewed, "session_tokens_changed_total{cause=renewal}"),
        (EventKind::CookieRemoved, "session_ended_total{reason=cookie_removed}"),
        (EventKind::Replayed, "session_tokens_replayed_total"),
        (EventKind::ReplayRefused, "session_tokens_refused_total{reason=replayed}"),
        (EventKind::Expired(Expiry::Idle), "session_tokens_refused_total{reason=expired_idle}"),
        (EventKind::Expired(Expiry::Absolute), "session_tokens_refused_total{reason=expired_absolute}"),
        (EventKind::Expired(Expiry::NotBefore), "session_tokens_refused_total{reason=not_before}"),
        (EventKind::TokenReuse, "session_tokens_refused_total{reason=reused}"),
        (EventKind::RenewalRaced, "session_tokens_refused_total{reason=raced}"),
        (EventKind::UnknownToken, "session_tokens_refused_total{reason=unknown}"),
        (EventKind::MalformedToken, "session_tokens_refused_total{reason=malformed}"),
        (EventKind::InvalidAccessToken, "session_tokens_refused_total{reason=access_token}"),
        (EventKind::InvalidProof, "session_tokens_refused_total{reason=proof}"),
        (EventKind::DeviceNotProved, "session_tokens_refused_total{reason=device}"),
        (EventKind::InvalidLogoutToken, "session_tokens_refused_total{reason=logout_token}"),
        (EventKind::LimitReached, "session_logins_refused_total{reason=limit}"),
        (EventKind::LoginRefused, "session_logins_refused_total{reason=credentials}"),
        (EventKind::AmbiguousCookie, "session_ambiguous_cookies_total"),
        (EventKind::NotStored, "session_visitors_refused_total{reason=cookie_unknown}"),
        (EventKind::VisitorRefused, "session_visitors_refused_total{reason=gate}"),
        (EventKind::Abandoned, "session_abandoned_total"),
    ];
    let terminations =
        terminations.map(|(why, name)| (EventKind::Terminated(why), format!("session_ended_total{{reason={name}}}")));
    let refusals = refusals
        .map(|(why, name)| (EventKind::CrossOrigin(why), format!("session_requests_refused_total{{reason={name}}}")));
    let events = others.map(|(kind, name)| (kind, name.to_owned())).into_iter().chain(terminations).chain(refusals);
    let bed = Bed::new();
    for (kind, name) in events {
        bed.manager.report(kind, None, None);
        bed.assert_once(&[&name]);
    }
    for kind in StoreErrorKind::ALL {
        for operation in ["load", "create", "update", "touch", "delete", "list_by_user", "delete_by_user", "list_all"]
            .into_iter()
            .chain(["count", "delete_expired", "seal"])
        {
            bed.manager.report(EventKind::StoreFailed { operation, kind }, None, None);
            let labels = format!("store=reference,operation={operation},kind={}", kind.as_str());
            bed.assert_once(&[&format!("session_store_errors_total{{{labels}}}")]);
        }
    }
}

#[tokio::test]
async fn what_a_request_finds_is_counted() {
    let bed = Bed::new();
    let found = |name: &str| {
        let taken = bed.take_all();
        let opened: Vec<_> = taken.iter().filter(|(name, _)| name.starts_with("session_opened")).collect();
        assert_eq!(opened, [(&format!("session_opened_total{{found={name}}}"), &1.0)], "{taken:?}");
    };
    let mut client = bed.client();
    client.request_without_session().await.unwrap();
    assert_eq!(bed.take_all().len(), 0, "nobody asked for it");
    client.request(async |session| session.insert(COUNT, &1)).await.unwrap();
    found("nothing");
    client.request(async |session| session.get(COUNT)).await.unwrap();
    found("visitor");
    client.request(async |session| session.login(login())).await.unwrap();
    found("visitor");
    client.request(async |session| session.get(COUNT)).await.unwrap();
    found("user");
    bed.store.hook().set_failing(true);
    client.request(async |session| session.get(COUNT)).await.unwrap_err();
    found("failed");
    bed.store.hook().set_failing(false);
    client.set_token("nonsense");
    client.request(async |session| session.get(COUNT)).await.unwrap();
    found("nothing");
}

#[tokio::test]
async fn the_life_of_a_session_is_counted() {
    let bed = Bed::new();
    let mut client = bed.client();
    client.request(async |session| session.insert(COUNT, &1)).await.unwrap();
    bed.assert_once(&["session_begun_total{kind=visitor}"]);
    client.request(async |session| session.login(login())).await.unwrap();
    bed.assert_once(&["session_begun_total{kind=user}", "session_ended_total{reason=replaced}"]);
    let alice = UserId::new("alice").unwrap();
    client.request(async |session| session.step_up(StepUp::new(alice))).await.unwrap();
    bed.assert_once(&["session_tokens_changed_total{cause=step_up}"]);
    client.request(async |session| session.regenerate()).await.unwrap();
    bed.assert_once(&["session_tokens_changed_total{cause=regeneration}"]);
    bed.clock.advance(RENEWAL.timeout);
    let mut old = client.clone();
    client.request(async |_| Ok(())).await.unwrap();
    bed.assert_once(&["session_tokens_changed_total{cause=renewal}"]);
    old.clone().request(async |_| Ok(())).await.unwrap();
    bed.assert_once(&["session_tokens_replayed_total"]);
    bed.clock.advance(RENEWAL.grace * 2);
    client.request(async |_| Ok(())).await.unwrap();
    bed.clock.advance(RENEWAL.timeout);
    client.request(async |_| Ok(())).await.unwrap();
    let _ = bed.take();
    old.request(async |_| Ok(())).await.unwrap();
    bed.assert_once(&["session_tokens_refused_total{reason=reused}", "session_ended_total{reason=reuse}"]);
    client.request(async |_| Ok(())).await.unwrap();
    bed.assert_once(&["session_tokens_refused_total{reason=unknown}"]);
    let mut client = bed.logged_in().await;
    let _ = bed.take();
    client.request(async |session| session.logout()).await.unwrap();
    bed.assert_once(&["session_ended_total{reason=logout}"]);
    let mut idle = bed.logged_in().await;
    bed.clock.advance(FOREVER);
    let _ = bed.take();
    idle.request(async |_| Ok(())).await.unwrap();
    let refused = bed.take();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused.keys().all(|name| name.starts_with("session_tokens_refused_total{reason=expired_")), "{refused:?}");
}

#[tokio::test]
async fn a_login_that_the_limit_refuses_is_counted() {
    let bed = Bed::new();
    let (_one, _two) = (bed.logged_in().await, bed.logged_in().await);
    let _ = bed.take();
    let refused = bed.client().request(async |session| session.login(login())).await.unwrap_err();
    assert!(matches!(refused, Error::LimitReached));
    bed.assert_once(&["session_logins_refused_total{reason=limit}"]);
}

/// Lets nobody in.
#[derive(Debug)]
struct Shut;

#[async_trait::async_trait]
impl VisitorGate for Shut {
    async fn admit(&self, _: Option<&RequestContext>) -> VisitorDecision {
        VisitorDecision::Refuse
    }
}

#[tokio::test]
async fn a_visitor_who_is_refused_is_counted() {
    let bed = Bed::with(|builder| builder.visitor_gate(Shut));
    bed.client().request(async |session| session.insert(COUNT, &1)).await.unwrap_err();
    bed.assert_once(&["session_visitors_refused_total{reason=gate}"]);
}

#[tokio::test]
async fn a_conflict_is_counted() {
    let bed = Bed::new();
    let client = bed.logged_in().await;
    let requests = [client.begin(), client.begin()];
    for request in &requests {
        request.session().await.unwrap().update(COUNT, |count| *count += 1).unwrap();
    }
    let _ = bed.take();
    for request in &requests {
        let (outcome, _) = request.finish().await;
        outcome.unwrap();
    }
    bed.assert_once(&["session_conflicts_total{operation=update}"]);
}

/// Two refreshes with the token that both have verified: the second writes nothing, and is no error.
#[tokio::test]
async fn a_conflict_of_refresh_tokens_is_counted() {
    let bed = Bed::new();
    let issued = bed.manager.issue_refresh_token(login(), None).await.unwrap();
    let text = issued.token.encode().expose().to_owned();
    let verify = async || {
        let presented = PresentedToken::parse(text.as_bytes()).unwrap();
        bed.manager.verify_refresh_token(&presented).await.unwrap().unwrap()
    };
    let (one, two) = (verify().await, verify().await);
    let _ = bed.take();
    let _ = bed.manager.rotate(one).await.unwrap().unwrap();
    let _ = bed.manager.rotate(two).await.unwrap().unwrap();
    assert_eq!(bed.take().get("session_conflicts_total{operation=update}"), Some(&1.0));
}

#[tokio::test]
async fn operations_of_the_store_are_timed_and_failures_counted() {
    let bed = Bed::new();
    let mut client = bed.logged_in().await;
    let timed = |expected: &[(&str, &str)]| {
        let mut taken = bed.take_all();
        taken.retain(|name, _| name.starts_with("session_store_"));
        let durations = expected.iter().map(|(operation, outcome)| {
            let labels = format!("store=reference,operation={operation},outcome={outcome}");
            (format!("session_store_operation_duration_seconds{{{labels}}}"), 1.0)
        });
        let failures = expected.iter().filter(|(_, outcome)| *outcome == "failed").map(|(operation, _)| {
            (format!("session_store_errors_total{{store=reference,operation={operation},kind=unavailable}}"), 1.0)
        });
        assert_eq!(taken, durations.chain(failures).collect());
    };
    timed(&[("create", "ok")]);
    client.request(async |session| session.insert(COUNT, &1)).await.unwrap();
    timed(&[("load", "ok"), ("update", "ok")]);
    let alice = UserId::new("alice").unwrap();
    assert_eq!(bed.manager.list(&alice).await.unwrap().len(), 1);
    timed(&[("list_by_user", "ok")]);
    bed.manager.list_all(None, NonZeroU32::MIN).await.unwrap();
    timed(&[("list_all", "ok")]);
    bed.clock.advance(bed.manager.policy().touch_interval());
    client.request(async |session| session.get(COUNT)).await.unwrap();
    timed(&[("load", "ok"), ("touch", "ok")]);
    bed.store.hook().set_failing(true);
    client.request(async |session| session.get(COUNT)).await.unwrap_err();
    timed(&[("load", "failed")]);
    bed.store.hook().set_failing(false);
    client.request(async |session| session.logout()).await.unwrap();
    timed(&[("load", "ok"), ("delete", "ok")]);
    bed.manager.revoke_all(&alice).await.unwrap();
    timed(&[("delete_by_user", "ok")]);
}

#[tokio::test]
async fn live_sessions_and_those_that_are_swept_are_counted() {
    let bed = Bed::new();
    let (_one, _two) = (bed.logged_in().await, bed.logged_in().await);
    let _ = bed.take();
    bed.manager.count().await.unwrap();
    assert_eq!(bed.take(), [("session_live".to_owned(), 2.0)].into());
    bed.clock.advance(FOREVER);
    assert_eq!(bed.manager.delete_expired(NonZeroU32::new(10).unwrap()).await.unwrap(), 2);
    assert_eq!(bed.take(), [("session_expired_deleted_total".to_owned(), 2.0)].into());
}

/// An observer that says whether it wants measurements, and fails at each.
#[derive(Debug)]
struct Broken {
    wants: bool,
    told: Arc<AtomicUsize>,
}

impl SessionObserver for Broken {
    fn on_event(&self, _: &Event) {}

    fn on_measurement(&self, _: &Measurement) {
        self.told.fetch_add(1, Ordering::SeqCst);
        std::panic::resume_unwind(Box::new("a defect of the application"));
    }

    fn wants_measurements(&self) -> bool {
        self.wants
    }
}

/// Without a panic hook, as it is expected here: one that fails keeps nobody from logging in.
#[tokio::test]
async fn measurements_are_for_who_wants_them_and_harm_nobody() {
    for (wants, expected) in [(false, 0), (true, 2)] {
        let told = Arc::new(AtomicUsize::new(0));
        let bed = Bed::with(|builder| builder.observer(Broken { wants, told: Arc::clone(&told) }));
        let _client = bed.logged_in().await;
        assert_eq!(told.load(Ordering::SeqCst), expected, "opened, and one operation of the store");
    }
}

/// What asks for no metrics, registers none.
#[tokio::test]
async fn without_metrics_nothing_is_registered() {
    let make = || SessionManager::builder(Arc::new(ReferenceStore::new())).build();
    let (metrics, manager) = Metrics::of(make);
    let request = RequestSession::new(manager, PresentedCookie::Nothing);
    request.session().await.unwrap().insert(COUNT, &1).unwrap();
    request.finish().await.0.unwrap();
    assert!(metrics.snapshot().is_empty());
}
