//! [`World`]: a node that revokes, nodes that must obey, who asks them, and the networks between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_conformance::{Failure, Rng};
use tokio::time::{sleep, timeout};

use super::bed::Bed;
use super::node::{Copies, Login, MAX_STALE, Node, Site, USERS, Verdict};
use super::wire::Network;
use super::witness::{Longest, Witness};
use crate::failure::failure;

/// How many sessions there are, of all users.
const SESSIONS: usize = 48;

/// How many a user may have. None ends because there are too many.
const LIMIT: u32 = 100;

/// How far apart processes hear of a failover.
const APART: Duration = Duration::from_secs(1);

/// How long something may take that is none of the failures.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one request may take before it is sent again.
const ANSWER: Duration = Duration::from_secs(4);

/// Nodes on both sides of the servers.
pub(super) struct World<'b> {
    pub(super) bed: &'b Bed,
    pub(super) site: Site,
    /// Between the servers and the node that revokes.
    pub(super) near: Network,
    /// Between the servers and those that must obey.
    pub(super) far: Network,
    /// Revokes.
    pub(super) a: Node,
    /// Must obey.
    pub(super) others: Vec<Node>,
    /// Is where those are, and keeps no copies: what it serves too long, the servers gave it.
    _bare: Node,
    /// Is where the node is that revokes, and keeps no copies: what it says, the store says.
    store: Node,
    /// One session of each user that is not revoked, and revokes others.
    keepers: BTreeMap<&'static str, Login>,
    pub(super) logins: Arc<Vec<Login>>,
    /// When each session was revoked, as far as it is, and by what.
    revoked: BTreeMap<usize, (Instant, &'static str)>,
    /// In the order of the others, and then that of the node without copies.
    witnesses: Vec<Witness>,
    pub(super) rng: Rng,
}

/// What came of it.
pub(super) struct Found {
    pub(super) runs: Vec<Run>,
    /// The longest time that a node without copies served what was revoked.
    pub(super) bare: Longest,
}

/// What came of it for one of the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    /// The longest time that it served what was revoked.
    pub(super) longest: Longest,
    /// The same, until the last question was asked, from when it could be known.
    pub(super) over: Duration,
    /// How that was revoked.
    pub(super) by: &'static str,
    /// How many sessions were revoked, and are so by the word of the store.
    pub(super) revoked: usize,
    /// How many the store knows all the same: it forgot their end.
    pub(super) forgotten: usize,
    /// How many questions it answered, whatever the answer.
    pub(super) answers: u64,
}

impl<'b> World<'b> {
    /// Starts as many nodes that must obey. All of them have copies of all sessions.
    pub(super) async fn start(bed: &'b Bed, nodes: usize, rng: Rng) -> Result<Self, Failure> {
        let (addresses, site) = (bed.addresses(), Site::new(LIMIT)?);
        let in_between = matches!(bed, Bed::Sentinel(_) | Bed::Cluster { .. });
        let near = Network::start(&addresses, in_between).await.map_err(failure)?;
        let far = Network::start(&addresses, in_between).await.map_err(failure)?;
        let a = site.start(&near.url(&bed.url()), Copies::Kept).await?;
        let store = site.start(&near.url(&bed.url()), Copies::None).await?;
        let bare = site.start(&far.url(&bed.url()), Copies::None).await?;
        let mut others = Vec::new();
        for _ in 0..nodes {
            others.push(site.start(&far.url(&bed.url()), Copies::Kept).await?);
        }
        let (mut connection, mut keepers, mut logins) = (a.connect(), BTreeMap::new(), Vec::new());
        for user in USERS {
            keepers.insert(user, Login::begin(&mut connection, user, None).await?);
        }
        for number in 0..SESSIONS {
            logins.push(Login::begin(&mut connection, USERS[number % USERS.len()], None).await?);
        }
        let logins = Arc::new(logins);
        let pace = Duration::from_millis(nodes as u64);
        let asked = others.iter().chain([&bare]);
        let witnesses: Vec<Witness> = asked.map(|node| Witness::watch(node, &logins, pace)).collect();
        let world = Self {
            bed,
            site,
            near,
            far,
            a,
            others,
            _bare: bare,
            store,
            keepers,
            logins,
            revoked: BTreeMap::new(),
            witnesses,
            rng,
        };
        world.warm().await?;
        Ok(world)
    }

    /// Waits until every node follows the others, and serves every session from a copy that it made since. Those of some sessions
    /// are older than a copy may be that nothing is heard of; those of others have just been made.
    async fn warm(&self) -> Result<(), Failure> {
        // By the dozen: each lane of questions and each user, which take turns, has both.
        let is_young = |number: &usize| number / 12 % 2 == 1;
        self.begin((0..SESSIONS).filter(|number| !is_young(number))).await?;
        // What was read before the feed began is not used for longer: it is read again.
        sleep(MAX_STALE + Duration::from_secs(1)).await;
        self.begin((0..SESSIONS).filter(is_young)).await?;
        // Whoever keeps no copies breaks no law.
        for node in &self.others {
            let entries = node.cache().await?["entries"].as_u64();
            if entries.is_none_or(|entries| entries < SESSIONS as u64) {
                return Err(Failure::new(format!("a node has copies of {entries:?} of {SESSIONS} sessions")));
            }
        }
        Ok(())
    }

    /// Waits until every node serves these sessions, too.
    async fn begin(&self, numbers: impl Iterator<Item = usize>) -> Result<(), Failure> {
        for number in numbers {
            self.witnesses.iter().for_each(|witness| witness.begin(number));
        }
        let begin = Instant::now();
        let is_ready = async |number: usize| match self.others.get(number) {
            Some(node) => Ok::<_, Failure>(node.cache().await?["feed"] == "live"),
            None => Ok(true),
        };
        for (number, witness) in self.witnesses.iter().enumerate() {
            while !(witness.is_warm() && is_ready(number).await?) {
                if begin.elapsed() > PATIENCE {
                    return Err(Failure::new("a node does not serve every session, or does not follow the others"));
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Pauses for something between these.
    pub(super) async fn pause(&mut self, least: u64, most: u64) {
        sleep(Duration::from_millis(least + self.rng.below(most - least + 1))).await;
    }

    /// The sessions that live; of all ages and users, as they come.
    pub(super) fn living(&self) -> impl Iterator<Item = usize> {
        (0..SESSIONS).map(|turn| turn * 17 % SESSIONS).filter(|number| !self.revoked.contains_key(number))
    }

    /// Revokes as many more sessions, one after the other, each after a pause of up to `gap` milliseconds.
    pub(super) async fn revoke(&mut self, count: usize, gap: u64) -> Result<(), Failure> {
        let next: Vec<usize> = self.living().take(count).collect();
        for number in next {
            self.pause(0, gap).await;
            self.revoke_one(number).await?;
        }
        Ok(())
    }

    /// Until it is acknowledged, however often that must be tried.
    async fn revoke_one(&mut self, number: usize) -> Result<(), Failure> {
        let (login, how, begin) = (self.logins[number].clone(), self.rng.below(3), Instant::now());
        loop {
            // Each time on a connection of its own: what was given up is in the way of nothing.
            let mut connection = self.a.connect();
            let request = async {
                match how {
                    0 => login.post(&mut connection, Login::LOG_OUT).await,
                    1 => login.regenerate(&mut connection).await.map(|answer| answer.status),
                    _ => self.keepers[login.user].revoke(&mut connection, &login.id).await,
                }
            };
            // Unknown, or not found: an earlier attempt was not answered, and successful.
            if let Ok(Ok(200 | 204 | 401 | 404)) = timeout(ANSWER, request).await {
                self.is_revoked(number, Instant::now(), ["logout", "regenerate", "revoke"][how as usize % 3]);
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(Failure::new("a revocation is not acknowledged, whatever one tries"));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// It is not to be served any more, from this moment on.
    pub(super) fn is_revoked(&mut self, number: usize, at: Instant, by: &'static str) {
        self.revoked.entry(number).or_insert((at, by));
        self.witnesses.iter().for_each(|witness| witness.look_at(number));
    }

    /// Asks on for as long as there may be anything to see, and then the store. If a primary that was replaced may go on
    /// answering (`deposes`), what counts is when the node without copies knew, and others at most [`APART`] later: what is loaded
    /// from there is as true, and a copy of it as good as any other.
    pub(super) async fn finish(mut self, deposes: bool) -> Result<Found, Failure> {
        let Some(bare) = self.witnesses.pop() else { return Err(Failure::new("nobody asks the node without copies")) };
        let (mut known, begin) = (self.revoked.clone(), Instant::now());
        if deposes {
            for (number, (at, _)) in &mut known {
                // What the store has forgotten is refused by nobody.
                while self.word_of_the_store(&self.logins[*number]).await? == Verdict::Refused {
                    if let Some(refused) = bare.refused(*number) {
                        *at = refused.max(*at) + APART;
                        break;
                    }
                    if begin.elapsed() > PATIENCE {
                        return Err(Failure::new("the node without copies serves what the store has not"));
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        if let Some((last, _)) = known.values().max() {
            sleep((MAX_STALE + Duration::from_secs(2)).saturating_sub(last.elapsed())).await;
        }
        let mut revoked = BTreeMap::new();
        for (number, (at, _)) in &self.revoked {
            if self.word_of_the_store(&self.logins[*number]).await? == Verdict::Refused {
                revoked.insert(*number, *at);
            }
        }
        let forgotten = self.revoked.len() - revoked.len();
        let counting = revoked.keys().filter_map(|number| Some((*number, known.get(number)?.0))).collect();
        let mut runs = Vec::new();
        for witness in &mut self.witnesses {
            let answers = witness.stop().await;
            let (longest, over) = (witness.longest(&revoked), witness.longest(&counting));
            let by = over.session.and_then(|number| self.revoked.get(&number)).map_or("", |(_, by)| by);
            runs.push(Run { longest, over: over.asked, by, revoked: revoked.len(), forgotten, answers });
        }
        Ok(Found { runs, bare: bare.longest(&revoked) })
    }

    async fn word_of_the_store(&self, login: &Login) -> Result<Verdict, Failure> {
        let begin = Instant::now();
        loop {
            let mut connection = self.store.connect();
            match timeout(ANSWER, login.ask(&mut connection)).await {
                Ok(Ok(verdict @ (Verdict::Served | Verdict::Refused))) => return Ok(verdict),
                Ok(_) | Err(_) if begin.elapsed() < PATIENCE => sleep(Duration::from_millis(50)).await,
                Ok(_) | Err(_) => return Err(Failure::new("the store does not answer when nothing is wrong any more")),
            }
        }
    }
}
