//! What binds a session to a key of the device: kept beside all else, and lost by nothing but another login.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use bytes::Bytes;
use session_conformance::ReferenceStore;
use session_core::adapter::PresentedCookie;
use session_core::{Error, Key, Login, PresentedToken, Session, SessionManager, UserId};

const VISITS: Key<u32> = Key::new("visits");

fn manager() -> SessionManager {
    SessionManager::builder(Arc::new(ReferenceStore::new())).build()
}

fn login() -> Login {
    Login::new(UserId::new("alice").unwrap())
}

/// Adds a byte to what was there.
fn bind(session: &Session, byte: u8) -> Result<(), Error> {
    session.rebind(move |before| Some([before.unwrap_or_default(), &[byte]].concat().into()))
}

fn bound(bytes: &'static [u8]) -> Option<Bytes> {
    Some(Bytes::from_static(bytes))
}

/// A session that is bound, and the cookie that opens it.
async fn logged_in(manager: &SessionManager) -> (Session, impl Fn() -> PresentedCookie) {
    let request = session_core::adapter::RequestSession::new(manager.clone(), PresentedCookie::Nothing);
    let session = request.session().await.unwrap().clone();
    session.login(login()).unwrap();
    bind(&session, 1).unwrap();
    assert_eq!(session.binding(), bound(&[1]), "in the request itself");
    let (committed, headers) = request.finish().await;
    committed.unwrap();
    let cookie = headers.set_cookie.unwrap().expose().to_owned();
    let token = cookie.split_once('=').unwrap().1.split(';').next().unwrap().to_owned();
    (session, move || PresentedCookie::Token(PresentedToken::parse(token.as_bytes()).unwrap()))
}

#[tokio::test]
async fn it_is_of_a_user_and_ends_with_the_session() {
    let manager = manager();
    let visitor = manager.open(&PresentedCookie::Nothing).await.unwrap();
    assert!(matches!(bind(&visitor, 1), Err(Error::NotAuthenticated)));
    let (_, cookie) = logged_in(&manager).await;
    let session = manager.open(&cookie()).await.unwrap();
    assert_eq!(session.binding(), bound(&[1]));
    // Another token, the same session.
    session.regenerate().unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(session.binding(), bound(&[1]));
    // Another session.
    session.login(login()).unwrap();
    assert_eq!(session.binding(), None);
    bind(&session, 2).unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(session.binding(), bound(&[2]));
    session.logout().unwrap();
    assert_eq!(session.binding(), None);
}

#[tokio::test]
async fn nothing_is_lost_beside_other_writes() {
    let manager = manager();
    let (_, cookie) = logged_in(&manager).await;
    let [one, other, third] = [
        manager.open(&cookie()).await.unwrap(),
        manager.open(&cookie()).await.unwrap(),
        manager.open(&cookie()).await.unwrap(),
    ];
    bind(&one, 2).unwrap();
    other.update(VISITS, |visits| *visits += 1).unwrap();
    bind(&third, 3).unwrap();
    let (a, b, c) = tokio::join!(manager.commit(&one), manager.commit(&other), manager.commit(&third));
    let _ = [a, b, c].map(Result::unwrap);
    let session = manager.open(&cookie()).await.unwrap();
    let binding = session.binding().unwrap();
    assert!(*binding == [1, 2, 3] || *binding == [1, 3, 2], "{binding:?}");
    assert_eq!(session.get(VISITS).unwrap(), Some(1));
    // And none at all, once more.
    session.rebind(|_| None).unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(manager.open(&cookie()).await.unwrap().binding(), None);
}
