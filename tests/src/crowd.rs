//! A crowd that uses its sessions while something else happens to the store: [`Writer`]s, who know what they were promised.

use std::error::Error;

use session_core::{Device, Key, Login, PresentedToken, SessionId, SessionManager, UserId};
use tokio::task::JoinSet;

use crate::Client;

/// A wrong answer is a failure, too.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What is incremented.
const COUNT: Key<u64> = Key::new("count");
/// Beside it, so that a session has some hundred bytes.
const CART: Key<String> = Key::new("cart");
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Sessions that one writer increments all the time, and which have moved soon if they can.
const BUSY: usize = 16;

/// What a writer does next: of twenty requests, thirteen read, five write, one logs in, one logs out.
const ROUND: [Act; 20] = [
    Act::Read,
    Act::Increment,
    Act::Read,
    Act::Read,
    Act::IncrementAny,
    Act::Read,
    Act::Read,
    Act::Increment,
    Act::Read,
    Act::Read,
    Act::Login,
    Act::Read,
    Act::Read,
    Act::Increment,
    Act::Read,
    Act::Read,
    Act::Logout,
    Act::Read,
    Act::Increment,
    Act::Read,
];
/// Visits all of `count` in an order that is none of storage, unless that many divide it: it is a prime.
const STRIDE: usize = 7_368_787;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Reads the count of any session.
    Read,
    /// Increments that of a session which is incremented all the time.
    Increment,
    /// Increments that of any session, perhaps for the first time.
    IncrementAny,
    /// A new user logs in.
    Login,
    /// The user of any session logs out, perhaps as the first thing that happens to it.
    Logout,
}

impl Act {
    /// Whether it costs more in a store that is being left if the session has not moved: the request moves it.
    #[must_use]
    pub fn may_move(self) -> bool {
        matches!(self, Self::IncrementAny | Self::Logout)
    }
}

/// Somebody with sessions, all of which are of this writer alone.
#[derive(Debug)]
pub struct Writer {
    number: usize,
    busy: Vec<Mine>,
    any: Vec<Mine>,
    ended: Vec<Mine>,
    turn: usize,
    at: usize,
    born: usize,
}

/// A session, and what it must hold.
#[derive(Debug)]
struct Mine {
    token: String,
    count: u64,
}

impl Mine {
    fn client(&self, manager: &SessionManager) -> Client {
        let mut client = Client::new(manager);
        client.set_token(&self.token);
        client
    }

    fn id(&self) -> Result<SessionId, Failure> {
        Ok(PresentedToken::parse(self.token.as_bytes()).map_err(|error| error.to_string())?.id())
    }

    /// Of who is logged in: the count.
    async fn read(&self, manager: &SessionManager) -> Result<Option<u64>, Failure> {
        let mut client = self.client(manager);
        let read = client.request(async |session| {
            let count = session.get(COUNT)?.unwrap_or_default();
            Ok(session.user().map(|_| count))
        });
        Ok(read.await?)
    }

    async fn increment(&mut self, manager: &SessionManager) -> Result<(), Failure> {
        self.client(manager).request(async |session| session.update(COUNT, |count| *count += 1)).await?;
        self.count += 1;
        Ok(())
    }
}

impl Writer {
    /// Logs in `sessions` users and sixteen more.
    ///
    /// # Errors
    /// If a login fails.
    pub async fn new(manager: &SessionManager, number: usize, sessions: usize) -> Result<Self, Failure> {
        // Not all writers do the same at once.
        let (turn, busy) = (number * 7, Vec::with_capacity(BUSY));
        let mut writer =
            Self { number, busy, any: Vec::with_capacity(sessions), ended: Vec::new(), turn, at: 0, born: 0 };
        for _ in 0..BUSY {
            let session = writer.login(manager).await?;
            writer.busy.push(session);
        }
        for _ in 0..sessions {
            let session = writer.login(manager).await?;
            writer.any.push(session);
        }
        Ok(writer)
    }

    /// As many writers, numbered from 0.
    ///
    /// # Errors
    /// If a login fails.
    pub async fn crowd(manager: &SessionManager, writers: usize, sessions: usize) -> Result<Vec<Self>, Failure> {
        let mut logins = JoinSet::new();
        for number in 0..writers {
            let manager = manager.clone();
            logins.spawn(async move { Self::new(&manager, number, sessions).await });
        }
        logins.join_all().await.into_iter().collect()
    }

    async fn login(&mut self, manager: &SessionManager) -> Result<Mine, Failure> {
        let user = UserId::new(format!("writer-{}-{}", self.number, self.born))?;
        self.born += 1;
        let mut client = Client::new(manager);
        let login = client.request(async |session| {
            session.login(Login::new(user).device(Device::new().with_user_agent(USER_AGENT)))?;
            session.insert(COUNT, &0)?;
            session.insert(CART, &"BOOK-0042, MUG-007, LAMP-0815; ".repeat(6))
        });
        login.await?;
        Ok(Mine { token: client.token().ok_or("a login without a cookie")?.to_owned(), count: 0 })
    }

    /// The next of its requests, and which that was.
    ///
    /// # Errors
    /// If it fails, or is answered wrongly: an increment was lost, a user who did not log out is a visitor.
    pub async fn act(&mut self, manager: &SessionManager) -> Result<Act, Failure> {
        let act = ROUND[self.turn % ROUND.len()];
        self.turn += 1;
        self.at = (self.at + STRIDE) % self.any.len().max(1);
        match act {
            Act::Read => {
                let mine = self.any.get(self.at).ok_or("no session")?;
                let read = mine.read(manager).await?;
                if read != Some(mine.count) {
                    return Err(format!("the count is {read:?}, not {}", mine.count).into());
                }
            }
            Act::Increment => self.busy[self.turn % BUSY].increment(manager).await?,
            Act::IncrementAny => self.any.get_mut(self.at).ok_or("no session")?.increment(manager).await?,
            Act::Login => {
                let session = self.login(manager).await?;
                self.any.push(session);
            }
            Act::Logout if self.any.len() > 1 => {
                let mine = self.any.swap_remove(self.at);
                mine.client(manager).request(async |session| session.logout()).await?;
                self.ended.push(mine);
            }
            Act::Logout => {}
        }
        Ok(act)
    }

    /// How many sessions it has.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.busy.len() + self.any.len()
    }

    /// The sessions that it has, then those that it ended.
    ///
    /// # Errors
    /// If a token is malformed.
    pub fn ids(&self) -> Result<[Vec<SessionId>; 2], Failure> {
        let alive = self.busy.iter().chain(&self.any).map(Mine::id).collect::<Result<_, _>>()?;
        Ok([alive, self.ended.iter().map(Mine::id).collect::<Result<_, _>>()?])
    }
}

/// What became of the sessions of a crowd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Increments that were acknowledged.
    pub increments: u64,
    /// Sessions that were ended.
    pub ended: u64,
    /// Sessions that nobody ended.
    pub alive: u64,
    /// Of those, how many are gone, or lack an increment, or have one too many.
    pub lost: u64,
    /// Of those that were ended, how many are alive.
    pub revived: u64,
}

/// Asks `manager` for every session of `writers`.
///
/// # Errors
/// If a request fails.
pub async fn outcome(manager: &SessionManager, writers: Vec<Writer>) -> Result<Outcome, Failure> {
    let mut checks = JoinSet::new();
    for writer in writers {
        let manager = manager.clone();
        checks.spawn(async move {
            let mut outcome = Outcome::default();
            for mine in writer.busy.iter().chain(&writer.any) {
                outcome.alive += 1;
                outcome.increments += mine.count;
                outcome.lost += u64::from(mine.read(&manager).await? != Some(mine.count));
            }
            for mine in &writer.ended {
                outcome.ended += 1;
                outcome.increments += mine.count;
                outcome.revived += u64::from(mine.read(&manager).await?.is_some());
            }
            Ok::<_, Failure>(outcome)
        });
    }
    let mut sum = Outcome::default();
    while let Some(outcome) = checks.join_next().await {
        let outcome = outcome??;
        sum.increments += outcome.increments;
        sum.ended += outcome.ended;
        sum.alive += outcome.alive;
        sum.lost += outcome.lost;
        sum.revived += outcome.revived;
    }
    Ok(sum)
}
