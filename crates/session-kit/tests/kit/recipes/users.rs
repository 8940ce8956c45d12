//! Logins, accounts, passwords.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use session_kit::{Device, Login, Policy, SessionManager, testing};
use tokio::sync::RwLock;

use super::{alice, cookie_of, sessions};
use crate::browser::{Browser, header_of};
use crate::example::login::{Accounts, hash};
use crate::example::{current_user, devices, login, next, password, remember};

const OK: StatusCode = StatusCode::OK;
const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;

fn accounts() -> Accounts {
    Arc::new(RwLock::new([(alice(), hash("correct-horse").unwrap())].into()))
}

/// The pages of login, account and password, of one site.
fn site(sessions: &SessionManager, accounts: &Accounts) -> Router {
    let login = login::app(sessions.clone(), Arc::clone(accounts));
    let account = current_user::app(sessions.clone(), Arc::clone(accounts));
    login.merge(account).merge(password::app(sessions.clone(), Arc::clone(accounts)))
}

#[tokio::test]
async fn login_begins_a_session_and_logout_ends_it() {
    let (sessions, _) = sessions(Policy::standard());
    let mut browser = Browser::new(&site(&sessions, &accounts()), "browser");
    for wrong in ["name=alice&password=wrong", "name=bob&password=correct-horse", "name=&password=correct-horse"] {
        assert_eq!(browser.send("POST", "/login", wrong).await, (UNAUTHORIZED, "wrong name or password".to_owned()));
    }
    assert_eq!(browser.get("/account").await.0, UNAUTHORIZED);
    let right = "name=alice&password=correct-horse";
    assert_eq!(browser.send("POST", "/login", right).await.0, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/account").await.1, "alice, logged in at 2026-01-01T00:00:00.000Z");
    let stolen = browser.clone();
    assert_eq!(browser.send("POST", "/logout", "").await.0, StatusCode::SEE_OTHER);
    assert_eq!(stolen.clone().get("/account").await.0, UNAUTHORIZED);
}

#[tokio::test]
async fn login_takes_as_long_for_a_name_that_nobody_has() {
    let (sessions, _) = sessions(Policy::standard());
    let mut browser = Browser::new(&site(&sessions, &accounts()), "browser");
    // What is measured can only be too long.
    let mut shortest = async |body: &str| {
        let mut shortest = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            assert_eq!(browser.send("POST", "/login", body).await.0, UNAUTHORIZED);
            shortest = shortest.min(start.elapsed());
        }
        shortest
    };
    let known = shortest("name=alice&password=wrong").await;
    // Without a hash, it would be a hundredth.
    for nobody in ["name=bob&password=wrong", "name=&password=wrong"] {
        let unknown = shortest(nobody).await;
        assert!(unknown * 5 > known, "{nobody}: {unknown:?}, {known:?}");
    }
}

#[tokio::test]
async fn login_lets_other_requests_pass_while_it_computes() {
    let (sessions, _) = sessions(Policy::standard());
    let site = site(&sessions, &accounts()).route("/ping", get(async || "pong"));
    let (mut one, mut two) = (Browser::new(&site, "one"), Browser::new(&site, "two"));
    let order = std::sync::Mutex::new(Vec::new());
    // On one thread: who blocks it is answered first.
    let login = async {
        one.send("POST", "/login", "name=alice&password=correct-horse").await;
        order.lock().unwrap().push("login");
    };
    let ping = async {
        two.get("/ping").await;
        order.lock().unwrap().push("ping");
    };
    tokio::join!(login, ping);
    assert_eq!(order.into_inner().unwrap(), ["ping", "login"]);
}

#[tokio::test]
async fn current_user_is_out_when_the_account_has_other_credentials_or_is_gone() {
    let (sessions, _) = sessions(Policy::standard());
    for change in [Some(hash("another").unwrap()), None] {
        let accounts = accounts();
        let mut browser = Browser::new(&site(&sessions, &accounts), "browser");
        browser.send("POST", "/login", "name=alice&password=correct-horse").await;
        assert_eq!(browser.get("/account").await.0, OK);
        // By an administrator, by a statement: no code of sessions hears of it.
        match change {
            Some(hash) => drop(accounts.write().await.insert(alice(), hash)),
            None => drop(accounts.write().await.remove(&alice())),
        }
        let answer = browser.answer("GET", "/account", "").await;
        assert_eq!(answer.status(), UNAUTHORIZED);
        assert!(header_of(&answer, "set-cookie").contains("Max-Age=0"), "{answer:?}");
        assert!(sessions.list(&alice()).await.unwrap().is_empty(), "it has ended, not only been refused");
    }
}

#[tokio::test]
async fn current_user_is_out_if_the_login_said_no_credentials() {
    let (sessions, _) = sessions(Policy::standard());
    let site = site(&sessions, &accounts());
    let cookie = testing::log_in(&sessions, Login::new(alice())).await.unwrap();
    assert_eq!(Browser::with_cookie(&site, cookie).get("/account").await.0, UNAUTHORIZED);
}

#[tokio::test]
async fn password_change_keeps_this_browser_and_ends_the_others() {
    let (sessions, _) = sessions(Policy::standard());
    let accounts = accounts();
    let site = site(&sessions, &accounts);
    let (mut phone, mut laptop) = (Browser::new(&site, "phone"), Browser::new(&site, "laptop"));
    for browser in [&mut phone, &mut laptop] {
        browser.send("POST", "/login", "name=alice&password=correct-horse").await;
    }
    let wrong = laptop.send("POST", "/password", "old=wrong&new=battery-staple").await;
    assert_eq!(wrong, (OK, "that is not your password".to_owned()));
    assert_eq!(phone.get("/account").await.0, OK, "nothing has changed");

    let copy = laptop.clone();
    let changed = laptop.send("POST", "/password", "old=correct-horse&new=battery-staple").await;
    assert_eq!(changed, (OK, "changed; 1 other sessions ended".to_owned()));
    assert_eq!(laptop.get("/account").await.0, OK);
    assert_eq!(phone.get("/account").await.0, UNAUTHORIZED);
    assert_eq!(copy.clone().get("/account").await.0, UNAUTHORIZED, "the token was replaced");
    assert_eq!(sessions.list(&alice()).await.unwrap().len(), 1);

    phone.send("POST", "/login", "name=alice&password=correct-horse").await;
    assert_eq!(phone.get("/account").await.0, UNAUTHORIZED);
    phone.send("POST", "/login", "name=alice&password=battery-staple").await;
    assert_eq!(phone.get("/account").await.0, OK);
}

#[tokio::test]
async fn password_change_also_ends_a_login_that_is_late() {
    let (sessions, _) = sessions(Policy::standard());
    let accounts = accounts();
    let site = site(&sessions, &accounts);
    let mut laptop = Browser::new(&site, "laptop");
    laptop.send("POST", "/login", "name=alice&password=correct-horse").await;
    let before = accounts.read().await.get(&alice()).cloned().unwrap();
    laptop.send("POST", "/password", "old=correct-horse&new=battery-staple").await;
    // It verified the password before the change, and begins after it.
    let late = testing::log_in(&sessions, Login::new(alice()).credentials(before)).await.unwrap();
    assert_eq!(Browser::with_cookie(&site, late).get("/account").await.0, UNAUTHORIZED);
    assert_eq!(laptop.get("/account").await.0, OK);
}

#[tokio::test]
async fn devices_are_listed_and_ended_one_by_one() {
    let (sessions, _) = sessions(Policy::standard());
    let site = devices::app(sessions.clone());
    let at = async |agent| {
        let login = Login::new(alice()).device(Device::new().with_user_agent(agent));
        Browser::with_cookie(&site, testing::log_in(&sessions, login).await.unwrap())
    };
    let (mut phone, mut laptop, mut tablet) = (at("phone").await, at("laptop").await, at("tablet").await);
    let list = laptop.get("/devices").await.1;
    let entry = |name: &str| list.lines().find(|line| line.contains(name)).unwrap();
    let id_of = |name: &str| format!("id={}", entry(name).split_once(' ').unwrap().0);
    assert_eq!(list.lines().count(), 3);
    assert!(entry("laptop").ends_with(", this device") && !entry("phone").contains("this"), "{list}");

    let mut stranger = Browser::with_cookie(&site, cookie_of(&sessions, "bob").await);
    assert_eq!(stranger.send("POST", "/devices", &id_of("phone")).await.0, StatusCode::SEE_OTHER);
    assert_eq!(phone.get("/devices").await.0, OK, "a stranger ends nothing");
    laptop.send("POST", "/devices", &id_of("phone")).await;
    assert_eq!(phone.get("/devices").await.0, UNAUTHORIZED);
    assert_eq!(tablet.get("/devices").await.0, OK);
    assert_eq!(laptop.send("POST", "/devices/end-others", "").await.1, "1 other devices are logged out");
    assert_eq!(tablet.get("/devices").await.0, UNAUTHORIZED);
    assert_eq!(laptop.get("/devices").await.0, OK);
    let answer = laptop.answer("POST", "/devices", &id_of("laptop")).await;
    assert!(header_of(&answer, "set-cookie").contains("Max-Age=0"), "{answer:?}");
}

#[tokio::test]
async fn devices_are_ended_together_and_the_cookie_goes() {
    let (sessions, _) = sessions(Policy::standard());
    let site = devices::app(sessions.clone());
    let mut phone = Browser::with_cookie(&site, cookie_of(&sessions, "alice").await);
    let mut laptop = Browser::with_cookie(&site, cookie_of(&sessions, "alice").await);
    let answer = laptop.answer("POST", "/devices/end-all", "").await;
    assert!(header_of(&answer, "set-cookie").contains("Max-Age=0"), "{answer:?}");
    assert_eq!(phone.get("/devices").await.0, UNAUTHORIZED);
    assert!(sessions.list(&alice()).await.unwrap().is_empty());
}

#[tokio::test]
async fn next_leads_to_the_login_and_back() {
    let (sessions, _) = sessions(Policy::standard());
    let mut browser = Browser::new(&next::app(sessions).unwrap(), "browser");
    let answer = browser.answer("GET", "/orders?page=2&q=a%26b", "").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let login = header_of(&answer, "location").to_owned();
    assert!(login.starts_with("/login?next="), "{login}");
    assert_eq!(browser.get(&login).await.0, OK);
    let answer = browser.answer("POST", &login, "name=alice").await;
    assert_eq!(header_of(&answer, "location"), "/orders?page=2&q=a%26b");
    assert_eq!(browser.get("/orders?page=2").await, (OK, "orders of alice".to_owned()));
}

#[tokio::test]
async fn next_is_never_another_site() {
    let (sessions, _) = sessions(Policy::standard());
    let mut browser = Browser::new(&next::app(sessions).unwrap(), "browser");
    for next in ["https://evil.example", "//evil.example", "/%5Cevil.example", "%2F%2Fevil.example", "javascript:x", ""]
    {
        let answer = browser.answer("POST", &format!("/login?next={next}"), "name=alice").await;
        assert_eq!((answer.status(), header_of(&answer, "location")), (StatusCode::SEE_OTHER, "/"), "{next}");
    }
    assert_eq!(header_of(&browser.answer("POST", "/login", "name=alice").await, "location"), "/");
}

#[tokio::test]
async fn next_does_not_redirect_a_form() {
    let (sessions, _) = sessions(Policy::standard());
    let answer = Browser::new(&next::app(sessions).unwrap(), "browser").answer("POST", "/orders", "item=1").await;
    assert_eq!((answer.status(), header_of(&answer, "location")), (UNAUTHORIZED, ""));
}

#[tokio::test]
async fn remember_me_outlives_the_browser_if_it_was_asked_for() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let (sessions, clock) = sessions(remember::policy().unwrap());
    let site = remember::app(sessions);
    let (mut home, mut library) = (Browser::new(&site, "home"), Browser::new(&site, "library"));
    let answer = home.answer("POST", "/login", "name=alice&remember=on").await;
    assert!(header_of(&answer, "set-cookie").contains("Max-Age=5184000"), "{answer:?}");
    let answer = library.answer("POST", "/login", "name=alice").await;
    assert!(!header_of(&answer, "set-cookie").contains("Max-Age"), "{answer:?}");
    assert_eq!(home.get("/").await.1, "until 2026-01-15T00:00:00.000Z, kept when the browser closes");
    assert_eq!(library.get("/").await.1, "until 2026-01-01T00:30:00.000Z, ends with the browser");

    clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(library.get("/").await.0, UNAUTHORIZED);
    // 13 days at most without a visit, and 60 in all.
    for _ in 0..4 {
        clock.advance(13 * DAY);
        assert_eq!(home.get("/").await.0, OK);
    }
    clock.advance(9 * DAY);
    assert_eq!(home.get("/").await.0, UNAUTHORIZED);
}
