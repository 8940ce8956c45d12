//! A model of two nodes with one session, explored state by state: loads and writes whose answers are late or lost, a feed that is
//! late, cut, black-holed and followed again, a machine that is suspended, and a clock. The rules are those of the library.
//!
//! The first node has no feed. The second one has one: published with each write, or broadcast by a server that may answer a beat
//! before it tells of a write of the same cycle. All of it at once would be too many states, so there are [scenes](Scene).
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::Duration;

use session_core::store::Version;
use session_core::{SessionId, Timestamp};
use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use super::{Bar, Content, Copies, Fill, Followed, Held, Limits, Moment, Span, Stripe, Ticket};

const ID: SessionId = SessionId::from_bytes([7; 16]);
/// In ticks, which are seconds.
const MAX_STALE: u8 = 1;
const END: u8 = 3;
const LIMITS: Limits =
    Limits { max_stale: Duration::from_secs(MAX_STALE as u64), max_age: Duration::from_secs(END as u64) };

/// What could be wrong, to see that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// What is heard while a load is under way is forgotten when its answer comes.
    LoadBeginsAtItsAnswer,
    /// A copy counts as true of the moment at which its answer came.
    SinceTheAnswer,
    /// What is heard drops the copy, and bars nothing.
    NoBar,
    /// A change drops nothing.
    ChangeIgnored,
    /// What this node ended itself is not noted.
    OwnEndForgotten,
    /// What this node wrote is noted when its answer comes, as if nothing had happened since it was sent.
    WriteBeginsAtItsAnswer,
    /// A write that got no answer counts as not done.
    DoubtIsFailure,
    /// A copy is used for as long as there is one.
    NoBound,
    /// A feed that was lost goes on as if nothing had been missed.
    LossIgnored,
    /// When the feed is followed again, it vouches for what was loaded in between, too.
    GapVouchedFor,
    /// A beat tells all up to the moment at which it is heard.
    BeatIsNow,
    /// A broadcast beat tells what the same cycle of the server did.
    BeatOfTheCycle,
    /// Time that the machine slept does not count.
    SleepIgnored,
    /// A beat from before the sleep counts as one from after it.
    BeatFromBeforeTheSleep,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// The first node reads while it writes, and answers are late or lost.
    Writer,
    /// It writes at once, and publishes. The second one reads.
    Published,
    /// The same, broadcast; the machine does not sleep.
    Broadcast,
    /// As published, but two loads overlap, and nothing else goes wrong.
    Overlap,
    /// The second one reads while it changes the session, and hears of that; the first one ends it.
    Echo,
}

struct Nodes {
    bug: Bug,
    scene: Scene,
}

/// In place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Numbered(pub(super) u32);

impl Content for Numbered {
    fn version(&self) -> Version {
        version(self.0)
    }

    fn seen(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn seen_at(self, _: Timestamp) -> Self {
        self
    }
}

fn version(number: u32) -> Version {
    Version { number, nonce: 0 }
}

struct Place(RefCell<Option<Held<Numbered>>>);

impl Copies<Numbered> for Place {
    fn get(&self, _: &SessionId) -> Option<Held<Numbered>> {
        *self.0.borrow()
    }

    fn put(&self, _: SessionId, held: Held<Numbered>) {
        *self.0.borrow_mut() = Some(held);
    }

    fn remove(&self, _: &SessionId) {
        *self.0.borrow_mut() = None;
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage<A> {
    Sent,
    Executed(A),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Load {
    ticket: Ticket,
    stage: Stage<Option<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Update,
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Write {
    what: What,
    ticket: Ticket,
    stage: Stage<Option<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Message {
    Changed(u32),
    Ended,
    Beat(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Link {
    Up,
    /// Nothing comes any more, and nobody has noticed.
    Black,
    Down,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    /// For how long the machine has slept.
    slept: u8,
    followed: Followed,
    stripe: Stripe,
    copy: Option<Held<Numbered>>,
    loads: Vec<Load>,
    loads_left: u8,
    write: Option<Write>,
    /// What this node was told, by an answer or by the feed: that the session ended, and its latest version.
    knows_end: bool,
    knows: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    /// What the store has, and when it ended.
    stored: Option<u32>,
    ended_at: Option<u8>,
    /// When the second version replaced the first.
    changed_at: Option<u8>,
    nodes: [Node; 2],
    writes_left: Vec<What>,
    link: Link,
    cuts_left: u8,
    sleeps_left: u8,
    /// Of the server's cycle; then on its way.
    cycle: Vec<Message>,
    told: VecDeque<Message>,
    /// The next beat is asked for when the last one was answered, which is in another cycle.
    is_asked_in_cycle: bool,
    /// When beats were asked for: the last one, and the one before.
    asked: Option<Duration>,
    asked_before: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Load(usize),
    ExecuteLoad(usize, usize),
    AnswerLoad(usize, usize),
    LoseLoad(usize, usize),
    Write(What),
    ExecuteWrite,
    AnswerWrite,
    LoseWrite,
    AskBeat,
    EndCycle,
    Hear,
    Cut,
    Notice,
    Reconnect,
    Tick,
    Sleep,
}

/// The node with the feed, and the other one.
const READER: usize = 1;
const OTHER: usize = 0;

impl Nodes {
    fn writer(&self) -> usize {
        if self.scene == Scene::Echo { READER } else { OTHER }
    }

    /// Whether answers to writes are late or lost.
    fn writes_take_time(&self) -> bool {
        matches!(self.scene, Scene::Writer | Scene::Echo)
    }

    fn loads(&self) -> [u8; 2] {
        match self.scene {
            Scene::Writer => [2, 0],
            Scene::Published | Scene::Broadcast | Scene::Echo => [0, 1],
            Scene::Overlap => [0, 2],
        }
    }

    fn end(&self) -> u8 {
        if matches!(self.scene, Scene::Overlap | Scene::Echo) { END - 1 } else { END }
    }

    fn cuts(&self) -> u8 {
        u8::from(matches!(self.scene, Scene::Published | Scene::Broadcast))
    }

    fn sleeps(&self) -> u8 {
        u8::from(matches!(self.scene, Scene::Writer | Scene::Published))
    }

    fn moment(&self, state: &State, node: usize) -> Moment {
        // Both began before.
        let (real, slept) = (Duration::from_secs(1_000 + u64::from(state.now)), state.nodes[node].slept);
        let steady = real - Duration::from_secs(slept.into());
        let real = if self.bug == Bug::SleepIgnored { steady } else { real };
        Moment { steady, real }
    }

    /// What the node would give now.
    fn given(&self, state: &State, node: usize) -> Option<u32> {
        let Node { copy, stripe, followed, .. } = &state.nodes[node];
        let held = copy.as_ref().filter(|held| held.epoch == stripe.epoch())?;
        let allowed = LIMITS.allow(held.since, followed, self.moment(state, node));
        (allowed || self.bug == Bug::NoBound).then_some(held.content.0)
    }

    fn change<T>(node: &mut Node, with: impl FnOnce(&mut Stripe, &Place) -> T) -> T {
        let place = Place(RefCell::new(node.copy));
        let outcome = with(&mut node.stripe, &place);
        node.copy = place.0.into_inner();
        outcome
    }

    fn found(&self, state: &mut State, node: usize, mut ticket: Ticket, number: u32) {
        let now = self.moment(state, node);
        if self.bug == Bug::SinceTheAnswer {
            ticket.since = now;
        }
        let _: Fill =
            Self::change(&mut state.nodes[node], |stripe, place| stripe.found(ticket, Numbered(number), place));
    }

    fn hear(&self, state: &mut State, message: Message) {
        let now = self.moment(state, READER);
        let node = &mut state.nodes[READER];
        match message {
            Message::Changed(number) => {
                node.knows = node.knows.max(number);
                if self.bug != Bug::ChangeIgnored {
                    Self::change(node, |stripe, place| stripe.changed(ID, Some(version(number)), place));
                }
            }
            Message::Ended => {
                node.knows_end = true;
                Self::change(node, |stripe, place| stripe.ended(ID, place));
            }
            Message::Beat(asked) => {
                if self.bug == Bug::BeatFromBeforeTheSleep {
                    node.followed.lead = now.lead();
                }
                let first = node.followed.span.is_none();
                node.followed = node.followed.beat(if self.bug == Bug::BeatIsNow { now.steady } else { asked }, now);
                if let (true, Bug::GapVouchedFor, Some(Span { from, .. })) = (first, self.bug, &mut node.followed.span)
                {
                    *from = Duration::ZERO;
                }
            }
        }
        if self.bug == Bug::NoBar {
            node.stripe.ended.clear();
            node.stripe.under_way.iter_mut().for_each(|other| other.bar = Bar::Any);
        }
    }

    /// The server tells of a write.
    fn tell(&self, state: &mut State, message: Message) {
        match (state.link, self.scene) {
            (Link::Up, Scene::Published | Scene::Overlap | Scene::Echo) => state.told.push_back(message),
            (Link::Up, Scene::Broadcast) => state.cycle.push(message),
            (Link::Up | Link::Black | Link::Down, _) => {}
        }
    }

    fn execute_write(&self, state: &mut State) {
        let writer = self.writer();
        let Some(what) = state.nodes[writer].write.as_ref().map(|write| write.what) else { return };
        let answer = match (what, state.stored) {
            (_, None) => None,
            (What::Update, Some(number)) => {
                state.stored = Some(number + 1);
                state.changed_at = Some(state.now);
                self.tell(state, Message::Changed(number + 1));
                Some(number + 1)
            }
            (What::Delete, Some(_)) => {
                state.stored = None;
                state.ended_at = Some(state.now);
                self.tell(state, Message::Ended);
                None
            }
        };
        if let Some(write) = &mut state.nodes[writer].write {
            write.stage = Stage::Executed(answer);
        }
    }

    fn answer_write(&self, state: &mut State) {
        let writer = self.writer();
        let now = self.moment(state, writer);
        let Some(Write { what, mut ticket, stage: Stage::Executed(answer) }) = state.nodes[writer].write.take() else {
            return;
        };
        let node = &mut state.nodes[writer];
        if self.bug == Bug::WriteBeginsAtItsAnswer {
            node.stripe.abandon(ticket);
            node.stripe.ended.clear();
            ticket = node.stripe.begin(ID, now);
        }
        match answer {
            Some(number) => {
                node.knows = node.knows.max(number);
                self.found(state, writer, ticket, number);
            }
            None => {
                node.knows_end = true;
                if what == What::Delete && self.bug == Bug::OwnEndForgotten {
                    return node.stripe.abandon(ticket);
                }
                let _: Fill = Self::change(node, |stripe, place| stripe.absent(ticket, place));
            }
        }
    }

    fn answer_load(&self, state: &mut State, at: usize, load: usize) {
        let now = self.moment(state, at);
        let Load { mut ticket, stage } = state.nodes[at].loads.remove(load);
        let Stage::Executed(answer) = stage else { return };
        let node = &mut state.nodes[at];
        if self.bug == Bug::LoadBeginsAtItsAnswer {
            let since = ticket.since;
            node.stripe.abandon(ticket);
            node.stripe.ended.clear();
            ticket = node.stripe.begin(ID, now);
            ticket.since = since;
        }
        match answer {
            Some(number) => self.found(state, at, ticket, number),
            None => {
                node.knows_end = true;
                let _: Fill = Self::change(node, |stripe, place| stripe.absent(ticket, place));
            }
        }
    }
}

impl Model for Nodes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let begin = Duration::from_secs(1_000);
        let node = |loads_left| Node {
            slept: 0,
            followed: Followed::new(Moment { steady: begin, real: begin }),
            stripe: Stripe::default(),
            copy: None,
            loads: Vec::new(),
            loads_left,
            write: None,
            knows_end: false,
            knows: 0,
        };
        vec![State {
            now: 0,
            stored: Some(1),
            ended_at: None,
            changed_at: None,
            nodes: self.loads().map(node),
            writes_left: vec![What::Delete, What::Update],
            link: if self.scene == Scene::Writer { Link::Down } else { Link::Up },
            cuts_left: self.cuts(),
            sleeps_left: self.sleeps(),
            cycle: Vec::new(),
            told: VecDeque::new(),
            is_asked_in_cycle: false,
            asked: None,
            asked_before: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, node) in state.nodes.iter().enumerate() {
            if node.loads_left > 0 {
                actions.push(Action::Load(at));
            }
            for (number, load) in node.loads.iter().enumerate() {
                match load.stage {
                    Stage::Sent => actions.push(Action::ExecuteLoad(at, number)),
                    Stage::Executed(_) => actions.push(Action::AnswerLoad(at, number)),
                }
                if self.scene == Scene::Writer {
                    actions.push(Action::LoseLoad(at, number));
                }
            }
        }
        let writer = self.writer();
        match &state.nodes[writer].write {
            None if state.writes_left.contains(&What::Update) => actions.push(Action::Write(What::Update)),
            None => {}
            Some(Write { stage: Stage::Sent, .. }) => actions.push(Action::ExecuteWrite),
            Some(Write { stage: Stage::Executed(_), .. }) => actions.extend([Action::AnswerWrite, Action::LoseWrite]),
        }
        // The update may be left out.
        let may_delete = state.nodes[writer].write.is_none() || self.scene == Scene::Echo;
        if state.writes_left.first() == Some(&What::Delete) && may_delete {
            actions.push(Action::Write(What::Delete));
        }
        match state.link {
            Link::Up => {
                let is_asked = self.scene == Scene::Broadcast && state.is_asked_in_cycle;
                if !is_asked && state.asked != Some(self.moment(state, READER).steady) {
                    actions.push(Action::AskBeat);
                }
                if state.cuts_left > 0 {
                    actions.push(Action::Cut);
                }
            }
            Link::Black => actions.push(Action::Notice),
            Link::Down if self.scene != Scene::Writer => actions.push(Action::Reconnect),
            Link::Down => {}
        }
        if self.scene == Scene::Broadcast && (!state.cycle.is_empty() || state.is_asked_in_cycle) {
            actions.push(Action::EndCycle);
        }
        if !state.told.is_empty() {
            actions.push(Action::Hear);
        }
        if state.now < self.end() {
            actions.push(Action::Tick);
            if state.sleeps_left > 0 {
                actions.push(Action::Sleep);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let writer = self.writer();
        let mut state = last.clone();
        match action {
            Action::Load(at) => {
                let now = self.moment(&state, at);
                let node = &mut state.nodes[at];
                let ticket = node.stripe.begin(ID, now);
                node.loads.push(Load { ticket, stage: Stage::Sent });
                node.loads_left -= 1;
            }
            Action::ExecuteLoad(at, load) => state.nodes[at].loads[load].stage = Stage::Executed(state.stored),
            Action::AnswerLoad(at, load) => self.answer_load(&mut state, at, load),
            Action::LoseLoad(at, load) => {
                let Load { ticket, .. } = state.nodes[at].loads.remove(load);
                state.nodes[at].stripe.abandon(ticket);
            }
            Action::Write(what) => {
                state.writes_left.retain(|left| *left != what && (what == What::Update || *left != What::Update));
                if (self.scene, what) == (Scene::Echo, What::Delete) {
                    if state.stored.take().is_some() {
                        state.ended_at = Some(state.now);
                        self.tell(&mut state, Message::Ended);
                    }
                    return Some(state);
                }
                let now = self.moment(&state, writer);
                let ticket = state.nodes[writer].stripe.begin(ID, now);
                state.nodes[writer].write = Some(Write { what, ticket, stage: Stage::Sent });
                if !self.writes_take_time() {
                    self.execute_write(&mut state);
                    self.answer_write(&mut state);
                }
            }
            Action::ExecuteWrite => self.execute_write(&mut state),
            Action::AnswerWrite => self.answer_write(&mut state),
            Action::LoseWrite => {
                let Write { ticket, .. } = state.nodes[writer].write.take()?;
                let node = &mut state.nodes[writer];
                if self.bug == Bug::DoubtIsFailure {
                    node.stripe.abandon(ticket);
                } else {
                    Self::change(node, |stripe, place| stripe.doubtful(ticket, place));
                }
                // Its caller knows that the copy from before may be wrong.
                node.knows = node.knows.max(state.stored.unwrap_or(0));
                node.knows_end |= state.stored.is_none();
            }
            Action::AskBeat => {
                let now = self.moment(&state, READER).steady;
                (state.asked_before, state.asked) = (state.asked, Some(now));
                let is_proof = self.scene != Scene::Broadcast || self.bug == Bug::BeatOfTheCycle;
                let proven = if is_proof { state.asked } else { state.asked_before };
                state.is_asked_in_cycle = true;
                state.told.extend(proven.map(Message::Beat));
            }
            Action::EndCycle => {
                let told = std::mem::take(&mut state.cycle);
                state.told.extend(told);
                state.is_asked_in_cycle = false;
            }
            Action::Hear => {
                let message = state.told.pop_front()?;
                self.hear(&mut state, message);
            }
            Action::Cut => {
                state.link = Link::Black;
                state.cuts_left -= 1;
                state.told.clear();
                state.cycle.clear();
                state.is_asked_in_cycle = false;
            }
            Action::Notice => {
                state.link = Link::Down;
                (state.asked, state.asked_before) = (None, None);
                if self.bug != Bug::LossIgnored {
                    state.nodes[READER].followed = state.nodes[READER].followed.lost();
                }
            }
            Action::Reconnect => state.link = Link::Up,
            Action::Tick => state.now += 1,
            Action::Sleep => {
                state.now += 1;
                state.sleeps_left -= 1;
                state.nodes[READER].slept += 1;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(LATE, |model: &Self, state: &State| {
                let late = state.ended_at.is_some_and(|at| state.now > at + MAX_STALE);
                !late || (0..2).all(|node| model.given(state, node).is_none())
            }),
            Property::always(OLD, |model: &Self, state: &State| {
                let late = state.changed_at.is_some_and(|at| state.now > at + MAX_STALE);
                !late || (0..2).all(|node| model.given(state, node).is_none_or(|given| given > 1))
            }),
            Property::always(OVER, |model: &Self, state: &State| {
                (0..2).all(|node| !state.nodes[node].knows_end || model.given(state, node).is_none())
            }),
            Property::always(OUTDATED, |model: &Self, state: &State| {
                (0..2).all(|node| model.given(state, node).is_none_or(|given| given >= state.nodes[node].knows))
            }),
        ];
        if self.scene != Scene::Writer {
            properties.push(Property::sometimes("what was loaded during an update is kept", |model, state: &State| {
                model.given(state, READER) == Some(2) && state.nodes[READER].knows == 2
            }));
        }
        if matches!(self.scene, Scene::Published | Scene::Broadcast) {
            properties.push(Property::sometimes("a feed lets a copy live longer", Self::outlives_max_stale));
            properties.push(Property::sometimes("also after a loss", |model, state: &State| {
                state.cuts_left == 0 && model.outlives_max_stale(state)
            }));
        }
        properties
    }
}

const LATE: &str = "no node gives a session later than max_stale after its end";
const OLD: &str = "nor an old version later than that";
const OVER: &str = "what a node knows to be over it does not give";
const OUTDATED: &str = "nor a version that it knows to be old";

impl Nodes {
    fn outlives_max_stale(&self, state: &State) -> bool {
        let held = state.nodes[READER].copy.as_ref();
        let age = held.map(|held| held.since.age(self.moment(state, READER)));
        age > Some(LIMITS.max_stale) && self.given(state, READER).is_some()
    }
}

fn explore(bug: Bug, scene: Scene) -> Vec<&'static str> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // All there is, or the first thing that is wrong.
    let model = Nodes { bug, scene };
    let checker = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let properties = checker.model().properties().into_iter();
    let failures = properties.filter(|property| match (&property.expectation, checker.discovery(property.name)) {
        (Expectation::Always, discovered) => discovered.is_some(),
        // A search that ended early has not seen yet what may happen.
        (_, discovered) => bug == Bug::None && discovered.is_none(),
    });
    let failures: Vec<_> = failures.map(|property| property.name).collect();
    println!("{scene:?}, {bug:?}: {} states, violated: {failures:?}", checker.unique_state_count());
    for name in &failures {
        // The shortest way there.
        println!("{name}: {:?}", checker.discovery(name).map(stateright::Path::into_actions));
    }
    failures
}

#[test]
fn the_laws_hold() {
    for scene in [Scene::Writer, Scene::Published, Scene::Broadcast, Scene::Overlap, Scene::Echo] {
        assert_eq!(explore(Bug::None, scene), Vec::<&str>::new(), "{scene:?}");
    }
}

#[test]
fn each_bug_is_caught() {
    for (bug, scene, laws) in [
        (Bug::LoadBeginsAtItsAnswer, Scene::Published, &[OVER, OUTDATED][..]),
        (Bug::SinceTheAnswer, Scene::Published, &[LATE, OLD]),
        (Bug::NoBar, Scene::Published, &[OVER, OUTDATED]),
        (Bug::ChangeIgnored, Scene::Published, &[OUTDATED]),
        (Bug::OwnEndForgotten, Scene::Writer, &[OVER]),
        (Bug::WriteBeginsAtItsAnswer, Scene::Echo, &[OVER]),
        (Bug::DoubtIsFailure, Scene::Writer, &[OVER, OUTDATED]),
        (Bug::NoBound, Scene::Published, &[LATE, OLD]),
        (Bug::LossIgnored, Scene::Published, &[LATE, OLD]),
        (Bug::GapVouchedFor, Scene::Published, &[LATE, OLD]),
        (Bug::BeatIsNow, Scene::Published, &[LATE, OLD]),
        (Bug::BeatOfTheCycle, Scene::Broadcast, &[LATE, OLD]),
        (Bug::SleepIgnored, Scene::Published, &[LATE, OLD]),
        (Bug::BeatFromBeforeTheSleep, Scene::Published, &[LATE, OLD]),
    ] {
        let broken = explore(bug, scene);
        assert!(broken.iter().any(|law| laws.contains(law)), "{bug:?}: {broken:?}");
    }
}
