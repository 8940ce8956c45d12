//! Sessions that are bound to devices (DBSC), in a Chromium that does it by itself.

use std::time::{Duration, Instant};

use session_testbed::browser::{Chromium, Context, Cookie};

use crate::bed::{BOUND, OTHER, Remember, SIBLING, bed, link_from, sign_in, sign_in_here, user_of};
use crate::looks::see;

const COOKIE: &str = "__Host-bound";
const PATIENCE: Duration = Duration::from_secs(20);

async fn bound_cookie(person: &Context) -> Option<Cookie> {
    person.cookies().await.unwrap().into_iter().find(|cookie| cookie.name == COOKIE)
}

/// The bound cookie, when it is another than the one `before`. The browser registers its key when it has the answer to the login,
/// and shows the page meanwhile.
async fn registered(person: &Context, before: &str) -> Cookie {
    let start = Instant::now();
    loop {
        match bound_cookie(person).await {
            Some(cookie) if cookie.value != before => return cookie,
            Some(_) | None => assert!(start.elapsed() < PATIENCE, "the browser registers no key"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_browser_binds_its_session_and_renews_the_cookie_when_it_has_expired() {
    let person = bed().await.person().await;
    let (one, two) = (person.page().await.unwrap(), person.page().await.unwrap());
    sign_in(&one, BOUND, "alice", Remember::No).await;
    let mut cookie = registered(&person, "").await;
    let Cookie { secure, http_only, session, ref same_site, .. } = cookie;
    assert_eq!((secure, http_only, session, same_site.as_deref()), (true, true, false, Some("Lax")));
    let devices = format!("{BOUND}/devices");
    one.open(&devices).await.unwrap();
    assert!(one.text().await.unwrap().contains("Bound to this device."));

    // Chromium signs six times in nine minutes for a site, and no more.
    for _ in 0..2 {
        let before = cookie.value.clone();
        person.set_cookies(&[Cookie { expires: 1.0, ..cookie }]).await.unwrap();
        assert_eq!(bound_cookie(&person).await, None);
        // Both wait for the renewal.
        tokio::try_join!(one.open(&devices), two.open(BOUND)).unwrap();
        for tab in [&one, &two] {
            assert_eq!(user_of(tab).await.as_deref(), Some("alice"));
        }
        cookie = registered(&person, &before).await;
    }
    one.open(&format!("{BOUND}/sensitive")).await.unwrap();
    assert_eq!(one.status().await.unwrap(), 200);
    one.open(&devices).await.unwrap();
    assert!(one.text().await.unwrap().contains("Bound to its device"), "in the list, too");
    see(&one, "devices-bound").await;
    assert_eq!([one.problems(), two.problems()].concat(), [] as [String; 0]);

    // Signed out, and in again: another session, with another key. What is left of the one before is worth nothing, and goes when
    // the browser asks for a renewal.
    two.open(BOUND).await.unwrap();
    two.click("[action='/logout'] button").await.unwrap();
    assert_eq!(user_of(&two).await, None);
    sign_in(&two, BOUND, "alice", Remember::No).await;
    let before = cookie.value;
    cookie = registered(&person, &before).await;
    person.set_cookies(&[Cookie { expires: 1.0, ..cookie }]).await.unwrap();
    two.open(&devices).await.unwrap();
    assert!(two.text().await.unwrap().contains("Bound to this device."));
    assert_eq!([one.problems(), two.problems()].concat(), [] as [String; 0]);
}

#[tokio::test]
async fn a_copied_cookie_is_refused_and_harms_nobody() {
    let (owner, thief) = (bed().await.person().await, bed().await.person().await);
    let (tab, other) = (owner.page().await.unwrap(), thief.page().await.unwrap());
    sign_in(&tab, BOUND, "bob", Remember::No).await;
    registered(&owner, "").await;
    tab.reload().await.unwrap();
    let cookies = owner.cookies().await.unwrap();
    thief.set_cookies(&cookies).await.unwrap();
    thief.set_cookies(&[Cookie { expires: 1.0, ..bound_cookie(&thief).await.unwrap() }]).await.unwrap();
    for path in ["/devices", "/sensitive", "/"] {
        other.open(&format!("{BOUND}{path}")).await.unwrap();
        assert_eq!(other.status().await.unwrap(), 401, "{path}");
    }
    see(&other, "not-this-device").await;
    tab.reload().await.unwrap();
    assert_eq!(user_of(&tab).await.as_deref(), Some("bob"));

    // It might be bob, whose browser has lost the key.
    sign_in_here(&other, "bob", Remember::No).await;
    registered(&thief, "").await;
    other.open(&format!("{BOUND}/devices")).await.unwrap();
    assert!(other.text().await.unwrap().contains("Bound to this device."));
}

/// Chromium does not renew for what another site began.
#[tokio::test]
async fn a_link_on_another_site_leads_to_the_page_when_the_cookie_has_expired() {
    for from in [OTHER, SIBLING] {
        let person = bed().await.person().await;
        let tab = person.page().await.unwrap();
        sign_in(&tab, BOUND, "carol", Remember::No).await;
        let cookie = registered(&person, "").await;
        let devices = format!("{BOUND}/devices");
        tab.open(&devices).await.unwrap();
        let before = cookie.value.clone();
        person.set_cookies(&[Cookie { expires: 1.0, ..cookie }]).await.unwrap();
        link_from(&tab, from, &devices).await;
        registered(&person, &before).await;
        tab.open(&devices).await.unwrap();
        assert!(tab.text().await.unwrap().contains("Bound to this device."), "{from}");
    }
}

#[tokio::test]
async fn a_browser_that_does_not_know_it_sees_nothing_of_it() {
    let chromium = Chromium::launch(&bed().await.nginx.chromium_flags()).await.unwrap();
    let (person, tab) = (chromium.profile(), chromium.profile().page().await.unwrap());
    sign_in(&tab, BOUND, "carol", Remember::No).await;
    tab.open(&format!("{BOUND}/devices")).await.unwrap();
    assert!(tab.text().await.unwrap().contains("Not bound."));
    see(&tab, "devices-not-bound").await;
    let names: Vec<String> = person.cookies().await.unwrap().into_iter().map(|cookie| cookie.name).collect();
    assert_eq!(names, ["__Host-id"]);
    assert_eq!(tab.problems(), [] as [String; 0]);
}
