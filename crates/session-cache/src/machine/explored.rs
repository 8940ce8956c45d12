//! A model of two nodes with one session, explored state by state: loads and writes whose answers are late or lost, a feed that is
//! late, cut, black-holed and followed again, a machine that is suspended, and a clock. The rules are those of the library.
//!
//! The first node has no feed. The second one has one: published with each write, or broadcast by a server that may answer a beat
//! before it tells of a write of the same cycle. All of it at once would be too many states, so there are [scenes](super::nodes::Scene).
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::Duration;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use super::nodes::{
    Action, Bug, ID, LIMITS, Link, Load, MAX_STALE, Message, Node, Nodes, READER, Scene, Stage, State, What, Write,
};
use super::{Followed, Moment, Stripe};

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
            deposed: (self.scene == Scene::Deposed).then_some(1),
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
                    Stage::Sent => {
                        actions.push(Action::ExecuteLoad(at, number));
                        actions.extend(state.deposed.map(|_| Action::ExecuteLoadThere(at, number)));
                    }
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
            Action::ExecuteLoadThere(at, load) => {
                state.nodes[at].loads[load].stage = Stage::Executed(state.deposed);
            }
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
                    let now = self.moment(&state, READER);
                    state.nodes[READER].followed = state.nodes[READER].followed.lost(now);
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
        let over = Property::always(OVER, |model: &Self, state: &State| {
            (0..2).all(|node| !state.nodes[node].knows_end || model.given(state, node).is_none())
        });
        if self.scene == Scene::Deposed {
            // Of what a server answers that was deposed, only so much can hold.
            return vec![over];
        }
        let mut properties = vec![
            over,
            Property::always(LATE, |model: &Self, state: &State| {
                let late = state.ended_at.is_some_and(|at| state.now > at + MAX_STALE);
                !late || (0..2).all(|node| model.given(state, node).is_none())
            }),
            Property::always(OLD, |model: &Self, state: &State| {
                let late = state.changed_at.is_some_and(|at| state.now > at + MAX_STALE);
                !late || (0..2).all(|node| model.given(state, node).is_none_or(|given| given > 1))
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
    for scene in [Scene::Writer, Scene::Published, Scene::Broadcast, Scene::Overlap, Scene::Echo, Scene::Deposed] {
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
        (Bug::AbsenceForgotten, Scene::Deposed, &[OVER]),
        (Bug::EndForgotten, Scene::Deposed, &[OVER]),
    ] {
        let broken = explore(bug, scene);
        assert!(broken.iter().any(|law| laws.contains(law)), "{bug:?}: {broken:?}");
    }
}
