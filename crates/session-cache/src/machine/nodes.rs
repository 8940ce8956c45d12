//! The world of [`explored`](super::explored): two nodes, a store, a feed, and what happens to them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::time::Duration;

use session_core::store::Version;
use session_core::{SessionId, Timestamp};

use super::{Bar, Content, Copies, Fill, Followed, Held, Limits, Moment, Span, Stripe, Ticket};

pub(super) const ID: SessionId = SessionId::from_bytes([7; 16]);
/// In ticks, which are seconds.
pub(super) const MAX_STALE: u8 = 1;
pub(super) const END: u8 = 3;
pub(super) const LIMITS: Limits =
    Limits { max_stale: Duration::from_secs(MAX_STALE as u64), max_age: Duration::from_secs(END as u64) };

/// What could be wrong, to see that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
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
    /// That a load found nothing is forgotten.
    AbsenceForgotten,
    /// That the feed told of an end is forgotten.
    EndForgotten,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scene {
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
    /// As published, but there is a second server, which still has the session, and which loads may come to. It was deposed and does
    /// not know.
    Deposed,
}

pub(super) struct Nodes {
    pub(super) bug: Bug,
    pub(super) scene: Scene,
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

pub(super) fn version(number: u32) -> Version {
    Version { number, nonce: 0 }
}

pub(super) struct Place(RefCell<Option<Held<Numbered>>>);

impl Copies<Numbered> for Place {
    fn get(&self, _: &SessionId) -> Option<impl Deref<Target = Held<Numbered>>> {
        self.0.borrow().map(Box::new)
    }

    fn put(&self, _: SessionId, held: Held<Numbered>) {
        *self.0.borrow_mut() = Some(held);
    }

    fn remove(&self, _: &SessionId) {
        *self.0.borrow_mut() = None;
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage<A> {
    Sent,
    Executed(A),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Load {
    pub(super) ticket: Ticket,
    pub(super) stage: Stage<Option<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Update,
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Write {
    pub(super) what: What,
    pub(super) ticket: Ticket,
    pub(super) stage: Stage<Option<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Message {
    Changed(u32),
    Ended,
    Beat(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    Up,
    /// Nothing comes any more, and nobody has noticed.
    Black,
    Down,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    /// For how long the machine has slept.
    pub(super) slept: u8,
    pub(super) followed: Followed,
    pub(super) stripe: Stripe,
    pub(super) copy: Option<Held<Numbered>>,
    pub(super) loads: Vec<Load>,
    pub(super) loads_left: u8,
    pub(super) write: Option<Write>,
    /// What this node was told, by an answer or by the feed: that the session ended, and its latest version.
    pub(super) knows_end: bool,
    pub(super) knows: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) now: u8,
    /// What the store has, and when it ended.
    pub(super) stored: Option<u32>,
    /// What a server has that was deposed.
    pub(super) deposed: Option<u32>,
    pub(super) ended_at: Option<u8>,
    /// When the second version replaced the first.
    pub(super) changed_at: Option<u8>,
    pub(super) nodes: [Node; 2],
    pub(super) writes_left: Vec<What>,
    pub(super) link: Link,
    pub(super) cuts_left: u8,
    pub(super) sleeps_left: u8,
    /// Of the server's cycle; then on its way.
    pub(super) cycle: Vec<Message>,
    pub(super) told: VecDeque<Message>,
    /// The next beat is asked for when the last one was answered, which is in another cycle.
    pub(super) is_asked_in_cycle: bool,
    /// When beats were asked for: the last one, and the one before.
    pub(super) asked: Option<Duration>,
    pub(super) asked_before: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Load(usize),
    ExecuteLoad(usize, usize),
    ExecuteLoadThere(usize, usize),
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
pub(super) const READER: usize = 1;
pub(super) const OTHER: usize = 0;

impl Nodes {
    pub(super) fn writer(&self) -> usize {
        if self.scene == Scene::Echo { READER } else { OTHER }
    }

    /// Whether answers to writes are late or lost.
    pub(super) fn writes_take_time(&self) -> bool {
        matches!(self.scene, Scene::Writer | Scene::Echo)
    }

    pub(super) fn loads(&self) -> [u8; 2] {
        match self.scene {
            Scene::Writer => [2, 0],
            Scene::Published | Scene::Broadcast | Scene::Echo => [0, 1],
            Scene::Overlap | Scene::Deposed => [0, 2],
        }
    }

    pub(super) fn end(&self) -> u8 {
        if matches!(self.scene, Scene::Overlap | Scene::Echo | Scene::Deposed) { END - 1 } else { END }
    }

    pub(super) fn cuts(&self) -> u8 {
        u8::from(matches!(self.scene, Scene::Published | Scene::Broadcast))
    }

    pub(super) fn sleeps(&self) -> u8 {
        u8::from(matches!(self.scene, Scene::Writer | Scene::Published))
    }

    pub(super) fn moment(&self, state: &State, node: usize) -> Moment {
        // Both began before.
        let (real, slept) = (Duration::from_secs(1_000 + u64::from(state.now)), state.nodes[node].slept);
        let steady = real - Duration::from_secs(slept.into());
        let real = if self.bug == Bug::SleepIgnored { steady } else { real };
        Moment { steady, real }
    }

    /// What the node would give now.
    pub(super) fn given(&self, state: &State, node: usize) -> Option<u32> {
        let Node { copy, stripe, followed, .. } = &state.nodes[node];
        let held = copy.as_ref().filter(|held| held.epoch == stripe.epoch())?;
        let allowed = LIMITS.allow(held.since, followed, self.moment(state, node));
        (allowed || self.bug == Bug::NoBound).then_some(held.content.0)
    }

    pub(super) fn change<T>(node: &mut Node, with: impl FnOnce(&mut Stripe, &Place) -> T) -> T {
        let place = Place(RefCell::new(node.copy));
        let outcome = with(&mut node.stripe, &place);
        node.copy = place.0.into_inner();
        outcome
    }

    pub(super) fn found(&self, state: &mut State, node: usize, mut ticket: Ticket, number: u32) {
        let now = self.moment(state, node);
        if self.bug == Bug::SinceTheAnswer {
            ticket.since = now;
        }
        let _: Fill =
            Self::change(&mut state.nodes[node], |stripe, place| stripe.found(ticket, Numbered(number), place));
    }

    pub(super) fn hear(&self, state: &mut State, message: Message) {
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
                if self.bug == Bug::EndForgotten {
                    node.stripe.ended.clear();
                }
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
    pub(super) fn tell(&self, state: &mut State, message: Message) {
        match (state.link, self.scene) {
            (Link::Up, Scene::Published | Scene::Overlap | Scene::Echo | Scene::Deposed) => {
                state.told.push_back(message)
            }
            (Link::Up, Scene::Broadcast) => state.cycle.push(message),
            (Link::Up | Link::Black | Link::Down, _) => {}
        }
    }

    pub(super) fn execute_write(&self, state: &mut State) {
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

    pub(super) fn answer_write(&self, state: &mut State) {
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

    pub(super) fn answer_load(&self, state: &mut State, at: usize, load: usize) {
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
                let _: Fill = Self::change(node, |stripe, place| stripe.missing(ticket, place));
                if self.bug == Bug::AbsenceForgotten {
                    node.stripe.unknown.clear();
                    node.stripe.ended.clear();
                }
            }
        }
    }
}
