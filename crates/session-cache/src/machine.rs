//! The rules: when a copy may be given, and which loads may leave one. Without I/O and without a clock.
//!
//! A copy is true of the moment at which its load was sent, or later. It may be given as long as that moment is at most
//! `max_stale` ago, or as long as the feed vouches for it: it has been followed without a gap since before that load was
//! sent, and all is known that happened until at most `max_stale` ago. No two clocks need to agree, and a feed that is dead
//! vouches for nothing.
//!
//! What is heard of a session bars the loads of it that are under way: their answers may be older. So a load that began
//! before a revocation never puts the session back, however late its answer comes. A load that begins later is newer than all
//! that was heard before.

use std::collections::VecDeque;
use std::ops::Deref;
use std::time::Duration;

use session_core::store::Version;
use session_core::{SessionId, Timestamp};

#[cfg(test)]
mod explored;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod simulated;

/// How far the clock of real time may run ahead of the steady one before that counts as a jump: clocks are slewed, and are not
/// read in the same instant.
const SLEW: Duration = Duration::from_millis(100);

/// How many ended sessions a stripe remembers, and how many ids that were not found. A server that does not know yet that it was
/// deposed may still have them.
const REMEMBERED: usize = 16;

/// How many operations of a stripe are kept in mind at once. What goes on beside them leaves no copy: if a server does not answer,
/// thousands may wait for one session, and each answer looks through them all.
const MOST_UNDER_WAY: usize = 1024;

/// What two clocks of this machine show: one that never jumps, but may stand still while the machine is suspended; and one that
/// goes on, but may be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Moment {
    pub(crate) steady: Duration,
    pub(crate) real: Duration,
}

impl Moment {
    /// How long ago it is: by the clock by which it is longer.
    fn age(self, now: Self) -> Duration {
        now.steady.saturating_sub(self.steady).max(now.real.saturating_sub(self.real))
    }

    /// How far the clock of real time is ahead.
    fn lead(self) -> Duration {
        self.real.saturating_sub(self.steady)
    }
}

/// How old what is given may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long after the end of a session a copy of it may still be given.
    pub(crate) max_stale: Duration,
    /// How long after its load a copy may be given, whatever the feed says: not all that can happen to a store is told.
    pub(crate) max_age: Duration,
}

impl Limits {
    /// Whether a copy may be given at `now` whose load was sent at `since`.
    pub(crate) fn allow(&self, since: Moment, followed: &Followed, now: Moment) -> bool {
        let age = since.age(now);
        let stale = match &followed.span {
            Some(span) if span.from < since.steady => age.min(span.until.age(now)),
            Some(_) | None => age,
        };
        stale <= self.max_stale && age <= self.max_age
    }
}

/// What is known of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Followed {
    /// `None` while the feed is lost.
    span: Option<Span>,
    /// The smallest lead of the clock of real time since the last jump.
    lead: Duration,
    /// Beats that were asked for until then say nothing: when a jump or a loss was noticed last.
    distrusted: Duration,
}

/// All that the store did between these two moments is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Span {
    from: Duration,
    until: Moment,
}

impl Followed {
    /// A feed that nothing was heard of yet.
    pub(crate) fn new(now: Moment) -> Self {
        Self { span: None, lead: now.lead(), distrusted: Duration::ZERO }
    }

    /// Something may have been missed, as is known at `now`: the feed vouches for no copy that is there, and no beat that was asked
    /// for before begins anything. Costs the same however many there are.
    pub(crate) fn lost(self, now: Moment) -> Self {
        Self { span: None, distrusted: self.distrusted.max(now.steady), ..self }
    }

    /// All that the store did before `asked` was told, as is known at `now`. The first beat after a loss begins a span: the feed
    /// was being followed again when it was asked for, and nobody knows since when.
    pub(crate) fn beat(mut self, asked: Duration, now: Moment) -> Self {
        // Nobody has asked yet for what is to come.
        let (asked, lead) = (asked.min(now.steady), now.lead());
        if lead > self.lead + SLEW {
            // The machine was suspended, or its clock was set. What was asked for before is older than it seems.
            (self.lead, self.distrusted) = (lead, self.distrusted.max(now.steady));
        }
        self.lead = self.lead.min(lead);
        if asked <= self.distrusted {
            return self;
        }
        let told = Moment { steady: asked, real: asked + self.lead };
        self.span = match self.span {
            None => Some(Span { from: asked, until: told }),
            Some(Span { from, until }) if until.steady < asked => Some(Span { from, until: told }),
            later => later,
        };
        self
    }

    /// Whether it vouches for anything.
    pub(crate) fn is_live(&self) -> bool {
        self.span.is_some()
    }

    /// How long ago what is known ends; `None` while the feed is lost.
    pub(crate) fn lag(&self, now: Moment) -> Option<Duration> {
        self.span.map(|span| span.until.age(now))
    }
}

/// What is kept of a session: its record, or what tests have in place of one.
pub(crate) trait Content: Clone {
    fn version(&self) -> Version;

    /// When the session was last used.
    fn seen(&self) -> Timestamp;

    /// The same, used at `seen`.
    fn seen_at(self, seen: Timestamp) -> Self;
}

/// A copy of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held<C> {
    pub(crate) content: C,
    /// Just before its load was sent.
    pub(crate) since: Moment,
    /// That of its stripe at that time.
    pub(crate) epoch: u64,
}

/// Where copies are. It may forget any of them at any time.
pub(crate) trait Copies<C> {
    /// Not a copy of the copy: most of those who ask look at its version only.
    fn get(&self, id: &SessionId) -> Option<impl Deref<Target = Held<C>>>;

    fn put(&self, id: SessionId, held: Held<C>);

    fn remove(&self, id: &SessionId);
}

/// What is known of the sessions in some shards, beside the copies. All changes of their copies are made here, under one lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stripe {
    under_way: Vec<UnderWay>,
    next: u64,
    epoch: u64,
    ended: VecDeque<SessionId>,
    /// What loads did not find, and of which nothing was known: anybody can make up an id, and none of them is to push out a session
    /// that ended.
    unknown: VecDeque<SessionId>,
}

/// A load or a write that was sent and not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct UnderWay {
    number: u64,
    id: SessionId,
    bar: Bar,
}

/// Which answers may leave a copy, after what was heard meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bar {
    Any,
    /// One of this version, or a later one.
    AtLeast(Version),
    None,
}

/// The right to leave a copy, if nothing speaks against it until the answer is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub(crate) struct Ticket {
    number: u64,
    id: SessionId,
    since: Moment,
    epoch: u64,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Kept,
    /// It may be older than what was heard meanwhile.
    Refused,
    /// There is no such session.
    Nothing,
}

impl Stripe {
    /// Its copies and tickets from before the last [`flush`](Self::flush) have another one.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A load or a write of `id` is about to be sent.
    pub(crate) fn begin(&mut self, id: SessionId, now: Moment) -> Ticket {
        self.next += 1;
        if self.under_way.len() < MOST_UNDER_WAY {
            self.under_way.push(UnderWay { number: self.next, id, bar: Bar::Any });
        }
        Ticket { number: self.next, id, since: now, epoch: self.epoch }
    }

    /// It failed, and says nothing.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        let _ = self.answered(&ticket);
    }

    /// The store has this, at a moment after the ticket: what was loaded, or what was written.
    pub(crate) fn found<C: Content>(&mut self, ticket: Ticket, content: C, copies: &impl Copies<C>) -> Fill {
        let (id, version) = (ticket.id, content.version());
        let bar = self.answered(&ticket);
        let is_open = match bar {
            Bar::Any => true,
            Bar::AtLeast(least) => is_at_least(version, least),
            Bar::None => false,
        };
        // Whatever becomes of it: nothing older is good any more.
        self.raise(&id, version);
        let before = copies.get(&id);
        let is_older = before.as_ref().is_some_and(|before| !is_at_least(before.content.version(), version));
        if !is_open || ticket.epoch != self.epoch || self.is_over(&id) {
            if is_older {
                copies.remove(&id);
            }
            return Fill::Refused;
        }
        let mut held = Held { content, since: ticket.since, epoch: ticket.epoch };
        if let Some(before) = before.filter(|before| !is_older && before.epoch == self.epoch) {
            // Of two answers that are alike, both are true.
            if before.content.version() == version && before.since.steady > held.since.steady {
                held.since = before.since;
            }
            let seen = before.content.seen().max(held.content.seen());
            held.content = held.content.seen_at(seen);
        }
        copies.put(id, held);
        Fill::Kept
    }

    /// The session that was written ended, by that or before: the store will never have it again.
    pub(crate) fn absent<C>(&mut self, ticket: Ticket, copies: &impl Copies<C>) -> Fill {
        let id = ticket.id;
        self.abandon(ticket);
        self.ended(id, copies);
        Fill::Nothing
    }

    /// A load found nothing: the session ended, or there never was one.
    pub(crate) fn missing<C>(&mut self, ticket: Ticket, copies: &impl Copies<C>) -> Fill {
        if copies.get(&ticket.id).is_some() {
            return self.absent(ticket, copies);
        }
        let id = ticket.id;
        self.abandon(ticket);
        self.shut(&id, copies);
        if !self.is_over(&id) {
            remember(&mut self.unknown, id);
        }
        Fill::Nothing
    }

    /// A write has failed, and may have been done all the same; or what is stored cannot be read.
    pub(crate) fn doubtful<C>(&mut self, ticket: Ticket, copies: &impl Copies<C>) {
        let id = ticket.id;
        self.abandon(ticket);
        self.shut(&id, copies);
    }

    /// The feed says that the session was changed.
    pub(crate) fn changed<C: Content>(&mut self, id: SessionId, version: Option<Version>, copies: &impl Copies<C>) {
        let Some(version) = version else { return self.shut(&id, copies) };
        self.raise(&id, version);
        if copies.get(&id).is_some_and(|held| !is_at_least(held.content.version(), version)) {
            copies.remove(&id);
        }
    }

    /// The session ended, whoever ended it. That is final: an id is never given to another session.
    pub(crate) fn ended<C>(&mut self, id: SessionId, copies: &impl Copies<C>) {
        self.shut(&id, copies);
        if !self.ended.contains(&id) {
            remember(&mut self.ended, id);
        }
    }

    /// Whether it is known that the store has no such session any more.
    fn is_over(&self, id: &SessionId) -> bool {
        self.ended.contains(id) || self.unknown.contains(id)
    }

    /// The session was used. That makes no copy newer.
    pub(crate) fn touched<C: Content>(&mut self, id: SessionId, seen: Timestamp, copies: &impl Copies<C>) {
        let Some(held) = copies.get(&id).filter(|held| held.content.seen() < seen) else { return };
        let (content, since, epoch) = (held.content.clone().seen_at(seen), held.since, held.epoch);
        drop(held);
        copies.put(id, Held { content, since, epoch });
    }

    /// Sessions of this stripe ended or changed, and nobody knows which. Costs the same however many copies there are.
    pub(crate) fn flush(&mut self) {
        self.epoch += 1;
    }

    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Nothing that is there or under way is good any more.
    fn shut<C>(&mut self, id: &SessionId, copies: &impl Copies<C>) {
        self.of(id).for_each(|other| other.bar = Bar::None);
        copies.remove(id);
    }

    /// What is under way must be as new as this.
    fn raise(&mut self, id: &SessionId, version: Version) {
        self.of(id).for_each(|other| match other.bar {
            Bar::Any => other.bar = Bar::AtLeast(version),
            Bar::AtLeast(least) if !is_at_least(least, version) => other.bar = Bar::AtLeast(version),
            Bar::AtLeast(_) | Bar::None => {}
        });
    }

    fn of(&mut self, id: &SessionId) -> impl Iterator<Item = &mut UnderWay> {
        self.under_way.iter_mut().filter(move |other| other.id == *id)
    }

    fn answered(&mut self, ticket: &Ticket) -> Bar {
        let place = self.under_way.iter().position(|other| other.number == ticket.number);
        place.map_or(Bar::None, |place| self.under_way.swap_remove(place).bar)
    }
}

fn remember(ids: &mut VecDeque<SessionId>, id: SessionId) {
    ids.truncate(REMEMBERED - 1);
    ids.push_front(id);
}

/// Of two versions with one number, written on both sides of a failover, neither is later.
fn is_at_least(version: Version, least: Version) -> bool {
    version == least || version.number > least.number
}
