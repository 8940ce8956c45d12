//! Every order of what two nodes and a mover do to one session, cut at each call of a store, with crashes: the calls are those of
//! the library. A state is what the stores have, and what each of the three has seen; it is reached by doing it all again.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_conformance::{RecordBuilder, ReferenceStore};
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, MovingStore, Record, Replacement, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{Entropy, EntropyError, LimitPolicy, SessionLimit, Timestamp, UserId};
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::flawed::{Answers, Flaw, Flawed};

const BEGIN: Timestamp = Timestamp::from_millis(1_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_060_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    Mover,
    /// Increments, again after a conflict.
    Writer,
    Reader,
    Touch,
    Logout,
    Revoke,
    /// A login of the same user, who may have one session.
    Login,
    /// A login in exchange for the session.
    Relogin,
    List,
}

/// What was promised to clients, and what they saw of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Facts {
    increments_begun: u32,
    increments: u32,
    end_begun: bool,
    ended: bool,
    touched: bool,
    logins: u32,
    /// A client was shown what is not so.
    misled: bool,
}

/// Always the same bytes for an actor, and never those of another.
#[derive(Debug)]
struct Numbered(u8, AtomicU8);

impl Entropy for Numbered {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        dest.fill(self.1.fetch_add(1, Ordering::Relaxed));
        dest[dest.len() - 1] = self.0;
        Ok(())
    }
}

fn numbered(actor: usize) -> Numbered {
    Numbered(actor as u8, AtomicU8::new(0))
}

type Node = MovingStore<Flawed, Flawed>;

#[derive(Clone)]
struct Scene {
    actors: Vec<Actor>,
    crashes: usize,
    flaw: Flaw,
    session: Record,
    /// Of the logins, one for each actor.
    others: Vec<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Go(usize),
    Crash(usize),
}

#[derive(Clone, Debug)]
struct State {
    path: Vec<Action>,
    seen: Seen,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.seen == other.seen
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.seen.hash(hasher);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    stores: [Vec<Stored>; 2],
    /// What each actor has been answered; `None` if it is done, or was stopped.
    running: Vec<Option<u64>>,
    crashes_left: usize,
    facts: Facts,
    wrong: Vec<&'static str>,
}

/// Id, version, last use, and how many values.
type Stored = ([u8; 16], [u8; 12], i64, usize);

fn content(store: &ReferenceStore) -> Vec<Stored> {
    let all = now(store.list_all(None, NonZeroU32::MAX, BEGIN)).unwrap();
    let load = |id| now(store.load(&id, Freshness::Latest)).unwrap().unwrap();
    let row = |record: Record| {
        let (id, version) = (*record.id().as_bytes(), record.version.to_bytes());
        (id, version, record.summary.last_seen.as_millis(), record.data.len())
    };
    all.listing.sessions.into_iter().map(|session| row(load(session.id))).collect()
}

/// What needs no waiting.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the reference store never waits")
    };
    value
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

fn one_session() -> SessionLimit {
    SessionLimit { max: NonZeroU32::MIN, at_limit: LimitPolicy::EvictOldest }
}

fn next(record: &Record, by: u64) -> Record {
    let version = Version { number: record.version.number + 1, nonce: by };
    Record { version, ..record.clone() }
}

impl Scene {
    fn new(actors: &[Actor], crashes: usize, flaw: Flaw) -> Self {
        let new =
            |at| RecordBuilder::new(at).of(&alice()).timeouts(Duration::from_secs(600), Duration::from_secs(3600));
        let session = new(BEGIN).value("cart", "3").build().unwrap();
        let others = actors.iter().map(|_| new(LATER).build().unwrap()).collect();
        Self { actors: actors.to_vec(), crashes, flaw, session, others }
    }

    /// What an actor does, from its request to what it tells its client.
    async fn act(&self, at: usize, node: Node, facts: Arc<Mutex<Facts>>) {
        let (id, user, nonce) = (self.session.id(), alice(), 1000 * (at as u64 + 1));
        let tell = |change: &dyn Fn(&mut Facts)| change(&mut facts.lock().unwrap());
        match self.actors[at] {
            Actor::Mover => {
                // Where a store is flawed, it may give up.
                let _ = node.move_session(&id).await;
            }
            Actor::Writer => {
                tell(&|facts| facts.increments_begun += 1);
                for attempt in 0..4 {
                    let Some(read) = node.load(&id, Freshness::Latest).await.unwrap() else { return };
                    match node.update(&next(&read, nonce + attempt), read.version, LATER).await.unwrap() {
                        UpdateOutcome::Applied => return tell(&|facts| facts.increments += 1),
                        UpdateOutcome::Conflict => {}
                        UpdateOutcome::Absent => return,
                    }
                }
            }
            Actor::Reader => {
                let before = *facts.lock().unwrap();
                let read = node.load(&id, Freshness::Latest).await.unwrap();
                tell(&|facts| {
                    facts.misled |= match &read {
                        Some(read) => before.ended || read.version.number < 1 + before.increments,
                        None => !facts.end_begun,
                    };
                });
            }
            Actor::Touch => {
                if node.touch(&id, Some(&user), LATER).await.unwrap() == TouchOutcome::Applied {
                    tell(&|facts| facts.touched = true);
                }
            }
            Actor::Logout => {
                tell(&|facts| facts.end_begun = true);
                let _ = node.delete(&id, Some(&user)).await.unwrap();
                tell(&|facts| facts.ended = true);
            }
            Actor::Revoke => {
                tell(&|facts| facts.end_begun = true);
                node.delete_by_user(&user, None, LATER).await.unwrap();
                tell(&|facts| facts.ended = true);
            }
            Actor::Login => {
                tell(&|facts| facts.end_begun = true);
                let request = CreateRequest::new(&self.others[at]).within(one_session());
                match node.create(request, LATER).await.unwrap() {
                    CreateOutcome::Created { .. } => {
                        tell(&|facts| (facts.ended, facts.logins) = (true, facts.logins + 1))
                    }
                    outcome @ (CreateOutcome::IdTaken
                    | CreateOutcome::LimitReached
                    | CreateOutcome::ReplacedChanged
                    | CreateOutcome::ReplacedAbsent) => panic!("{outcome:?}"),
                }
            }
            Actor::Relogin => {
                tell(&|facts| facts.end_begun = true);
                let request = CreateRequest::new(&self.others[at]).replacing(Replacement::of(&self.session));
                match node.create(request, LATER).await.unwrap() {
                    CreateOutcome::Created { .. } => {
                        tell(&|facts| (facts.ended, facts.logins) = (true, facts.logins + 1))
                    }
                    CreateOutcome::ReplacedAbsent | CreateOutcome::ReplacedChanged => {}
                    outcome @ (CreateOutcome::IdTaken | CreateOutcome::LimitReached) => panic!("{outcome:?}"),
                }
            }
            Actor::List => {
                let before = *facts.lock().unwrap();
                let listed = node.list_by_user(&user, LATER).await.unwrap().sessions;
                let is_listed = listed.iter().any(|session| session.id == id);
                tell(&|facts| facts.misled |= if is_listed { before.ended } else { !facts.end_begun });
            }
        }
    }

    /// Does it all again, from the beginning. The first actor may be stopped at any point.
    fn replay(&self, path: &[Action]) -> Seen {
        let [old, new] = [(); 2].map(|()| Arc::new(ReferenceStore::new()));
        assert!(matches!(now(old.create(CreateRequest::new(&self.session), BEGIN)), Ok(CreateOutcome::Created { .. })));
        let flawed = |store: &Arc<ReferenceStore>, answers: Option<&Arc<Answers>>| {
            let (store, flaw, answers) = (Arc::clone(store), self.flaw, answers.cloned());
            Flawed { store, flaw, answers }
        };
        let facts = Arc::new(Mutex::new(Facts::default()));
        let answers: Vec<Arc<Answers>> = self.actors.iter().map(|_| Arc::default()).collect();
        let mut futures: Vec<Option<Pin<Box<dyn Future<Output = ()> + '_>>>> = Vec::new();
        for (at, answers) in answers.iter().enumerate() {
            let node = Node::new(flawed(&old, Some(answers)), flawed(&new, Some(answers)));
            let node = node.entropy(numbered(at));
            futures.push(Some(Box::pin(self.act(at, node, Arc::clone(&facts)))));
        }
        let mut crashes_left = self.crashes;
        for action in path {
            let (Action::Go(at) | Action::Crash(at)) = *action;
            let future = &mut futures[at];
            if let Action::Crash(_) = action {
                (*future, crashes_left) = (None, crashes_left - 1);
            } else if future.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                *future = None;
            }
        }
        let running = futures.iter().zip(&answers).map(|(future, answers)| future.as_ref().map(|_| answers.all()));
        let running = running.collect();
        let (stores, facts) = ([content(&old), content(&new)], *facts.lock().unwrap());
        let wrong = self.wrong(&facts, [flawed(&old, None), flawed(&new, None)]);
        Seen { stores, running, crashes_left, facts, wrong }
    }

    /// What another node finds at this moment, and when the move is finished.
    fn wrong(&self, facts: &Facts, [old, new]: [Flawed; 2]) -> Vec<&'static str> {
        let (id, mut wrong) = (self.session.id(), HashMap::new());
        let from = Arc::clone(&old.store);
        let node = Node::new(old, new).entropy(numbered(9));
        for finished in [false, true] {
            if finished {
                // What is flawed may fail here as well.
                let is_finished =
                    now(node.move_session(&id)).is_ok() && now(from.load(&id, Freshness::Latest)).unwrap().is_none();
                wrong.insert(UNFINISHED, !is_finished);
            }
            let found = now(node.load(&id, Freshness::Latest)).unwrap();
            let mut note = |law, is_broken| *wrong.entry(law).or_insert(false) |= is_broken;
            match &found {
                Some(found) => {
                    note(REVIVED, facts.ended);
                    let increments = found.version.number - 1;
                    note(FORGOTTEN, increments < facts.increments || increments > facts.increments_begun);
                    note(UNTOUCHED, facts.touched && found.summary.last_seen != LATER);
                    let (a, b) = (&found.summary, &self.session.summary);
                    let differs =
                        (a.created_at, a.timeouts, found.format) != (b.created_at, b.timeouts, self.session.format);
                    note(ALTERED, differs || !found.data.same_as(&self.session.data));
                }
                None => note(LOST, !facts.end_begun),
            }
            if self.actors.contains(&Actor::Login) && facts.logins > 0 {
                let listed = now(node.list_by_user(&alice(), LATER)).unwrap().sessions.len();
                note(TOO_MANY, listed > 1);
            }
        }
        wrong.insert(MISLED, facts.misled);
        let mut wrong: Vec<_> = wrong.into_iter().filter_map(|(law, is_broken)| is_broken.then_some(law)).collect();
        wrong.sort_unstable();
        wrong
    }
}

const LOST: &str = "a session that nobody ends is there";
const REVIVED: &str = "a session that was ended stays ended";
const FORGOTTEN: &str = "an update that was acknowledged is there, and none twice";
const UNTOUCHED: &str = "so is a touch";
const ALTERED: &str = "nothing else of the session changes";
const TOO_MANY: &str = "the limit holds";
const MISLED: &str = "no request sees what is not so";
const UNFINISHED: &str = "anyone can finish a move";
const LAWS: [&str; 8] = [LOST, REVIVED, FORGOTTEN, UNTOUCHED, ALTERED, TOO_MANY, MISLED, UNFINISHED];

impl Model for Scene {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { path: Vec::new(), seen: self.replay(&[]) }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for at in (0..self.actors.len()).filter(|at| state.seen.running[*at].is_some()) {
            actions.push(Action::Go(at));
            // Before its first call, it is as if it had not been there.
            if at == 0 && state.seen.crashes_left > 0 && state.seen.running[at] != Some(0) {
                actions.push(Action::Crash(at));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let path = [&state.path[..], &[action]].concat();
        let seen = self.replay(&path);
        Some(State { path, seen })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // A property is a function: one for each law.
        macro_rules! laws {
            ($($at:literal)*) => {
                vec![$(Property::always(LAWS[$at], |_, state: &State| !state.seen.wrong.contains(&LAWS[$at]))),*]
            };
        }
        laws!(0 1 2 3 4 5 6 7)
    }
}

fn explore(actors: &[Actor], crashes: usize, flaw: Flaw) -> Vec<&'static str> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let model = Scene::new(actors, crashes, flaw);
    let checker = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken: Vec<_> = LAWS.into_iter().filter(|law| checker.discovery(law).is_some()).collect();
    println!("{actors:?}, {crashes} crashes, {flaw:?}: {} states, broken: {broken:?}", checker.unique_state_count());
    for law in &broken {
        // The shortest way there.
        println!("{law}: {:?}", checker.discovery(law).map(stateright::Path::into_actions));
    }
    broken
}

#[test]
fn two_nodes_and_a_mover_that_may_crash_break_no_law() {
    use Actor::{List, Login, Logout, Mover, Reader, Relogin, Revoke, Touch, Writer};
    for (actors, crashes) in [
        (&[Mover, Mover, Logout][..], 1),
        (&[Mover, Revoke], 1),
        (&[Mover, Writer, Logout], 1),
        (&[Mover, Writer, Reader], 1),
        (&[Mover, Login, Login], 1),
        (&[Writer, Writer, Touch], 0),
        (&[Relogin, Writer], 1),
        (&[Relogin, Revoke], 1),
        (&[Touch, Touch], 1),
        (&[Login, List], 1),
        (&[Logout, Reader], 1),
    ] {
        assert_eq!(explore(actors, crashes, Flaw::None), Vec::<&str>::new(), "{actors:?}");
    }
}

/// What the proof rests on, it rests on: without one of it, a law is broken.
#[test]
fn each_flaw_of_a_store_is_noticed() {
    use Actor::{Logout, Mover, Writer};
    for (flaw, actors, laws) in [
        (Flaw::TicketUnasked, &[Mover, Mover, Logout][..], &[REVIVED][..]),
        (Flaw::TicketKept, &[Mover, Mover, Logout], &[REVIVED]),
        (Flaw::TicketLost, &[Mover], &[LOST]),
        (Flaw::ClaimedBlindly, &[Mover, Mover, Logout], &[REVIVED]),
        (Flaw::ClaimLost, &[Mover], &[UNFINISHED]),
        (Flaw::DeletionLost, &[Logout, Writer], &[REVIVED]),
    ] {
        let broken = explore(actors, 1, flaw);
        assert!(broken.iter().any(|law| laws.contains(law)), "{flaw:?}: {broken:?}");
    }
}
