//! A browser that follows the draft of device-bound sessions, step by step, in random orders: whatever gets lost, it stays logged
//! in; and a copy of its cookies is good as long as the bound one lives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use session_conformance::{Harness, ReferenceStore};
use session_core::adapter::{RejectionKind, RequestHead, RequestSession};
use session_core::store::SessionStore;
use session_core::{
    Clock as _, CookiePolicy, Key, Login, ManualClock, Policy, Renewal, RequestContext, SessionManager, Timestamp,
    UserId,
};
use session_jwt::{Answer, BindingEnforcement, BindingState, DeviceBinding};
use session_testbed::device::DeviceKey;
use session_testbed::servers::namespace;
use session_testbed::{backends, cached_backends};

const VISITS: Key<u64> = Key::new("visits");
const LIFETIME: Duration = Duration::from_secs(600);
const LEEWAY: Duration = Duration::from_secs(30);

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// The headers of a request.
#[derive(Default)]
struct Head(Vec<(&'static str, String)>);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn path(&self) -> &str {
        "/"
    }

    fn authority(&self) -> Option<&[u8]> {
        None
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_bytes())
    }

    fn describe(&self, _: &mut RequestContext) {}
}

/// The cookies that a request has: the one of the session, and the bound one.
#[derive(Clone, Debug, Default)]
struct Cookies {
    session: Option<String>,
    bound: Option<String>,
}

impl Cookies {
    fn head(&self) -> Head {
        let cookies: Vec<&str> = [&self.session, &self.bound].into_iter().flatten().map(String::as_str).collect();
        Head(if cookies.is_empty() { Vec::new() } else { vec![("cookie", cookies.join("; "))] })
    }
}

/// What came back.
struct Answered {
    status: u16,
    body: Value,
    /// `Secure-Session-Challenge` or `Secure-Session-Registration`.
    challenge: Option<String>,
    cookies: Vec<String>,
}

struct Site {
    nodes: Vec<SessionManager>,
    binding: DeviceBinding,
    clock: ManualClock,
}

impl Site {
    fn new(stores: Vec<Arc<dyn SessionStore>>) -> Self {
        let clock = ManualClock::default();
        clock.advance(Duration::from_millis(1_767_225_600_000));
        let renewal = Renewal { timeout: Duration::from_secs(900), grace: Duration::from_secs(60) };
        // The life of a browser here has long pauses.
        let day = Duration::from_secs(24 * 3600);
        let policy = Policy::standard().to_builder().renewal(Some(renewal)).idle_timeout(day).absolute_timeout(2 * day);
        let policy = policy.build().unwrap();
        let node = |store| SessionManager::builder(store).policy(policy.clone()).clock(clock.clone()).build();
        let cookie = CookiePolicy::builder("__Host-bound").build().unwrap();
        let binding = DeviceBinding::new("https://shop.example", "/bind", "/renew", cookie).unwrap();
        Self { nodes: stores.into_iter().map(node).collect(), binding, clock }
    }

    async fn request<T>(
        &self,
        node: u64,
        head: &Head,
        handle: impl AsyncFnOnce(&SessionManager, &session_core::Session) -> T,
    ) -> (T, Vec<String>) {
        let manager = &self.nodes[node as usize % self.nodes.len()];
        let request = RequestSession::new(manager.clone(), manager.read_cookie(head.values("cookie")));
        let handled = handle(manager, request.session().await.unwrap()).await;
        let (committed, headers) = request.finish().await;
        committed.unwrap();
        (handled, headers.set_cookie.iter().map(|cookie| cookie.expose().to_owned()).collect())
    }

    async fn login(&self, node: u64, cookies: &Cookies) -> Answered {
        let (offer, set) = self
            .request(node, &cookies.head(), async |_, session| {
                session.login(Login::new(UserId::new("alice").unwrap())).unwrap();
                self.binding.offer(session).unwrap()
            })
            .await;
        Answered { status: 200, body: Value::Null, challenge: Some(offer.1), cookies: set }
    }

    /// A page that counts its visits, and offers once more to bind the session where it is not.
    async fn visit(
        &self,
        node: u64,
        cookies: &Cookies,
        offers: bool,
    ) -> (Result<BindingState, RejectionKind>, Answered) {
        let head = cookies.head();
        let ((allowed, challenge), set) = self
            .request(node, &head, async |manager, session| {
                let Some(_) = session.user() else { return (Err(RejectionKind::Unauthenticated), None) };
                if let Err(refused) = self.binding.require(manager, session, &head).await {
                    return (Err(refused), None);
                }
                session.update(VISITS, |visits| *visits += 1).unwrap();
                let state = self.binding.state(manager, session, &head);
                let offers = offers && matches!(state, BindingState::Unbound | BindingState::Registered);
                let offer = offers.then(|| self.binding.offer(session).unwrap().1);
                (Ok(state), offer)
            })
            .await;
        (allowed, Answered { status: 200, body: Value::Null, challenge, cookies: set })
    }

    async fn send(&self, node: u64, cookies: &Cookies, id: Option<&str>, signed: Option<String>) -> Answered {
        let mut head = cookies.head();
        head.0.extend(id.map(|id| ("sec-secure-session-id", format!("\"{id}\""))));
        head.0.extend(signed.map(|signed| ("secure-session-response", signed)));
        let (answer, set): (Answer, _) = self
            .request(node, &head, async |manager, session| match id {
                None => self.binding.register(manager, session, &head).await,
                Some(_) => self.binding.renew(manager, session, &head).await,
            })
            .await;
        let challenge = answer.headers().find(|(name, _)| *name == "secure-session-challenge").map(|(_, value)| value);
        let mut cookies = set;
        for edit in answer.edits().into_iter().flatten() {
            if let session_core::adapter::HeaderEdit::AppendCookie(cookie) = edit {
                cookies.push(cookie.expose().to_owned());
            }
        }
        let status = answer.status();
        Answered { status, challenge, cookies, body: serde_json::from_str(&answer.into_body()).unwrap() }
    }
}

/// What is quoted first.
fn quoted(header: &str) -> String {
    header.split('"').nth(1).unwrap().to_owned()
}

/// The browser's part of the protocol.
struct Browser {
    cookies: Cookies,
    /// When it forgets the bound cookie.
    until: Option<Timestamp>,
    /// The session that it has registered, with its key and the challenge that comes next.
    bound: Option<(String, DeviceKey, String)>,
    /// A registration that it was offered, and has not answered.
    offer: Option<String>,
    keys: u64,
}

impl Browser {
    fn take(&mut self, site: &Site, cookies: Vec<String>) {
        for cookie in cookies {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            if pair.starts_with("__Host-bound=") {
                let max_age = attributes.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap();
                self.until = Some(site.clock.now() + Duration::from_secs(max_age.parse().unwrap()));
                self.cookies.bound = Some(pair.to_owned());
            } else {
                self.cookies.session = Some(pair.to_owned());
            }
        }
    }

    /// Registers a new key, if that was offered. The answer may get lost.
    async fn register(&mut self, site: &Site, dice: &mut Dice) {
        let Some(offer) = self.offer.take() else { return };
        let (challenge, node) = (offer.split("challenge=\"").nth(1).unwrap().trim_end_matches('"'), dice.roll(2));
        self.keys += 1;
        let key = DeviceKey::new(self.keys);
        let answered = site.send(node, &self.cookies, None, Some(key.registration(challenge))).await;
        if dice.one_in(4) || answered.status != 200 {
            return;
        }
        let id = answered.body["session_identifier"].as_str().unwrap().to_owned();
        self.bound = Some((id, key, quoted(answered.challenge.as_ref().unwrap())));
        self.take(site, answered.cookies);
    }

    /// Asks for a new cookie, as often as it takes; answers may get lost, and another tab may be faster.
    async fn renew(&mut self, site: &Site, dice: &mut Dice) {
        for _ in 0..20 {
            let Some((id, key, challenge)) = self.bound.clone() else { return };
            let signed = match dice.roll(4) {
                // It asks for a challenge first.
                0 => None,
                // It signs one of long ago.
                1 => Some(key.renewal("of long ago")),
                _ => Some(key.renewal(&challenge)),
            };
            let answered = site.send(dice.roll(2), &self.cookies, Some(&id), signed).await;
            if dice.one_in(5) {
                continue;
            }
            if answered.body["continue"] == false {
                (self.bound, self.cookies.bound) = (None, None);
                return;
            }
            let next = quoted(answered.challenge.as_ref().unwrap());
            self.bound = Some((id, key, next));
            match answered.status {
                200 => return self.take(site, answered.cookies),
                403 => {}
                status => panic!("{status} ends the session of the browser"),
            }
        }
        panic!("it gets no cookie");
    }

    /// Before any request: the cookies of the session are renewed if they have expired.
    async fn prepare(&mut self, site: &Site, dice: &mut Dice) {
        if self.until.is_some_and(|until| site.clock.now() >= until) {
            (self.cookies.bound, self.until) = (None, None);
        }
        if self.bound.is_some() && self.cookies.bound.is_none() {
            self.renew(site, dice).await;
        }
    }
}

/// What a thief has copied, and until when the bound cookie among it can be good.
struct Copy {
    cookies: Cookies,
    until: Timestamp,
}

/// One life of a session, by one seed.
async fn live(site: &Site, seed: u64, steps: u64) {
    let mut dice = Dice(seed);
    let mut browser =
        Browser { cookies: Cookies::default(), until: None, bound: None, offer: None, keys: 1 + seed * 1000 };
    let login = site.login(dice.roll(2), &browser.cookies).await;
    browser.offer = login.challenge;
    browser.take(site, login.cookies);
    let mut copy: Option<Copy> = None;
    for step in 0..steps {
        match dice.roll(8) {
            0 | 1 => browser.register(site, &mut dice).await,
            2..=4 => {
                browser.prepare(site, &mut dice).await;
                let (allowed, answered) = site.visit(dice.roll(2), &browser.cookies, dice.one_in(2)).await;
                assert!(allowed.is_ok(), "seed {seed}, step {step}: {allowed:?}");
                browser.take(site, answered.cookies);
                browser.offer = answered.challenge.or(browser.offer.take());
                if allowed == Ok(BindingState::Bound) && dice.one_in(3) {
                    let until = browser.until.unwrap() + LEEWAY;
                    copy = Some(Copy { cookies: browser.cookies.clone(), until });
                }
            }
            // Two tabs at once.
            5 if browser.bound.is_some() => {
                let (id, key, challenge) = browser.bound.clone().unwrap();
                let tab = |node| site.send(node, &browser.cookies, Some(&id), Some(key.renewal(&challenge)));
                let (one, other) = tokio::join!(tab(0), tab(1));
                let mut answers = [one, other];
                answers.sort_by_key(|answer| answer.status);
                for answered in answers.into_iter().rev() {
                    if let Some(challenge) = answered.challenge {
                        browser.bound = Some((id.clone(), key.clone(), quoted(&challenge)));
                        browser.take(site, answered.cookies);
                    } else {
                        assert_eq!(answered.body["continue"], false);
                        (browser.bound, browser.cookies.bound) = (None, None);
                        break;
                    }
                }
            }
            _ => site.clock.advance(Duration::from_secs(dice.roll(800))),
        }
        if let Some(copy) = &copy {
            steal(site, &browser, copy, &mut dice, seed).await;
        }
    }
    // Logged out, the browser is told so.
    browser.prepare(site, &mut dice).await;
    let head = browser.cookies.head();
    let _ = site.request(0, &head, async |_, session| session.logout().unwrap()).await;
    if let Some((id, key, challenge)) = &browser.bound {
        let answered = site.send(1, &browser.cookies, Some(id), Some(key.renewal(challenge))).await;
        assert_eq!((answered.status, &answered.body["continue"]), (200, &Value::Bool(false)), "seed {seed}");
    }
}

/// What a copy of both cookies is worth after the life of the bound one; and what its holder gets with another key.
async fn steal(site: &Site, browser: &Browser, copy: &Copy, dice: &mut Dice, seed: u64) {
    if site.clock.now() < copy.until {
        return;
    }
    // The cookie of the session is renewed: the thief has the newest one, and the bound one of then.
    let cookies = Cookies { session: browser.cookies.session.clone(), ..copy.cookies.clone() };
    let (allowed, answered) = site.visit(dice.roll(2), &cookies, false).await;
    assert_eq!((allowed, answered.cookies), (Err(RejectionKind::DeviceBindingRequired), Vec::new()), "seed {seed}");
    let Some((id, _, challenge)) = &browser.bound else { return };
    let key = DeviceKey::new(u64::MAX - seed);
    for signed in [key.renewal(challenge), key.registration(challenge)] {
        let renewed = site.send(dice.roll(2), &cookies, Some(id), Some(signed)).await;
        assert_eq!((renewed.status, renewed.cookies), (403, Vec::new()), "seed {seed}");
    }
    let registered = site.send(dice.roll(2), &cookies, None, Some(key.registration(challenge))).await;
    assert_eq!((registered.status, registered.cookies), (400, Vec::new()), "seed {seed}");
}

/// How many orders are tried, unless `BOUND_ORDERS` says otherwise: CONTRIBUTING.md has the command for ten thousand.
const ORDERS: u64 = 1500;

#[tokio::test]
async fn in_any_order_the_browser_stays_logged_in_and_copies_do_not() {
    let orders = std::env::var("BOUND_ORDERS").ok().map_or(ORDERS, |orders| orders.parse().unwrap());
    let stores: Vec<Arc<dyn SessionStore>> = vec![Arc::new(ReferenceStore::new())];
    for seed in 0..orders {
        live(&Site::new(stores.clone()), seed, 12).await;
    }
}

/// On two nodes, each with a handle of its own.
async fn on(harness: &dyn Harness) {
    let namespace = namespace();
    let mut stores = Vec::new();
    for _ in 0..2 {
        stores.push(harness.open(&namespace).await.unwrap());
    }
    for seed in 0..40 {
        live(&Site::new(stores.clone()), 50_000 + seed, 12).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_each_backend() {
    for harness in backends() {
        on(&*harness).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_each_cache() {
    for harness in cached_backends() {
        on(&*harness).await;
    }
}

#[tokio::test]
async fn without_the_protocol_nothing_is_seen() {
    let site = Site::new(vec![Arc::new(ReferenceStore::new())]);
    let login = site.login(0, &Cookies::default()).await;
    let mut browser = Browser { cookies: Cookies::default(), until: None, bound: None, offer: None, keys: 1 };
    browser.take(&site, login.cookies);
    for _ in 0..10 {
        site.clock.advance(Duration::from_secs(300));
        let (allowed, answered) = site.visit(0, &browser.cookies, false).await;
        assert_eq!(allowed, Ok(BindingState::Unbound));
        browser.take(&site, answered.cookies);
    }
    // Where it must be bound, there is a minute for that.
    let strict = Site { binding: site.binding.clone().enforcement(BindingEnforcement::Required), ..site };
    let (allowed, _) = strict.visit(0, &browser.cookies, false).await;
    assert_eq!(allowed, Err(RejectionKind::DeviceBindingRequired));
    let login = strict.login(0, &browser.cookies).await;
    browser.take(&strict, login.cookies);
    let (allowed, _) = strict.visit(0, &browser.cookies, false).await;
    assert_eq!(allowed, Ok(BindingState::Unbound));
    strict.clock.advance(LIFETIME);
    let report = Site { binding: strict.binding.clone().enforcement(BindingEnforcement::ReportOnly), ..strict };
    assert!(report.visit(0, &browser.cookies, false).await.0.is_ok());
}
