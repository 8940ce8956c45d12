//! What the pages look like: wide and narrow, light and dark.

use std::collections::BTreeSet;

use session_testbed::browser::{Page, Scheme};

use crate::bed::{
    ADMIN, BLANK, CLIENT, HYBRID, OTHER, Remember, SHOP, STRICT, bed, link_from, sign_in, sign_in_here, submit_from,
};
use crate::look::{
    axe_problems, baseline, compared_looks, difference, focus_problems, freeze, is_accepting, layout_problems,
    load_axe, look, picture,
};

/// Every page, as a visitor and as a user sees it.
const LOOKS: [&str; 30] = [
    "admin",
    "admin-refused",
    "cookie-lost",
    "devices",
    "devices-bound",
    "devices-client",
    "devices-everywhere",
    "devices-not-bound",
    "devices-notice",
    "home",
    "home-client",
    "home-visitor",
    "home-visitor-client",
    "home-visitor-hybrid",
    "kinds",
    "kinds-visitor",
    "kinds-visitor-client",
    "kinds-visitor-hybrid",
    "not-found",
    "not-this-device",
    "password-again",
    "refused",
    "sensitive",
    "sign-in-next",
    "sign-in-wrong",
    "signed-out-everywhere",
    "strict-link",
    "timeline",
    "timeline-strict",
    "timeline-visitor",
];

pub(crate) async fn see(tab: &Page, name: &str) {
    assert!(LOOKS.contains(&name), "{name}");
    look(tab, name).await;
}

async fn look_at(tab: &Page, site: &str, pages: &[(&str, &str)]) {
    for (path, name) in pages {
        tab.open(&format!("{site}{path}")).await.unwrap();
        see(tab, name).await;
    }
}

#[tokio::test]
async fn pages_of_visitors_fit_and_are_legible() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    let pages =
        [("/", "home-visitor"), ("/?welcome", "cookie-lost"), ("/kinds", "kinds-visitor"), ("/none", "not-found")];
    look_at(&tab, SHOP, &pages).await;
    look_at(&tab, SHOP, &[("/timeline", "timeline-visitor"), ("/devices", "sign-in-next")]).await;
    tab.open(SHOP).await.unwrap();
    tab.fill("[name=username]", "carol").await.unwrap();
    tab.fill("[name=password]", "wrong").await.unwrap();
    tab.click("[action='/login'] button").await.unwrap();
    see(&tab, "sign-in-wrong").await;
    look_at(&tab, HYBRID, &[("/", "home-visitor-hybrid"), ("/kinds", "kinds-visitor-hybrid")]).await;
    look_at(&tab, CLIENT, &[("/", "home-visitor-client"), ("/kinds", "kinds-visitor-client")]).await;
}

#[tokio::test]
async fn pages_of_users_fit_and_are_legible() {
    let bed = bed().await;
    let (other, person) = (bed.person().await, bed.person().await);
    sign_in(&other.page().await.unwrap(), HYBRID, "carol", Remember::Yes).await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, HYBRID, "carol", Remember::No).await;
    tab.open(HYBRID).await.unwrap();
    for item in ["tea", "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen"] {
        tab.fill("[name=item]", item).await.unwrap();
        tab.click("[action='/cart/add'] button").await.unwrap();
    }
    let pages = [("/", "home"), ("/devices", "devices"), ("/kinds", "kinds"), ("/sensitive", "sensitive")];
    look_at(&tab, HYBRID, &pages).await;
    look_at(&tab, HYBRID, &[("/timeline", "timeline")]).await;
    tab.open(&format!("{HYBRID}/devices")).await.unwrap();
    tab.click("[action='/devices/revoke-others'] button").await.unwrap();
    see(&tab, "devices-notice").await;
    submit_from(&tab, HYBRID, "/reauthenticate", &[("password", "wrong")]).await;
    see(&tab, "password-again").await;
    submit_from(&tab, OTHER, &format!("{HYBRID}/logout"), &[]).await;
    see(&tab, "refused").await;
    sign_in(&tab, CLIENT, "carol", Remember::No).await;
    look_at(&tab, CLIENT, &[("/", "home-client"), ("/devices", "devices-client")]).await;
    assert_eq!(person.cookies().await.unwrap().len(), 2);
}

/// Two of users in browsers, one in an application, and one of a visitor: all that there are.
#[tokio::test]
async fn the_pages_of_an_administrator_fit_and_are_legible() {
    let bed = bed().await;
    let (alice, bob, visitor) = (bed.person().await, bed.person().await, bed.person().await);
    let tab = visitor.page().await.unwrap();
    tab.open(ADMIN).await.unwrap();
    tab.click("[action='/count'] button").await.unwrap();
    let tab = bob.page().await.unwrap();
    tab.open(&format!("{ADMIN}{BLANK}")).await.unwrap();
    let login = "fetch('/api/token', { method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username: 'bob', password: 'correct-horse' }) }).then(answer => answer.status)";
    assert_eq!(tab.evaluate(login).await.unwrap(), 200);
    sign_in(&tab, ADMIN, "bob", Remember::No).await;
    look_at(&tab, ADMIN, &[("/admin", "admin-refused")]).await;

    let tab = alice.page().await.unwrap();
    tab.open(&format!("{ADMIN}/admin")).await.unwrap();
    sign_in_here(&tab, "alice", Remember::No).await;
    assert_eq!(tab.url().await.unwrap(), format!("{ADMIN}/admin"));
    let text = tab.text().await.unwrap();
    for kind in ["Users, with a refresh token\t1", "Users, with a cookie\t2", "Visitors, with a cookie\t1"] {
        assert!(text.contains(kind), "{kind}: {text}");
    }
    see(&tab, "admin").await;

    tab.open(&format!("{ADMIN}/devices")).await.unwrap();
    tab.evaluate("document.querySelector('summary').click()").await.unwrap();
    see(&tab, "devices-everywhere").await;
    tab.click("[action='/devices/revoke-all'] button").await.unwrap();
    see(&tab, "signed-out-everywhere").await;
}

/// With renewals, which other sites here have not.
#[tokio::test]
async fn a_timeline_shows_tokens() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, STRICT, "carol", Remember::No).await;
    submit_from(&tab, STRICT, "/reauthenticate", &[("password", "correct-horse")]).await;
    tab.open(&format!("{STRICT}/timeline")).await.unwrap();
    let text = tab.text().await.unwrap();
    assert!(text.contains("Password given again") && text.contains("The token is due"), "{text}");
    see(&tab, "timeline-strict").await;
}

/// What is looked at, is found: each of these is wrong, and nothing else is.
#[tokio::test]
async fn a_page_that_is_wrong_is_noticed() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    tab.emulate(390, 844, Scheme::Light).await.unwrap();
    let spoiled = async |script: &str| {
        tab.open(SHOP).await.unwrap();
        load_axe(&tab).await;
        tab.evaluate(script).await.unwrap();
    };
    let style = |css: &str| {
        format!("document.head.append(Object.assign(document.createElement('style'), {{ innerText: '{css}' }}))")
    };
    spoiled("document.querySelector('[name=username]').parentElement.replaceWith(document.querySelector('[name=username]'))").await;
    assert!(axe_problems(&tab).await.iter().any(|problem| problem.starts_with("label: ")));
    spoiled(&style("main p { color: #999 !important; }")).await;
    assert!(axe_problems(&tab).await.iter().any(|problem| problem.starts_with("color-contrast: ")));
    assert!(layout_problems(&tab, Scheme::Light).await.iter().any(|problem| problem.starts_with("a contrast of 2.")));
    spoiled(&style("button { padding: 0 !important; line-height: 1; }")).await;
    assert!(
        layout_problems(&tab, Scheme::Light).await.iter().any(|problem| problem.starts_with("this is small: <button>"))
    );
    spoiled(&style("section { width: 40rem; }")).await;
    assert!(
        layout_problems(&tab, Scheme::Light)
            .await
            .iter()
            .any(|problem| problem.starts_with("this sticks out: <section"))
    );
    spoiled(&style("* { outline: none !important; }")).await;
    assert!(focus_problems(&tab).await.iter().any(|problem| problem.starts_with("the focus does not show on <a")));
    spoiled("document.querySelector('[name=password]').tabIndex = 1").await;
    assert!(focus_problems(&tab).await.iter().any(|problem| problem.contains("and not on <input name=\"password\"")));

    spoiled("0").await;
    freeze(&tab).await;
    let right = picture(&tab).await;
    spoiled("0").await;
    freeze(&tab).await;
    assert_eq!(difference(&tab, "right", &right).await, None);
    for (css, what) in [
        ("main { transform: translateX(16px); }", "of a square"),
        ("main { margin-bottom: 400px; }", "another size"),
        ("[action=\"/login\"] button { background: #b3261e !important; }", "of a square"),
        ("[name=password] { visibility: hidden; }", "of a square"),
    ] {
        spoiled(&style(css)).await;
        freeze(&tab).await;
        let found = difference(&tab, "wrong", &right).await.unwrap_or_default();
        assert!(found.contains(what), "{css}: {found}");
    }
}

#[test]
fn every_picture_is_of_a_page_that_is_looked_at() {
    let files = std::fs::read_dir(baseline()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.collect();
    let looks: BTreeSet<String> =
        LOOKS.iter().flat_map(|name| compared_looks(name)).map(|look| format!("{look}.png")).collect();
    if is_accepting() {
        files.difference(&looks).for_each(|file| std::fs::remove_file(baseline().join(file)).unwrap());
    } else {
        assert_eq!(files, looks);
    }
}

/// Nobody can say that such a visitor has no cookie.
#[tokio::test]
async fn a_link_to_a_strict_site_says_that_a_cookie_may_be_kept_back() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, STRICT, "bob", Remember::No).await;
    link_from(&tab, OTHER, STRICT).await;
    let text = tab.text().await.unwrap();
    assert!(text.contains("it may have kept one back") && !text.contains("Nothing is stored"), "{text}");
    see(&tab, "strict-link").await;
    tab.click("section [href='/']").await.unwrap();
    let text = tab.text().await.unwrap();
    assert!(text.contains("Signed in as bob") && !text.contains("kept one back"), "{text}");
}
