//! The moving store, one call at a time: what it finds, what it moves, what a mover that was stopped leaves, and what it costs.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, RecordBuilder, ReferenceStore, StoreCall};
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::store::{
    CreateOutcome, CreateRequest, Cursor, EncryptedStore, EncryptionKey, EncryptionKeys, Freshness, MovingProgress,
    MovingStore, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome,
};
use session_core::{
    DeleteOutcome, Device, Error, Kind, LimitPolicy, Login, ManualClock, OsEntropy, Policy, RecordFormat, SessionId,
    SessionLimit, SessionManager, StoreError, StoreErrorKind, Timestamp, UserId, VisitorLimit,
};

use crate::flawed::{Flaw, Flawed};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const MINUTE: Duration = Duration::from_secs(60);
const PAGE: NonZeroU32 = NonZeroU32::new(7).unwrap();

/// Counts calls, and stops answering after some: the last one is executed, its answer lost.
#[derive(Debug)]
struct Line {
    calls: AtomicUsize,
    good_for: usize,
    /// Whether the call at which it fails is executed.
    executes: bool,
}

#[derive(Debug)]
struct Node(Arc<Line>);

impl Intercept for Node {
    async fn intercept<T: Send>(
        &self,
        _call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Line { calls, good_for, executes } = &*self.0;
        let call = calls.fetch_add(1, Ordering::SeqCst);
        let answer = if call < *good_for || (call == *good_for && *executes) { execute.await } else { lost() };
        if call < *good_for { answer } else { lost() }
    }
}

fn lost<T>() -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Unavailable, "cut off"))
}

type Shared = Arc<ReferenceStore>;
type Moving<S> = MovingStore<S, S>;

struct Bed {
    old: Shared,
    new: Shared,
}

impl Bed {
    fn new() -> Self {
        Self { old: Shared::default(), new: Shared::default() }
    }

    fn node(&self) -> Moving<Shared> {
        MovingStore::new(Arc::clone(&self.old), Arc::clone(&self.new))
    }

    /// A node that is cut off from both stores.
    fn cut_after(&self, good_for: usize, executes: bool) -> (Moving<Intercepted<Node>>, Arc<Line>) {
        let line = Arc::new(Line { calls: AtomicUsize::new(0), good_for, executes });
        let [old, new] =
            [&self.old, &self.new].map(|store| Intercepted::new(Arc::clone(store), Node(Arc::clone(&line))));
        (MovingStore::new(old, new), line)
    }

    async fn seed(&self, session: RecordBuilder) -> Record {
        let record = session.build().unwrap();
        create(&*self.old, CreateRequest::new(&record)).await;
        record
    }

    /// How many calls `act` takes.
    async fn calls<T>(&self, act: impl AsyncFnOnce(Moving<Intercepted<Node>>) -> T) -> (usize, T) {
        let (node, line) = self.cut_after(usize::MAX, true);
        let answer = act(node).await;
        (line.calls.load(Ordering::SeqCst), answer)
    }
}

async fn create(store: &dyn SessionStore, request: CreateRequest<'_>) {
    assert_eq!(store.create(request, NOW).await.unwrap(), CreateOutcome::Created { evicted: vec![] });
}

async fn load(store: &dyn SessionStore, id: SessionId) -> Option<Record> {
    store.load(&id, Freshness::Latest).await.unwrap()
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

/// A session with something of everything.
fn session() -> RecordBuilder {
    RecordBuilder::new(NOW)
        .of(&alice())
        .last_seen(NOW + MINUTE)
        .renewed_at(NOW + MINUTE)
        .device(Device::new().with_label("laptop"))
        .value("cart", "[1,2]")
        .binding("key")
}

fn next(record: &Record) -> Record {
    Record { version: record.version.next(&OsEntropy).unwrap(), ..record.clone() }
}

fn assert_same(stored: &Record, expected: &Record) {
    assert_eq!(stored.version, expected.version);
    assert_eq!(stored.encode().unwrap(), expected.encode().unwrap(), "all that is stored");
}

async fn move_all(node: &Moving<Shared>) -> MovingProgress {
    node.move_all(PAGE, &ManualClock::new(NOW), |_| ControlFlow::Continue(())).await.unwrap()
}

#[tokio::test]
async fn all_of_it_moves_as_it_is() {
    let bed = Bed::new();
    let mut sessions = Vec::new();
    for format in RecordFormat::ALL {
        for kind in [Kind::Cookie, Kind::Refresh] {
            sessions.push(bed.seed(session().kind(kind).format(format)).await);
            sessions.push(bed.seed(RecordBuilder::new(NOW).kind(kind).format(format).value("cart", "[]")).await);
        }
    }
    // Touched since; and nobody looks at its values.
    sessions[0] = sessions[0].clone().touched(NOW + 2 * MINUTE);
    let touched = bed.old.touch(&sessions[0].id(), Some(&alice()), NOW + 2 * MINUTE).await.unwrap();
    assert_eq!(touched, TouchOutcome::Applied);

    let node = bed.node();
    let done = move_all(&node).await;
    assert_eq!((done.moved, done.unreadable, done.passes), (8, 0, 2));
    for session in &sessions {
        assert_same(&load(&*bed.new, session.id()).await.unwrap(), session);
        assert!(load(&*bed.old, session.id()).await.is_none());
    }
    assert_eq!(bed.new.count(NOW).await.unwrap().sessions, 8, "no ticket is left");
    assert_eq!(move_all(&node).await.moved, 0);
}

#[tokio::test]
async fn ciphertexts_move_without_a_key() {
    let (bed, key) = (Bed::new(), EncryptionKey::generate(&OsEntropy).unwrap());
    let keys = EncryptionKeys::new(key);
    let before = EncryptedStore::new(Arc::clone(&bed.old), &keys);
    let session = session().build().unwrap();
    create(&before, CreateRequest::new(&session)).await;

    let (meanwhile, after) = (EncryptedStore::new(bed.node(), &keys), EncryptedStore::new(Arc::clone(&bed.new), &keys));
    assert_same(&load(&meanwhile, session.id()).await.unwrap(), &session);
    assert_eq!(move_all(&bed.node()).await.moved, 1);
    assert_same(&load(&after, session.id()).await.unwrap(), &session);
}

/// A mover that is cut off at any of its calls, before it is executed or after, and what others do then.
#[tokio::test]
async fn a_mover_that_is_stopped_anywhere_leaves_what_anyone_can_finish() {
    for executes in [false, true] {
        for good_for in 0..6 {
            for end in [false, true] {
                let (bed, at) = (Bed::new(), format!("cut at {good_for}, executed: {executes}, ended: {end}"));
                let session = bed.seed(session()).await;
                let (mover, _) = bed.cut_after(good_for, executes);
                assert!(mover.move_session(&session.id()).await.is_err(), "{at}");

                let node = bed.node();
                assert_same(&load(&node, session.id()).await.unwrap(), &session);
                assert_eq!(node.list_by_user(&alice(), NOW).await.unwrap().ids(), [session.id()], "{at}");
                if end {
                    let deleted = node.delete(&session.id(), Some(&alice())).await.unwrap();
                    assert_eq!(deleted, DeleteOutcome::Deleted, "{at}");
                }
                move_all(&node).await;
                assert!(load(&*bed.old, session.id()).await.is_none(), "{at}");
                let found = load(&*bed.new, session.id()).await;
                assert_eq!(found.is_some(), !end, "{at}");
                if let Some(found) = found {
                    assert_same(&found, &session);
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_written_moves_and_what_is_read_stays() {
    let bed = Bed::new();
    let (read, written, touched) = (bed.seed(session()).await, bed.seed(session()).await, bed.seed(session()).await);
    let node = bed.node();
    assert_same(&load(&node, read.id()).await.unwrap(), &read);
    assert!(load(&*bed.new, read.id()).await.is_none(), "to read is not to write");

    let changed = next(&written);
    assert_eq!(node.update(&changed, written.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    assert_same(&load(&*bed.new, written.id()).await.unwrap(), &changed);
    assert_eq!(node.update(&next(&written), written.version, NOW).await.unwrap(), UpdateOutcome::Conflict);

    assert_eq!(node.touch(&touched.id(), Some(&alice()), NOW + 2 * MINUTE).await.unwrap(), TouchOutcome::Applied);
    assert_same(&load(&*bed.new, touched.id()).await.unwrap(), &touched.clone().touched(NOW + 2 * MINUTE));

    let other = UserId::new("bob").unwrap();
    assert_eq!(node.delete(&read.id(), Some(&other)).await.unwrap(), DeleteOutcome::Absent);
    assert_same(&load(&node, read.id()).await.unwrap(), &read);
}

#[tokio::test]
async fn limits_and_revocation_are_those_of_both_stores_together() {
    let limit = |at_limit| SessionLimit { max: NonZeroU32::new(2).unwrap(), at_limit };
    let bed = Bed::new();
    let (first, second) = (bed.seed(session()).await, bed.seed(session().created_at(NOW + MINUTE)).await);
    let (node, third) = (bed.node(), session().created_at(NOW + MINUTE).build().unwrap());
    let refused = node.create(CreateRequest::new(&third).within(limit(LimitPolicy::Reject)), NOW).await.unwrap();
    assert_eq!(refused, CreateOutcome::LimitReached);
    let created = node.create(CreateRequest::new(&third).within(limit(LimitPolicy::EvictOldest)), NOW).await.unwrap();
    assert_eq!(created, CreateOutcome::Created { evicted: vec![first.id()] });
    let mut listed = node.list_by_user(&alice(), NOW).await.unwrap().ids();
    listed.sort_unstable();
    let mut expected = [second.id(), third.id()];
    expected.sort_unstable();
    assert_eq!(listed, expected);

    let (left, right) = (bed.seed(session()).await, bed.seed(session()).await);
    let ended = node.delete_by_user(&alice(), Some(&left.id()), NOW).await.unwrap().ids();
    assert_eq!(ended.len(), 3);
    assert!(ended.contains(&right.id()));
    assert_eq!(node.list_by_user(&alice(), NOW).await.unwrap().ids(), [left.id()]);
    assert_eq!(bed.old.count(NOW).await.unwrap().sessions, 0);
}

/// By the clock of this node it has expired, by that of another not.
#[tokio::test]
async fn revocation_ends_what_has_expired_too() {
    let bed = Bed::new();
    let session = bed.seed(session()).await;
    let late = session.deadline() + MINUTE;
    assert_eq!(bed.node().delete_by_user(&alice(), None, late).await.unwrap().ids(), []);
    assert!(load(&bed.node(), session.id()).await.is_none());
}

#[tokio::test]
async fn a_login_replaces_a_session_of_the_old_store() {
    let bed = Bed::new();
    let (visitor, login) = (bed.seed(RecordBuilder::new(NOW)).await, session().build().unwrap());
    let node = bed.node();
    create(&node, CreateRequest::new(&login).replacing(Replacement::of(&visitor))).await;
    assert!(load(&node, visitor.id()).await.is_none());
    let again = session().build().unwrap();
    let absent = node.create(CreateRequest::new(&again).replacing(Replacement::of(&visitor)), NOW).await.unwrap();
    assert_eq!(absent, CreateOutcome::ReplacedAbsent);
}

/// Visitors that have moved neither count nor end: an attack on the new store logs out none of them, and no user.
#[tokio::test]
async fn visitors_of_the_new_store_are_limited_beside_those_that_moved() {
    let (bed, few) = (Bed::new(), VisitorLimit::new(2).unwrap());
    let visitor = || RecordBuilder::new(NOW).id(few.generate_id(&OsEntropy).unwrap());
    let (old, node) = (visitor().build().unwrap(), bed.node());
    create(&*bed.old, CreateRequest::new(&old).among(few)).await;
    node.move_session(&old.id()).await.unwrap();
    for _ in 0..5 {
        let another = visitor().build().unwrap();
        let created = node.create(CreateRequest::new(&another).among(few), NOW).await.unwrap();
        assert!(matches!(created, CreateOutcome::Created { .. }));
    }
    assert_eq!(node.count(NOW).await.unwrap().sessions, 3);
    assert!(load(&node, old.id()).await.is_some());
}

#[tokio::test]
async fn pages_show_both_stores_and_no_ticket() {
    let bed = Bed::new();
    let mut expected = Vec::new();
    for _ in 0..10 {
        expected.push(bed.seed(session()).await.id());
    }
    let node = bed.node();
    for id in &expected[..4] {
        node.move_session(id).await.unwrap();
    }
    // One is on its way.
    let (mover, _) = bed.cut_after(3, true);
    assert!(mover.move_session(&expected[5]).await.is_err());
    let (mut shown, mut after) = (Vec::new(), None);
    loop {
        let page = node.list_all(after.as_ref(), NonZeroU32::new(3).unwrap(), NOW).await.unwrap();
        shown.extend(page.listing.ids());
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    shown.sort_unstable();
    expected.sort_unstable();
    assert_eq!(shown, expected);
    for text in ["", "old", "older.x", "new.x", "old.x", "x"] {
        let error = node.list_all(Some(&Cursor::new(text)), PAGE, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::InvalidCursor, "{text:?}");
    }
}

/// `move_all` says how far it is after each page, ends when it is told to, and goes on from there.
#[tokio::test]
async fn a_copy_can_be_stopped_and_begun_again() {
    let bed = Bed::new();
    for _ in 0..20 {
        bed.seed(session()).await;
    }
    let (node, clock, mut told) = (bed.node(), ManualClock::new(NOW), Vec::new());
    let first = node.move_all(PAGE, &clock, |progress| {
        told.push(progress.moved);
        if progress.moved < 14 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert_eq!(first.await.unwrap().moved, 14);
    assert_eq!(told, [7, 14]);
    assert_eq!(move_all(&node).await.moved, 6);
    assert_eq!(bed.new.count(NOW).await.unwrap().sessions, 20);
}

/// Round trips, as the manual has them: to find, change, touch, end, list, log in, before the move and after it.
#[tokio::test]
async fn what_an_operation_costs() {
    let bed = Bed::new();
    let seeded = async || bed.seed(session()).await;
    let moved = seeded().await;
    assert_eq!(bed.calls(async |node| node.move_session(&moved.id()).await.unwrap()).await, (6, true));
    assert_eq!(bed.calls(async |node| node.move_session(&moved.id()).await.unwrap()).await, (1, false));
    let old = seeded().await;
    let (nowhere, user) = (SessionId::generate(None, &OsEntropy).unwrap(), alice());
    for (id, cost) in [(moved.id(), 1), (old.id(), 2), (nowhere, 3)] {
        assert_eq!(bed.calls(async |node| load(&node, id).await).await.0, cost);
    }
    for (session, cost) in [(&moved, 1), (&seeded().await, 8)] {
        let update = async |node: Moving<_>| node.update(&next(session), session.version, NOW).await.unwrap();
        assert_eq!(bed.calls(update).await, (cost, UpdateOutcome::Applied));
    }
    for (id, cost) in [(moved.id(), 1), (seeded().await.id(), 8)] {
        let touch = async |node: Moving<_>| node.touch(&id, Some(&user), NOW).await.unwrap();
        assert_eq!(bed.calls(touch).await, (cost, TouchOutcome::Applied));
    }
    for (id, cost) in [(moved.id(), 2), (seeded().await.id(), 7)] {
        let delete = async |node: Moving<_>| node.delete(&id, Some(&user)).await.unwrap();
        assert_eq!(bed.calls(delete).await, (cost, DeleteOutcome::Deleted));
    }
    // One is left in the old store.
    for cost in [8, 2] {
        assert_eq!(bed.calls(async |node| node.list_by_user(&user, NOW).await.unwrap()).await.0, cost);
    }
    let login = session().build().unwrap();
    assert_eq!(bed.calls(async |node| create(&node, CreateRequest::new(&login)).await).await.0, 2);
    let visitor = RecordBuilder::new(NOW).build().unwrap();
    assert_eq!(bed.calls(async |node| create(&node, CreateRequest::new(&visitor)).await).await.0, 2);
    assert_eq!(bed.calls(async |node| node.delete_by_user(&user, None, NOW).await.unwrap()).await.0, 2);
}

/// However long nobody finishes the move: a ticket is there for as long as the session can live.
#[tokio::test]
async fn a_ticket_lives_as_long_as_its_session() {
    let bed = Bed::new();
    let session = bed.seed(session()).await;
    let (mover, _) = bed.cut_after(3, true);
    assert!(mover.move_session(&session.id()).await.is_err());
    let almost = Timestamp::from_millis(session.summary.absolute_deadline().as_millis() - 1);
    assert_eq!(bed.new.delete_expired(almost, PAGE).await.unwrap(), 0);
    assert!(bed.node().move_session(&session.id()).await.unwrap());
    assert_same(&load(&*bed.new, session.id()).await.unwrap(), &session);
}

/// Does something in the old store just before a session is claimed.
#[derive(Debug)]
struct Before {
    store: Shared,
    /// Another node writes the session; else, touches it.
    writes: bool,
}

impl Intercept for Before {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if let Some(written) = call.written.filter(|_| call.operation == "update") {
            let stored = load(&*self.store, written.id()).await.unwrap();
            if self.writes {
                let written = self.store.update(&next(&stored), stored.version, NOW).await?;
                assert_eq!(written, UpdateOutcome::Applied);
            } else {
                let touched = self.store.touch(&stored.id(), stored.user(), NOW + 2 * MINUTE).await?;
                assert_eq!(touched, TouchOutcome::Applied);
            }
        }
        execute.await
    }
}

/// Sent before all nodes had the moving store, executed late.
#[tokio::test]
async fn a_touch_that_overtakes_the_claim_is_kept() {
    let bed = Bed::new();
    let session = bed.seed(session()).await;
    let old = Intercepted::new(Arc::clone(&bed.old), Before { store: Arc::clone(&bed.old), writes: false });
    assert!(MovingStore::new(old, Arc::clone(&bed.new)).move_session(&session.id()).await.unwrap());
    assert_same(&load(&*bed.new, session.id()).await.unwrap(), &session.touched(NOW + 2 * MINUTE));
}

/// A node that knows the old store alone goes on writing there: the move gives up, and says why.
#[tokio::test]
async fn a_node_without_the_moving_store_is_noticed() {
    let bed = Bed::new();
    let session = bed.seed(session()).await;
    let old = Intercepted::new(Arc::clone(&bed.old), Before { store: Arc::clone(&bed.old), writes: true });
    let error = MovingStore::new(old, Arc::clone(&bed.new)).move_session(&session.id()).await.unwrap_err();
    assert!(error.to_string().contains("do all nodes run the moving store?"), "{error}");
    assert_eq!(bed.new.count(NOW).await.unwrap().sessions, 0, "no ticket is left");
}

/// Nor does such a node take for a session what is on its way.
#[tokio::test]
async fn a_node_without_the_moving_store_leaves_a_claimed_session_alone() {
    let bed = Bed::new();
    let node = SessionManager::new(Arc::clone(&bed.old), Policy::standard());
    let request = RequestSession::new(node.clone(), PresentedCookie::Nothing);
    request.session().await.unwrap().login(Login::new(alice())).unwrap();
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    let cookie = headers.set_cookie.unwrap().expose().split(';').next().unwrap().to_owned();
    let id = bed.old.list_by_user(&alice(), Timestamp::EPOCH).await.unwrap().ids()[0];

    let (mover, _) = bed.cut_after(3, true);
    assert!(mover.move_session(&id).await.is_err());
    let request = RequestSession::new(node.clone(), node.read_cookie([cookie.as_bytes()]));
    let error = request.session().await.unwrap_err();
    assert!(matches!(&error, Error::Store(error) if error.kind() == StoreErrorKind::Unavailable), "{error}");
    assert!(request.finish().await.1.set_cookie.is_none(), "the cookie stays");

    let moving = SessionManager::new(bed.node(), Policy::standard());
    let request = RequestSession::new(moving.clone(), moving.read_cookie([cookie.as_bytes()]));
    assert_eq!(request.session().await.unwrap().user(), Some(alice()));
}

/// Sessions of a newer version stay in the old store, count there, and end with the others.
#[tokio::test]
async fn what_cannot_be_read_stays_and_counts() {
    let limit = |max, at_limit| SessionLimit { max: NonZeroU32::new(max).unwrap(), at_limit };
    let bed = Bed::new();
    let newer = bed.seed(session().device(Device::new().with_label("newer"))).await;
    let readable = bed.seed(session()).await;
    let old = || Flawed { store: Arc::clone(&bed.old), flaw: Flaw::Newer, answers: None };
    let node = MovingStore::new(old(), Arc::clone(&bed.new));
    let done = node.move_all(PAGE, &ManualClock::new(NOW), |_| ControlFlow::Continue(())).await.unwrap();
    assert_eq!((done.moved, done.unreadable), (1, 1));
    assert_eq!(node.load(&newer.id(), Freshness::Latest).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    let listing = node.list_by_user(&alice(), NOW).await.unwrap();
    assert_eq!((listing.sessions.len(), listing.unreadable), (1, vec![newer.id()]));

    let third = session().build().unwrap();
    let login =
        async |max, at_limit| node.create(CreateRequest::new(&third).within(limit(max, at_limit)), NOW).await.unwrap();
    assert_eq!(login(2, LimitPolicy::Reject).await, CreateOutcome::LimitReached, "one is readable, one is not");
    assert_eq!(login(1, LimitPolicy::Reject).await, CreateOutcome::LimitReached);
    assert!(load(&*bed.old, newer.id()).await.is_some(), "as it was");
    let evicted = CreateOutcome::Created { evicted: vec![readable.id()] };
    assert_eq!(login(2, LimitPolicy::EvictOldest).await, evicted);

    let ended = node.delete_by_user(&alice(), Some(&third.id()), NOW).await.unwrap();
    assert_eq!(ended.unreadable, [newer.id()]);
    assert!(load(&*bed.old, newer.id()).await.is_none());
    let again = bed.seed(session().device(Device::new().with_label("newer"))).await;
    assert_eq!(node.delete(&again.id(), Some(&alice())).await.unwrap(), DeleteOutcome::Deleted);
    let again = bed.seed(session().device(Device::new().with_label("newer"))).await;
    let fourth = session().build().unwrap();
    let request = CreateRequest::new(&fourth).within(limit(1, LimitPolicy::EvictOldest));
    assert_eq!(
        node.create(request, NOW).await.unwrap(),
        CreateOutcome::Created { evicted: vec![third.id(), again.id()] }
    );
    assert!(load(&*bed.old, again.id()).await.is_none(), "there is one place");
}
