//! Refresh tokens that were replaced already, in their grace window: whoever asks again gets the same answer, and whoever does
//! so at each refresh is shut out.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{
    Error, Event, EventKind, Login, ManualClock, Policy, PolicyBuilder, PolicyError, PresentedToken, Renewal,
    SessionManager, SessionObserver, SessionToken, UserId,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

impl Events {
    fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn count(&self, kind: &EventKind) -> usize {
        self.0.lock().unwrap().iter().filter(|other| *other == kind).count()
    }
}

/// Nodes over one store, each with its policy and clock.
#[derive(Clone, Default)]
struct Site {
    store: Arc<ReferenceStore>,
    events: Events,
}

#[derive(Clone)]
struct Node {
    manager: SessionManager,
    clock: ManualClock,
}

impl Site {
    fn node(&self, policy: Policy) -> Node {
        let clock = ManualClock::default();
        let builder = SessionManager::builder(Arc::clone(&self.store) as Arc<dyn SessionStore>);
        let manager = builder.policy(policy).clock(clock.clone()).observer(self.events.clone()).build();
        Node { manager, clock }
    }
}

impl Node {
    async fn login(&self, replaces: Option<&str>) -> String {
        let replaces = replaces.map(parse);
        text(&self.manager.issue_refresh_token(Login::new(alice()), replaces.as_ref()).await.unwrap().token)
    }

    /// `None` for a token that is dead.
    async fn refresh(&self, token: &str) -> Result<Option<String>, Error> {
        match self.manager.verify_refresh_token(&parse(token)).await? {
            Some(verified) => Ok(self.manager.rotate(verified).await?.map(|issued| text(&issued.token))),
            None => Ok(None),
        }
    }

    async fn is_alive(&self) -> bool {
        !self.manager.list(&alice()).await.unwrap().is_empty()
    }
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

fn parse(token: &str) -> PresentedToken {
    PresentedToken::parse(token.as_bytes()).unwrap()
}

fn text(token: &SessionToken) -> String {
    token.encode().expose().to_owned()
}

/// The standard policy, for sessions that live for long.
fn policy(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
    let days = 30 * 24 * HOUR;
    let builder = Policy::standard().to_builder().idle_timeout(days).absolute_timeout(days);
    change(builder).build().unwrap()
}

/// The owner refreshes when its access token expires; 5 seconds later the thief does, with the token that was just used up.
#[tokio::test]
async fn a_thief_who_follows_each_refresh_is_noticed_at_once_and_shut_out() {
    let site = Site::default();
    let node = site.node(Policy::standard());
    let mut owner = node.login(None).await;
    let (mut thief, mut noticed, mut shut_out) = (Some(owner.clone()), None, None);
    site.events.take();
    for round in 1..=90 {
        node.clock.advance(300 * SECOND);
        owner = node.refresh(&owner).await.unwrap().unwrap();
        node.clock.advance(5 * SECOND);
        let Some(stolen) = thief.take() else { continue };
        match node.refresh(&stolen).await {
            Ok(Some(token)) => {
                assert_eq!(token, owner);
                thief = Some(token);
            }
            Err(Error::Superseded) => shut_out = Some(round),
            other => panic!("round {round}: {other:?}"),
        }
        let events = site.events.take();
        let expected = if thief.is_some() { EventKind::Replayed } else { EventKind::ReplayRefused };
        assert_eq!(events, [EventKind::Renewed, expected], "round {round}");
        noticed.get_or_insert(round);
    }
    println!("first event: round {noticed:?}; shut out: round {shut_out:?}");
    assert_eq!(noticed, Some(1));
    assert!(shut_out.is_some_and(|round| (20..=30).contains(&round)), "{shut_out:?}");
    assert!(node.is_alive().await);
    assert!(site.events.take().iter().all(|event| *event == EventKind::Renewed), "the owner goes on");
}

/// What it has left is a token that was used up long ago.
#[tokio::test]
async fn a_thief_who_was_shut_out_and_comes_again_ends_the_session() {
    let site = Site::default();
    let node = site.node(policy(|it| it.refresh_replays(1)));
    let first = node.login(None).await;
    let second = node.refresh(&first).await.unwrap().unwrap();
    assert_eq!(node.refresh(&first).await.unwrap().as_ref(), Some(&second));
    let third = node.refresh(&second).await.unwrap().unwrap();
    for _ in 0..3 {
        assert!(matches!(node.refresh(&second).await, Err(Error::Superseded)));
    }
    assert_eq!(site.events.count(&EventKind::ReplayRefused), 3, "each is an event");
    let fourth = node.refresh(&third).await.unwrap().unwrap();
    assert_eq!(node.refresh(&second).await.unwrap(), None);
    assert_eq!(site.events.count(&EventKind::TokenReuse), 1);
    assert_eq!(node.refresh(&fourth).await.unwrap(), None);
}

/// The thief is first each time, so it is the owner who replays, and who is refused in the end. It logs in again; that ends
/// the session that the thief has.
#[tokio::test]
async fn an_owner_whom_a_thief_forestalls_is_not_locked_out() {
    for logs_in_from in ["the same client", "another one", "the same client, later"] {
        let site = Site::default();
        let node = site.node(Policy::standard());
        let mut owner = node.login(None).await;
        let (mut thief, mut rounds) = (owner.clone(), 0);
        loop {
            rounds += 1;
            node.clock.advance(300 * SECOND);
            thief = node.refresh(&thief).await.unwrap().unwrap();
            node.clock.advance(5 * SECOND);
            match node.refresh(&owner).await {
                Ok(successor) => owner = successor.unwrap(),
                Err(error) => break assert!(matches!(error, Error::Superseded)),
            }
        }
        assert!((20..=30).contains(&rounds), "{rounds}");
        if logs_in_from == "the same client, later" {
            node.clock.advance(MINUTE);
        }
        let replaces = (logs_in_from != "another one").then_some(&*owner);
        let mut again = node.login(replaces).await;
        if replaces.is_none() {
            // Its old token is a stale one when it is used again.
            node.clock.advance(MINUTE);
            assert_eq!(node.refresh(&owner).await.unwrap(), None);
        }
        assert_eq!(node.refresh(&thief).await.unwrap(), None, "{logs_in_from}");
        for _ in 0..60 {
            node.clock.advance(300 * SECOND);
            again = node.refresh(&again).await.unwrap().unwrap();
        }
        assert_eq!(node.manager.list(&alice()).await.unwrap().len(), 1);
    }
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Two tabs refresh at about the same time, in whatever order; their requests go to nodes whose clocks differ by 30 seconds.
/// A tab that is refused looks into the cookie jar again when the other one has its answer.
#[tokio::test]
async fn two_tabs_with_one_cookie_jar_are_never_logged_out() {
    for (seed, skews) in (1..).zip([[0, 30], [30, 0], [0, 0], [15, 29]]) {
        let (site, mut rng) = (Site::default(), Rng(seed));
        let nodes = [site.node(policy(|it| it)), site.node(policy(|it| it))];
        for (node, skew) in nodes.iter().zip(skews) {
            node.clock.advance(SECOND * skew);
        }
        let advance = |by: Duration| nodes.iter().for_each(|node| node.clock.advance(by));
        let mut jar = nodes[0].login(None).await;
        let mut repeated = 0;
        for round in 0..1_000 {
            advance(300 * SECOND);
            let first = usize::from(rng.below(2) == 1);
            // Whether the second tab sends its request before the first one has its answer.
            let overlap = rng.below(4) > 0;
            let mut answers = [None, None];
            for tab in [first, 1 - first] {
                answers[tab] = Some(nodes[tab].refresh(&jar).await);
                advance(Duration::from_millis(rng.below(3_000)));
                if !overlap && let Some(Ok(token)) = &answers[tab] {
                    jar = token.clone().unwrap();
                }
            }
            let order = if rng.below(2) == 1 { [0, 1] } else { [1, 0] };
            let mut refused = Vec::new();
            for tab in order {
                match answers[tab].take().unwrap() {
                    // Never an older one: it is the same, or was sent with what the other answer had brought.
                    Ok(token) if overlap || tab != first => jar = token.unwrap(),
                    Ok(_) => {}
                    Err(Error::Superseded) => refused.push(tab),
                    Err(error) => panic!("{error}"),
                }
            }
            for tab in refused {
                repeated += 1;
                jar = nodes[tab].refresh(&jar).await.unwrap().unwrap_or_else(|| panic!("logged out in round {round}"));
            }
        }
        let [replayed, refused, raced] = [EventKind::Replayed, EventKind::ReplayRefused, EventKind::RenewalRaced]
            .map(|kind| site.events.count(&kind));
        println!("{skews:?}: {replayed} replays, {refused} refused, {raced} raced, {repeated} repeated");
        assert_eq!(site.events.count(&EventKind::TokenReuse), 0);
        assert!(nodes[0].is_alive().await);
        if skews == [0, 0] {
            assert!(replayed > 20 && refused > 0, "it is worth its name");
        }
    }
}

/// A train with tunnels: of each refresh several answers are lost. How often one is asked for does not count.
#[tokio::test]
async fn answers_may_be_lost_several_times_in_a_row() {
    let site = Site::default();
    let node = site.node(policy(|it| it));
    let mut token = node.login(None).await;
    for turn in 0..20 {
        let successor = node.refresh(&token).await.unwrap().unwrap();
        for _ in 0..9 {
            node.clock.advance(SECOND);
            assert_eq!(node.refresh(&token).await.unwrap().as_ref(), Some(&successor), "turn {turn}");
        }
        token = successor;
    }
    assert_eq!(site.events.count(&EventKind::Replayed), 180);
    // That was the budget, and it comes back.
    let successor = node.refresh(&token).await.unwrap().unwrap();
    assert!(matches!(node.refresh(&token).await, Err(Error::Superseded)));
    node.clock.advance(HOUR);
    token = node.refresh(&successor).await.unwrap().unwrap();
    assert_eq!(node.refresh(&successor).await.unwrap().as_ref(), Some(&token));
    let _ = node.refresh(&token).await.unwrap().unwrap();
    assert!(matches!(node.refresh(&token).await, Err(Error::Superseded)), "one an hour");
}

/// 16 replays of one token, on four nodes, all of which have read the same state before the first of them is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simultaneous_replays_of_one_token_count_once_exactly() {
    const MAX: usize = 5;
    let site = Site::default();
    let nodes: Vec<Node> = (0..4).map(|_| site.node(policy(|it| it.refresh_replays(5)))).collect();
    let mut token = nodes[0].login(None).await;
    for turn in 1..=MAX + 2 {
        let successor = nodes[0].refresh(&token).await.unwrap().unwrap();
        let managers = nodes.iter().map(|node| node.manager.clone()).cycle().take(16);
        let mut verified = Vec::new();
        for manager in managers {
            let answer = manager.verify_refresh_token(&parse(&token)).await;
            assert_eq!(matches!(answer, Err(Error::Superseded)), turn > MAX, "turn {turn}");
            if let Ok(answer) = answer {
                verified.push((manager, answer.unwrap()));
            }
        }
        let rotate = |(manager, verified): (SessionManager, _)| {
            tokio::spawn(async move { manager.rotate(verified).await.map(|issued| text(&issued.unwrap().token)) })
        };
        let rotations: Vec<_> = verified.into_iter().map(rotate).collect();
        for rotation in rotations {
            assert_eq!(rotation.await.unwrap().unwrap(), successor, "turn {turn}");
        }
        assert_eq!(site.events.count(&EventKind::Replayed), 16 * turn.min(MAX), "each is an event");
        token = successor;
    }
    assert_eq!(site.events.count(&EventKind::ReplayRefused), 32);
    assert!(nodes[0].is_alive().await);
}

/// Replays of two tokens cannot be under way at once with one left: whoever is second is told.
#[tokio::test]
async fn who_was_verified_before_the_budget_was_spent_is_refused_after() {
    let site = Site::default();
    let [one, two] = [site.node(policy(|it| it.refresh_replays(1))), site.node(policy(|it| it.refresh_replays(0)))];
    let first = one.login(None).await;
    let _ = one.refresh(&first).await.unwrap().unwrap();
    let verified = one.manager.verify_refresh_token(&parse(&first)).await.unwrap().unwrap();
    // On a node whose policy is another.
    assert!(matches!(two.manager.rotate(verified).await, Err(Error::Superseded)));
    assert_eq!(site.events.count(&EventKind::ReplayRefused), 1);
    assert_eq!(site.events.count(&EventKind::Replayed), 0);
}

/// With none at all, also whoever read the token before another request replaced it.
#[tokio::test]
async fn without_replays_each_token_is_used_once() {
    let site = Site::default();
    let node = site.node(policy(|it| it.refresh_replays(0)));
    let first = node.login(None).await;
    let verify = async || node.manager.verify_refresh_token(&parse(&first)).await.unwrap().unwrap();
    let (winner, loser) = (verify().await, verify().await);
    assert!(node.manager.rotate(winner).await.unwrap().is_some());
    assert!(matches!(node.manager.rotate(loser).await, Err(Error::Superseded)));
    assert!(matches!(node.refresh(&first).await, Err(Error::Superseded)));
    assert!(node.is_alive().await);
    assert_eq!(site.events.take()[2..], [EventKind::ReplayRefused, EventKind::ReplayRefused]);
}

#[tokio::test]
async fn the_loser_of_a_race_counts_as_a_replay() {
    let site = Site::default();
    let node = site.node(policy(|it| it.refresh_replays(2)));
    let mut token = node.login(None).await;
    for turn in 1..=3 {
        let verify = async || node.manager.verify_refresh_token(&parse(&token)).await.unwrap().unwrap();
        let (winner, loser) = (verify().await, verify().await);
        let successor = text(&node.manager.rotate(winner).await.unwrap().unwrap().token);
        match node.manager.rotate(loser).await {
            Ok(issued) => assert_eq!((turn < 3, text(&issued.unwrap().token)), (true, successor.clone())),
            Err(error) => assert!(turn == 3 && matches!(error, Error::Superseded)),
        }
        token = successor;
    }
    assert_eq!(site.events.count(&EventKind::Replayed), 2);
}

/// Neither the clock nor the policy of the node that a tab happens to reach: a window that was opened stays as long as it was.
#[tokio::test]
async fn the_window_is_the_one_that_was_recorded() {
    let grace = |seconds| policy(|it| it.refresh_grace(SECOND * seconds));
    for (recorded, others) in [(30, [0, 1, 300]), (5, [0, 30, 300])] {
        for other in others {
            let site = Site::default();
            let [one, two] = [site.node(grace(recorded)), site.node(grace(other))];
            let first = one.login(None).await;
            let second = one.refresh(&first).await.unwrap().unwrap();
            two.clock.advance(SECOND * recorded - Duration::from_millis(1));
            assert_eq!(two.refresh(&first).await.unwrap().as_ref(), Some(&second), "{recorded} s, not {other} s");
            two.clock.advance(Duration::from_millis(1));
            assert!(matches!(two.refresh(&first).await, Err(Error::Superseded)), "{recorded} s, not {other} s");
            // What follows is recorded with the policy of whoever writes it.
            let third = two.refresh(&second).await.unwrap().unwrap();
            let again = two.refresh(&second).await;
            assert_eq!(again.ok().flatten(), (other > 0).then_some(third), "{other} s");
        }
    }
}

/// A copy of a token that was used up keeps nothing alive.
#[tokio::test]
async fn a_replay_is_no_activity() {
    let site = Site::default();
    let node = site.node(policy(|it| it.refresh_grace(300 * SECOND)));
    let first = node.login(None).await;
    node.clock.advance(SECOND);
    let _ = node.refresh(&first).await.unwrap().unwrap();
    let before = node.manager.list(&alice()).await.unwrap()[0].clone();
    for _ in 0..3 {
        node.clock.advance(MINUTE);
        assert!(node.refresh(&first).await.unwrap().is_some());
    }
    let after = node.manager.list(&alice()).await.unwrap()[0].clone();
    assert_eq!((after.last_seen, after.deadline()), (before.last_seen, before.deadline()));
}

/// The window of a cookie is another thing, and has no budget: its first use closes it, and a page sends dozens of requests
/// with the predecessor at a single renewal.
#[tokio::test]
async fn a_page_of_many_requests_at_a_renewal_is_served_and_a_thief_has_until_the_next_request() {
    let renewal = Renewal { timeout: 900 * SECOND, grace: 300 * SECOND };
    let site = Site::default();
    let node = site.node(policy(|it| it.renewal(Some(renewal)).refresh_replays(0)));
    let request = async |cookie: Option<&str>, login: bool| {
        let cookie = node.manager.read_cookie(cookie.map(str::as_bytes));
        let request = RequestSession::new(node.manager.clone(), cookie);
        let session = request.session().await?;
        if login {
            session.login(Login::new(alice()))?;
        }
        let (outcome, headers) = request.finish().await;
        outcome?;
        Ok::<_, Error>(headers.set_cookie.map(|cookie| cookie.expose().split(';').next().unwrap().to_owned()))
    };
    let mut cookie = request(None, true).await.unwrap().unwrap();
    for renewal in 0..40 {
        node.clock.advance(900 * SECOND);
        let next = request(Some(&cookie), false).await.unwrap().unwrap();
        for _ in 0..30 {
            assert_eq!(request(Some(&cookie), false).await.unwrap().as_ref(), Some(&next), "renewal {renewal}");
        }
        assert_eq!(request(Some(&next), false).await.unwrap(), None);
        node.clock.advance(5 * SECOND);
        assert!(matches!(request(Some(&cookie), false).await, Err(Error::Superseded)));
        cookie = next;
    }
    assert_eq!(site.events.count(&EventKind::Replayed), 40 * 30);
    assert_eq!(site.events.count(&EventKind::TokenReuse), 0);
}

#[test]
fn the_budget_has_a_bound() {
    assert_eq!(Policy::standard().refresh_replays(), 20);
    let build = |max| Policy::standard().to_builder().refresh_replays(max).build();
    assert_eq!(build(1000).unwrap().refresh_replays(), 1000);
    assert_eq!(build(1001).unwrap_err(), PolicyError::RefreshReplays);
}
