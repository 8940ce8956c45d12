//! Signing in and out, in one tab and in two, and over a restart of the browser.

use session_testbed::browser::Chromium;

use crate::bed::{LASTING, Remember, SHOP, bed, count_of, keep, sign_in, user_of};

const SIGN_OUT: &str = "[action='/logout'] button";
const COUNT: &str = "[action='/count'] button";

#[tokio::test]
async fn signing_in_and_out() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    tab.open(SHOP).await.unwrap();
    assert_eq!(user_of(&tab).await, None);
    assert_eq!(person.cookies().await.unwrap(), [], "looking at a page creates no session");
    tab.fill("[name=username]", "alice").await.unwrap();
    tab.fill("[name=password]", "wrong").await.unwrap();
    tab.click("[action='/login'] button").await.unwrap();
    assert!(tab.text().await.unwrap().contains("The name or the password is wrong."));
    let typed = "[document.querySelector('[name=username]').value, document.activeElement.name]";
    assert_eq!(tab.evaluate(typed).await.unwrap(), serde_json::json!(["alice", "password"]));
    tab.reload().await.unwrap();
    assert_eq!((tab.status().await.unwrap(), tab.url().await.unwrap()), (200, format!("{SHOP}/?failed")));
    keep(&tab, "sign-in-wrong").await;

    sign_in(&tab, SHOP, "alice", Remember::No).await;
    assert_eq!(tab.url().await.unwrap(), format!("{SHOP}/?welcome"));
    assert!(!tab.text().await.unwrap().contains("did not keep the cookie"));
    keep(&tab, "signed-in").await;

    tab.click(SIGN_OUT).await.unwrap();
    assert_eq!(user_of(&tab).await, None);
    assert_eq!(person.cookies().await.unwrap(), []);
    keep(&tab, "signed-out").await;
}

#[tokio::test]
async fn two_tabs_share_a_session_and_lose_no_click() {
    let person = bed().await.person().await;
    let (one, two) = (person.page().await.unwrap(), person.page().await.unwrap());
    two.open(SHOP).await.unwrap();
    sign_in(&one, SHOP, "alice", Remember::No).await;
    assert_eq!(user_of(&two).await, None, "it shows what it showed");
    two.reload().await.unwrap();
    assert_eq!(user_of(&two).await.as_deref(), Some("alice"));

    one.click(COUNT).await.unwrap();
    assert_eq!((count_of(&one).await, count_of(&two).await), ("1".to_owned(), "0".to_owned()));
    for _ in 0..5 {
        tokio::try_join!(one.click(COUNT), two.click(COUNT)).unwrap();
    }
    for tab in [&one, &two] {
        tab.open(SHOP).await.unwrap();
        assert_eq!(count_of(tab).await, "11");
    }
    keep(&two, "two-tabs").await;

    assert_eq!([one.problems(), two.problems()].concat(), [] as [String; 0]);

    one.click(SIGN_OUT).await.unwrap();
    two.click(COUNT).await.unwrap();
    assert_eq!(user_of(&two).await, None, "signed out in one tab is signed out in the other");
}

/// Both in one browser: a cookie is for one host.
#[tokio::test]
async fn only_who_asked_to_stay_signed_in_is_after_a_restart_of_the_browser() {
    const REMEMBERED: &str = "https://as-sent.example.test";
    let chromium = Chromium::launch(&bed().await.nginx.chromium_flags()).await.unwrap();
    let (person, tab) = (chromium.profile(), chromium.profile().page().await.unwrap());
    sign_in(&tab, SHOP, "bob", Remember::No).await;
    sign_in(&tab, REMEMBERED, "bob", Remember::Yes).await;
    assert_eq!(person.cookies().await.unwrap().len(), 2);

    chromium.restart().await.unwrap();
    let tab = person.page().await.unwrap();
    tab.open(REMEMBERED).await.unwrap();
    assert_eq!(user_of(&tab).await.as_deref(), Some("bob"));
    keep(&tab, "restarted-remembered").await;
    tab.open(SHOP).await.unwrap();
    assert_eq!(user_of(&tab).await, None);
    keep(&tab, "restarted-not-remembered").await;
    let cookies = person.cookies().await.unwrap();
    assert_eq!(cookies.iter().map(|cookie| &*cookie.domain).collect::<Vec<_>>(), ["as-sent.example.test"]);
}

/// A new version of the site is deployed while people look at its pages.
#[tokio::test]
async fn a_restart_of_the_site_signs_nobody_out() {
    let bed = bed().await;
    let (alice, visitor) = (bed.person().await, bed.person().await);
    let (tab, other) = (alice.page().await.unwrap(), visitor.page().await.unwrap());
    sign_in(&tab, LASTING, "alice", Remember::No).await;
    tab.click(COUNT).await.unwrap();
    other.open(LASTING).await.unwrap();
    other.click(COUNT).await.unwrap();
    let before = bed.lasting.pid().await.unwrap();
    bed.lasting.stop().await.unwrap();
    bed.lasting.start().await.unwrap();
    assert_ne!(bed.lasting.pid().await.unwrap(), before);

    // The next thing that they do on the page from before.
    for page in [&tab, &other] {
        page.click(COUNT).await.unwrap();
        assert_eq!(count_of(page).await, "2");
    }
    assert_eq!(user_of(&tab).await.as_deref(), Some("alice"));
    keep(&tab, "site-restarted").await;
    assert_eq!([tab.problems(), other.problems()].concat(), [] as [String; 0]);
}

/// The page would be in Chromium's memory of pages to go back to, or in its cache.
#[tokio::test]
async fn going_back_after_signing_out_shows_nothing_private() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    for (path, private) in [("/devices", "This device"), ("/sensitive", "1234-5678"), ("/", "Signed in as alice")] {
        sign_in(&tab, SHOP, "alice", Remember::No).await;
        tab.open(&format!("{SHOP}{path}")).await.unwrap();
        assert!(tab.text().await.unwrap().contains(private));
        tab.open(&format!("{SHOP}/kinds")).await.unwrap();
        tab.back().await.unwrap();
        assert!(tab.text().await.unwrap().contains(private), "still signed in");

        tab.click(SIGN_OUT).await.unwrap();
        tab.back().await.unwrap();
        keep(&tab, &format!("back-after-sign-out{}", path.replace('/', "-"))).await;
        let text = tab.text().await.unwrap();
        assert!(!text.contains(private), "{path}: {text}");
        assert_eq!(user_of(&tab).await, None, "{path}");
    }
}
