//! Values, the pages of administrators, and those of errors.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use session_kit::adapter::{PresentedCookie, RequestSession};
use session_kit::{Key, Policy, testing};

use super::{Down, alice, cookie_of, sessions, sessions_with};
use crate::browser::{Browser, header_of, text};
use crate::example::{admin, errors, flash};

#[tokio::test]
async fn flash_is_shown_once_and_values_stay() {
    let (sessions, _) = sessions(Policy::standard());
    let site = flash::app(sessions);
    let (mut one, mut two) = (Browser::new(&site, "one"), Browser::new(&site, "two"));
    let answer = one.answer("POST", "/", "language=de&page_size=20").await;
    assert_eq!((answer.status(), header_of(&answer, "location")), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(one.get("/").await.1, "Your settings are saved. Language: de, 20 a page");
    assert_eq!(one.get("/").await.1, "Language: de, 20 a page");
    one.send("POST", "/", "language=de&page_size=20").await;
    assert_eq!(one.get("/").await.1, "There was nothing to save. Language: de, 20 a page");
    assert_eq!(two.get("/").await.1, "Language: , 0 a page");
    assert_eq!(two.cookie, None, "a visitor who saved nothing has no session");
}

#[tokio::test]
async fn flash_reads_values_of_an_older_version() {
    let (sessions, _) = sessions(Policy::standard());
    let request = RequestSession::new(sessions.clone(), PresentedCookie::Nothing);
    let session = request.session().await.unwrap();
    session.insert(Key::new("settings"), &serde_json::json!({ "language": "de" })).unwrap();
    let cookie = request.finish().await.1.set_cookie.unwrap();
    let cookie = cookie.expose().split(';').next().unwrap().to_owned();
    let mut browser = Browser::with_cookie(&flash::app(sessions), cookie);
    assert_eq!(browser.get("/").await.1, "Language: de, 0 a page");
}

#[tokio::test]
async fn admin_sees_and_ends_sessions_and_others_do_not() {
    let (sessions, clock) = sessions(Policy::standard());
    let site = admin::app(sessions.clone());
    let mut root = Browser::with_cookie(&site, cookie_of(&sessions, "root").await);
    let mut user = Browser::with_cookie(&site, cookie_of(&sessions, "alice").await);
    cookie_of(&sessions, "alice").await;
    assert_eq!(Browser::new(&site, "visitor").get("/sessions").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(user.get("/sessions").await, (StatusCode::FORBIDDEN, r#"{"error":"forbidden"}"#.to_owned()));
    assert_eq!(user.send("POST", "/sessions", "user=root").await.0, StatusCode::FORBIDDEN);
    let list = root.get("/sessions").await.1;
    assert!(list.starts_with("3 sessions\n") && list.matches(" alice, seen 2026-01-01T").count() == 2, "{list}");

    let one = sessions.list(&alice()).await.unwrap()[0].id;
    assert_eq!(root.send("POST", "/sessions", &format!("user=alice&session={one}")).await.0, StatusCode::SEE_OTHER);
    assert_eq!(sessions.list(&alice()).await.unwrap().len(), 1);
    clock.advance(Duration::from_secs(5 * 60));
    let late = root.send("POST", "/sessions", "user=alice").await;
    assert_eq!(late, (StatusCode::FORBIDDEN, r#"{"error":"reauthentication_required"}"#.to_owned()));
    assert_eq!(sessions.list(&alice()).await.unwrap().len(), 1);
    let mut root = Browser::with_cookie(&site, cookie_of(&sessions, "root").await);
    root.send("POST", "/sessions", "user=alice").await;
    assert_eq!(user.get("/sessions").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn admin_ends_the_session_of_a_visitor() {
    const CART: Key<u32> = Key::new("cart");
    let (sessions, _) = sessions(Policy::standard());
    testing::begin(&sessions, |session| session.insert(CART, &1)).await.unwrap();
    let mut root = Browser::with_cookie(&admin::app(sessions.clone()), cookie_of(&sessions, "root").await);
    let list = root.get("/sessions").await.1;
    let visitor = list.lines().find_map(|line| line.split_once(" a visitor, seen ")).unwrap().0;
    // Not by way of a user, nor without saying whose.
    root.send("POST", "/sessions", &format!("user=alice&session={visitor}")).await;
    root.send("POST", "/sessions", "").await;
    assert_eq!(sessions.count().await.unwrap().sessions, 2);
    assert_eq!(root.send("POST", "/sessions", &format!("session={visitor}")).await.0, StatusCode::SEE_OTHER);
    assert_eq!(sessions.count().await.unwrap().sessions, 1);
    assert_eq!(root.send("POST", "/sessions", "user=").await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn admin_pages_have_an_end() {
    let (sessions, _) = sessions(Policy::standard());
    for number in 0..250 {
        cookie_of(&sessions, &format!("user{number}")).await;
    }
    let mut root = Browser::with_cookie(&admin::app(sessions.clone()), cookie_of(&sessions, "root").await);
    let (mut path, mut seen) = ("/sessions".to_owned(), 0);
    loop {
        let page = root.get(&path).await.1;
        seen += page.matches(", seen ").count();
        let Some((_, next)) = page.split_once("next: ") else { break };
        path = format!("/sessions{}", next.trim());
    }
    assert_eq!(seen, 251);
    assert_eq!(root.get("/sessions?after=nonsense").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn errors_are_pages_for_people_and_codes_for_scripts() {
    let down = Down::default();
    let sessions = sessions_with(down.clone());
    let site = errors::app(sessions.clone());
    let mut visitor = Browser::new(&site, "visitor");
    let answer = visitor.answer("GET", "/account", "").await;
    assert_eq!(
        (answer.status(), header_of(&answer, "content-type")),
        (StatusCode::UNAUTHORIZED, "text/html; charset=utf-8")
    );
    assert!(text(answer.body()).contains("Please log in"));
    let script = visitor.get("/api/account").await;
    assert_eq!(script, (StatusCode::UNAUTHORIZED, r#"{"error":"unauthenticated"}"#.to_owned()));
    let (status, page) = visitor.get("/nowhere").await;
    assert!(status == StatusCode::NOT_FOUND && page.contains("Nothing here"), "{page}");

    let forged =
        Request::post("/account").header("sec-fetch-site", "cross-site").header("origin", "https://evil.example");
    let answer = visitor.exchange(forged.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(text(answer.body()).contains("Another site"));

    let mut user = Browser::with_cookie(&site, cookie_of(&sessions, "alice").await);
    down.0.store(true, Ordering::SeqCst);
    let answer = user.answer("GET", "/account", "").await;
    assert_eq!((answer.status(), header_of(&answer, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "5"));
    assert!(text(answer.body()).contains("One moment"));
    assert_eq!(header_of(&answer, "set-cookie"), "");
    down.0.store(false, Ordering::SeqCst);
    assert_eq!(user.get("/account").await.1, "alice");
}
