//! Several cookies of one name, and cookies that the browser withholds: never a dead end, never a session lost.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::{HeaderEdit, OriginGuard, RejectionKind, RequestHead, ResponseHeaders};
use session_core::store::SessionStore;
use session_core::{
    CookiePolicy, Error, Event, EventKind, Key, LimitPolicy, Login, ManualClock, Policy, PolicyBuilder, Renewal,
    RequestContext, SameSite, Session, SessionManager, SessionObserver, Termination, UserId,
};

const N: Key<u32> = Key::new("n");
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

struct Head<'r> {
    method: &'r str,
    headers: Vec<(&'r str, &'r str)>,
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        "/"
    }

    fn authority(&self) -> Option<&[u8]> {
        None
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(header, _)| *header == name).map(|(_, value)| value.as_bytes())
    }

    fn describe(&self, _context: &mut RequestContext) {}
}

struct Site {
    manager: SessionManager,
    clock: ManualClock,
    events: Events,
    guard: OriginGuard,
}

impl Site {
    fn new(policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        let (clock, events) = (ManualClock::default(), Events::default());
        let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
        let renewal = Renewal { timeout: 900 * SECOND, grace: 10 * SECOND };
        let policy = policy(Policy::standard().to_builder().renewal(Some(renewal))).build().unwrap();
        let manager = SessionManager::builder(store).policy(policy).clock(clock.clone()).observer(events.clone());
        let guard = OriginGuard::new().trusted_origin("https://pay.example").unwrap();
        Self { manager: manager.build(), clock, events, guard }
    }

    /// Of a name that a subdomain can set.
    fn with_open_name() -> Self {
        Self::new(|policy| policy.cookie(CookiePolicy::builder("__Secure-id").build().unwrap()))
    }

    async fn send(
        &self,
        head: Head<'_>,
        act: impl FnOnce(&Session) -> Result<(), Error>,
    ) -> Result<ResponseHeaders, RejectionKind> {
        let request = self.guard.begin_request(&self.manager, &head)?;
        act(request.session().await?)?;
        let (outcome, headers) = request.finish().await;
        outcome?;
        Ok(headers)
    }

    /// A request with these cookies; returns the cookie of the response, without attributes.
    async fn post(&self, cookies: &[&str], act: impl FnOnce(&Session)) -> Option<String> {
        let headers = cookies.iter().map(|cookie| ("cookie", *cookie)).collect();
        let act = |session: &Session| {
            act(session);
            Ok(())
        };
        let headers = self.send(Head { method: "POST", headers }, act).await.unwrap();
        headers.set_cookie.map(|cookie| cookie.expose().split(';').next().unwrap().to_owned())
    }

    async fn login(&self, cookies: &[&str], user: &str) -> String {
        self.clock.advance(SECOND);
        let login = Login::new(UserId::new(user).unwrap());
        self.post(cookies, |session| session.login(login).unwrap()).await.unwrap()
    }

    async fn user(&self, cookies: &[&str]) -> Option<String> {
        let mut user = None;
        self.post(cookies, |session| user = session.user().map(|user| user.as_str().to_owned())).await;
        user
    }

    async fn sessions(&self, user: &str) -> usize {
        self.manager.list(&UserId::new(user).unwrap()).await.unwrap().len()
    }

    fn events(&self) -> Vec<EventKind> {
        std::mem::take(&mut *self.events.0.lock().unwrap())
    }
}

#[tokio::test]
async fn what_names_no_live_session_counts_for_nothing() {
    for site in [Site::new(|policy| policy), Site::with_open_name()] {
        let name = site.manager.policy().cookie().name().to_owned();
        let dead = site.login(&[], "alice").await;
        site.manager.revoke_all(&UserId::new("alice").unwrap()).await.unwrap();
        let expired = site.login(&[], "alice").await;
        site.clock.advance(Duration::from_secs(30 * 60));
        let live = site.login(&[], "alice").await;
        let (empty, garbage) = (format!("{name}="), format!("{name}=garbage"));
        for beside in [&empty, &garbage, &dead, &expired] {
            for cookies in [[&**beside, &*live], [&*live, &**beside]] {
                site.events();
                assert_eq!(site.user(&cookies).await.as_deref(), Some("alice"), "{cookies:?}");
                assert!(site.events().contains(&EventKind::AmbiguousCookie));
            }
        }
        assert_eq!(site.user(&[&empty, &garbage, &dead, &expired, &live]).await.as_deref(), Some("alice"));
        // Bounded: with enough of them around it, it is not looked at.
        let mut planted = Vec::new();
        for _ in 0..8 {
            planted.push(site.login(&[], "m").await);
        }
        site.manager.revoke_all(&UserId::new("m").unwrap()).await.unwrap();
        let (front, back): (Vec<&str>, Vec<&str>) =
            (planted[..4].iter().map(String::as_str).collect(), planted[4..].iter().map(String::as_str).collect());
        let first = [&front[..], &[&*live], &back].concat();
        assert_eq!(site.user(&first).await, None);
        // A login is the way back, and so is a logout.
        let again = site.login(&first, "alice").await;
        assert_eq!(site.user(&[&dead, &expired, &again]).await.as_deref(), Some("alice"));
        let removed = site.post(&first, |session| session.logout().unwrap()).await;
        assert_eq!(removed, Some(format!("{name}=")));
    }
}

/// After an attribute of the cookie changed, the browser keeps the old one beside the new.
#[tokio::test]
async fn copies_of_one_session_are_no_theft() {
    let site = Site::with_open_name();
    let first = site.login(&[], "alice").await;
    site.clock.advance(900 * SECOND);
    let second = site.post(&[&first], |_| {}).await.unwrap();
    for cookies in [[&*first, &*second], [&*second, &*first]] {
        assert_eq!(site.user(&cookies).await.as_deref(), Some("alice"), "a predecessor beside its successor");
    }
    site.clock.advance(900 * SECOND);
    let third = site.post(&[&first, &second], |_| {}).await.unwrap();
    site.clock.advance(100 * SECOND);
    site.events();
    for cookies in [[&*first, &*third], [&*third, &*first], [&*second, &*third]] {
        assert_eq!(site.user(&cookies).await.as_deref(), Some("alice"), "a copy of an older generation");
    }
    assert!(!site.events().contains(&EventKind::TokenReuse));
    // Alone they are.
    assert_eq!(site.user(&[&first, &second]).await, None);
    assert!(site.events().contains(&EventKind::TokenReuse));
    assert_eq!(site.user(&[&third]).await, None);
}

#[tokio::test]
async fn of_two_users_neither_counts_until_a_login_or_a_logout_ends_both() {
    let site = Site::with_open_name();
    let (alice, mallory) = (site.login(&[], "alice").await, site.login(&[], "mallory").await);
    let both = [&*mallory, &*alice];
    assert_eq!(site.user(&both).await, None);
    assert_eq!(site.post(&both, |session| session.insert(N, &1).unwrap()).await, None, "no third cookie");
    assert!(site.events().contains(&EventKind::NotStored));
    assert_eq!((site.sessions("alice").await, site.sessions("mallory").await), (1, 1), "reading ends nothing");

    let again = site.login(&both, "alice").await;
    assert_eq!((site.sessions("alice").await, site.sessions("mallory").await), (1, 0));
    assert_eq!(site.events().iter().filter(|kind| **kind == EventKind::Terminated(Termination::Replaced)).count(), 2);
    assert_eq!(site.user(&[&mallory, &again]).await.as_deref(), Some("alice"));

    let mallory = site.login(&[], "mallory").await;
    let removed = site.post(&[&mallory, &again], |session| session.logout().unwrap()).await;
    assert_eq!(removed.as_deref(), Some("__Secure-id="));
    assert_eq!((site.sessions("alice").await, site.sessions("mallory").await), (0, 0));
}

/// A subdomain that plants its own live session, and so many others that the user's own is not looked at.
#[tokio::test]
async fn a_crowd_does_not_put_a_stranger_in_the_place_of_the_user() {
    let site = Site::with_open_name();
    let (mallory, alice) = (site.login(&[], "mallory").await, site.login(&[], "alice").await);
    let mut crowd = vec![mallory];
    for _ in 0..8 {
        crowd.push(site.login(&[], "m").await);
    }
    site.manager.revoke_all(&UserId::new("m").unwrap()).await.unwrap();
    crowd.insert(5, alice);
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    assert_eq!(site.user(&crowd).await, None);
    assert_eq!(site.post(&crowd, |session| session.insert(N, &1).unwrap()).await, None);
    // Its own is among the last.
    let again = site.login(&crowd, "alice").await;
    let fewer: Vec<&str> = crowd[..7].iter().copied().chain([&*again]).collect();
    assert_eq!(site.user(&fewer).await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn of_two_sessions_of_one_user_the_later_login_counts() {
    let site = Site::with_open_name();
    let (earlier, later) = (site.login(&[], "alice").await, site.login(&[], "alice").await);
    site.post(&[&later], |session| session.insert(N, &7).unwrap()).await;
    for both in [[&*earlier, &*later], [&*later, &*earlier]] {
        let mut seen = None;
        site.post(&both, |session| seen = session.get(N).unwrap()).await;
        assert_eq!(seen, Some(7));
    }
    site.post(&[&later, &earlier], |session| session.logout().unwrap()).await;
    assert_eq!(site.sessions("alice").await, 0, "a logout ends every session that was presented");
}

/// A name that no other host can set: what is there is the browser's own.
#[tokio::test]
async fn of_a_host_name_the_login_counts_over_a_visit() {
    let site = Site::new(|policy| policy);
    let alice = site.login(&[], "alice").await;
    site.clock.advance(SECOND);
    let visit = site.post(&[], |session| session.insert(N, &1).unwrap()).await.unwrap();
    assert_eq!(site.user(&[&visit, &alice]).await.as_deref(), Some("alice"));
    let bob = site.login(&[], "bob").await;
    assert_eq!(site.user(&[&bob, &alice]).await.as_deref(), Some("bob"));
    assert_eq!(site.user(&[&alice, &bob, &visit]).await.as_deref(), Some("bob"));
}

#[tokio::test]
async fn a_limit_of_one_does_not_lock_out_a_browser_with_two_cookies() {
    let site = Site::new(|policy| {
        let cookie = CookiePolicy::builder("__Secure-id").build().unwrap();
        policy.cookie(cookie).session_limit(1, LimitPolicy::Reject)
    });
    let (alice, mallory) = (site.login(&[], "alice").await, site.login(&[], "mallory").await);
    let again = site.login(&[&alice, &mallory], "alice").await;
    assert_eq!(site.user(&[&again]).await.as_deref(), Some("alice"));
    assert_eq!(site.sessions("alice").await, 1);
}

#[tokio::test]
async fn former_cookies_are_removed_with_each_new_one() {
    let former = CookiePolicy::builder("__Secure-id").domain("shop.example").build().unwrap();
    let embedded = CookiePolicy::builder("__Secure-id").same_site(SameSite::Embedded).build().unwrap();
    let cookie =
        CookiePolicy::builder("__Secure-id").formerly(former.clone()).formerly(embedded.clone()).build().unwrap();
    let site = Site::new(|policy| policy.cookie(cookie.clone()));
    let expected = [former.remove(), embedded.remove()].map(|cookie| cookie.expose().to_owned());
    let login = Login::new(UserId::new("alice").unwrap());
    let headers = site.send(Head { method: "POST", headers: vec![] }, |session| session.login(login)).await.unwrap();
    let cookies: Vec<String> = headers
        .edits(|_| [])
        .filter_map(|edit| match edit {
            HeaderEdit::AppendCookie(cookie) => Some(cookie.expose().to_owned()),
            HeaderEdit::Append(..) | HeaderEdit::Set(..) | HeaderEdit::Remove(..) => None,
        })
        .collect();
    assert!(cookies[0].starts_with("__Secure-id=") && !cookies[0].contains("Domain"), "{cookies:?}");
    assert_eq!(cookies[1..], expected);
    let ours = cookies[0].split(';').next().unwrap();
    let read = site.send(Head { method: "GET", headers: vec![("cookie", ours)] }, |_| Ok(())).await.unwrap();
    assert!(read.removed_cookies.is_empty() && read.set_cookie.is_none());
    let logout = site.send(Head { method: "POST", headers: vec![("cookie", ours)] }, Session::logout).await.unwrap();
    assert_eq!(logout.removed_cookies.iter().map(|cookie| cookie.expose()).collect::<Vec<_>>(), expected);
}

/// A payment provider's callback, a link in an e-mail.
#[tokio::test]
async fn a_request_whose_cookie_is_withheld_begins_no_session_but_a_login_does() {
    let cross_site = ("sec-fetch-site", "cross-site");
    let link = [cross_site, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let frame = [cross_site, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    let fetch = [cross_site, ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
    let callback =
        [cross_site, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("origin", "https://pay.example")];
    let http = [("host", "shop.example"), ("origin", "https://pay.example")];
    let same_site = [("sec-fetch-site", "same-site"), ("origin", "https://pay.example")];
    for (same_site_policy, method, headers, is_stored) in [
        (SameSite::Lax, "GET", &link[..], true),
        (SameSite::Lax, "HEAD", &link, true),
        (SameSite::Lax, "GET", &frame, false),
        (SameSite::Lax, "GET", &fetch, false),
        (SameSite::Lax, "POST", &callback, false),
        (SameSite::Lax, "POST", &http, true),
        (SameSite::Lax, "POST", &same_site, true),
        (SameSite::Lax, "GET", &[], true),
        (SameSite::Strict, "GET", &link, false),
        (SameSite::Strict, "POST", &callback, false),
        (SameSite::Strict, "POST", &same_site, true),
        (SameSite::Strict, "GET", &[("sec-fetch-site", "none")], true),
        (SameSite::Embedded, "GET", &frame, true),
        (SameSite::Embedded, "POST", &callback, true),
    ] {
        let cookie = CookiePolicy::builder("__Host-id").same_site(same_site_policy).build().unwrap();
        let site = Site::new(|policy| policy.cookie(cookie));
        let head = || Head { method, headers: headers.to_vec() };
        let mut seen = None;
        let write = |session: &Session| {
            session.insert(N, &1)?;
            seen = session.get(N)?;
            Ok(())
        };
        let written = site.send(head(), write).await.unwrap();
        assert_eq!(seen, Some(1), "it lives in this request");
        assert_eq!(written.set_cookie.is_some(), is_stored, "{same_site_policy:?} {method} {headers:?}");
        assert_eq!(site.events() == [EventKind::NotStored], !is_stored);
        let login = Login::new(UserId::new("alice").unwrap());
        let login = site.send(head(), |session| session.login(login)).await.unwrap();
        assert!(login.set_cookie.is_some(), "a login always stores");
        let cookie = login.set_cookie.unwrap().expose().split(';').next().unwrap().to_owned();
        let with_cookie = Head { method, headers: [headers, &[("cookie", &*cookie)]].concat() };
        let _ = site.send(with_cookie, |session| session.insert(N, &1)).await.unwrap();
        assert!(!site.events().contains(&EventKind::NotStored), "a cookie that was sent was not withheld");
    }
}
