//! An application in frames of other sites: `SameSite::Embedded`, as `--embedded-by` chooses it.

use serde_json::Value;
use session_testbed::browser::{Context, Cookie, Page};

use crate::bed::{
    BLANK, EMBEDDED, OTHER, Remember, SIBLING, THIRD, bed, count_of, embed, keep, sign_in, sign_in_here, user_of,
};

const COUNT: &str = "[action='/count'] button";

/// The application in a frame of `site`, as after a visit of that site.
async fn visit(tab: &Page, site: &str) -> Page {
    embed(tab, site, EMBEDDED).await;
    tab.frame().await.unwrap()
}

/// Who is signed in, and the counter.
async fn state(page: &Page) -> (Option<String>, String) {
    (user_of(page).await, count_of(page).await)
}

fn of(user: &str, count: &str) -> (Option<String>, String) {
    (Some(user.to_owned()), count.to_owned())
}

/// The site that a cookie is partitioned by.
fn partition(cookie: &Cookie) -> &str {
    cookie.partition_key.as_ref().and_then(|key| key["topLevelSite"].as_str()).unwrap_or_default()
}

async fn partitions(person: &Context) -> Vec<String> {
    let cookies = person.cookies().await.unwrap();
    let mut sites: Vec<String> = cookies.iter().map(|cookie| partition(cookie).to_owned()).collect();
    sites.sort();
    sites
}

#[tokio::test]
async fn a_login_in_a_frame_lasts_and_is_one_session() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    let frame = visit(&tab, OTHER).await;
    assert_eq!(user_of(&frame).await, None);
    assert_eq!(person.cookies().await.unwrap(), [], "looking at a page creates no session");
    frame.click(COUNT).await.unwrap();
    sign_in_here(&frame, "alice", Remember::No).await;
    frame.click(COUNT).await.unwrap();
    assert_eq!(state(&frame).await, of("alice", "2"), "the counter survives the login");
    frame.click("header a").await.unwrap();
    assert_eq!(state(&frame).await, of("alice", "2"), "the next page in the frame");
    for _ in 0..2 {
        assert_eq!(state(&visit(&tab, OTHER).await).await, of("alice", "2"), "the next visit");
    }
    let frame = visit(&tab, OTHER).await;
    keep(&tab, "embedded-signed-in").await;

    let cookies = person.cookies().await.unwrap();
    let [cookie] = &*cookies else { panic!("{cookies:?}") };
    assert_eq!((&*cookie.name, &*cookie.domain, &*cookie.path), ("__Host-embedded", "embedded.example.test", "/"));
    assert_eq!((cookie.secure, cookie.http_only, cookie.same_site.as_deref()), (true, true, Some("None")));
    assert_eq!(partition(cookie), OTHER);
    frame.click("header [href='/devices']").await.unwrap();
    let devices = frame.evaluate("document.querySelectorAll('[action=\"/devices/revoke\"]').length").await.unwrap();
    assert_eq!(devices, 1, "no visit has left a session behind");
    assert_eq!(frame.problems(), [] as [String; 0]);
}

#[tokio::test]
async fn each_site_that_embeds_it_has_a_session_of_its_own_and_so_has_its_own_address() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in_here(&visit(&tab, OTHER).await, "bob", Remember::No).await;

    let third = visit(&tab, THIRD).await;
    assert_eq!(user_of(&third).await, None, "signed in inside another site");
    sign_in_here(&third, "carol", Remember::No).await;
    tab.open(EMBEDDED).await.unwrap();
    assert_eq!(user_of(&tab).await, None, "signed in inside other sites");
    sign_in(&tab, EMBEDDED, "carol", Remember::No).await;
    keep(&tab, "embedded-at-its-own-address").await;
    assert_eq!(partitions(&person).await, ["https://example.test", OTHER, THIRD]);

    // Signed out in one, and nowhere else.
    let third = visit(&tab, THIRD).await;
    assert_eq!(user_of(&third).await.as_deref(), Some("carol"));
    third.click("[action='/logout'] button").await.unwrap();
    assert_eq!(user_of(&third).await, None);
    assert_eq!(partitions(&person).await, ["https://example.test", OTHER]);
    assert_eq!(user_of(&visit(&tab, OTHER).await).await.as_deref(), Some("bob"));
    tab.open(EMBEDDED).await.unwrap();
    assert_eq!(user_of(&tab).await.as_deref(), Some("carol"));
}

/// The browser sends the cookie with every request that the embedding site makes: only the guard stops a forged one.
#[tokio::test]
async fn the_site_that_embeds_it_cannot_act_for_the_user() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    let frame = visit(&tab, OTHER).await;
    sign_in_here(&frame, "bob", Remember::No).await;
    frame.click(COUNT).await.unwrap();
    let before = person.cookies().await.unwrap();

    tab.open(&format!("{OTHER}{BLANK}")).await.unwrap();
    for path in ["/count", "/logout", "/devices/revoke-all", "/api/counter/counter"] {
        let how = "{ method: 'POST', mode: 'no-cors', credentials: 'include' }";
        let sent = tab.evaluate(&format!("fetch('{EMBEDDED}{path}', {how}).then(answer => answer.type)")).await;
        assert_eq!(sent.unwrap(), Value::from("opaque"), "{path}");
    }
    assert_eq!(person.cookies().await.unwrap(), before);
    assert_eq!(state(&visit(&tab, OTHER).await).await, of("bob", "1"));
}

#[tokio::test]
async fn sites_that_are_not_named_cannot_embed_it() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    embed(&tab, SIBLING, EMBEDDED).await;
    let problems = tab.problems();
    assert!(problems.iter().any(|problem| problem.contains("frame-ancestors")), "{problems:?}");
}
