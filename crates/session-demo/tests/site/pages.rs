//! The pages, with a browser that has no JavaScript.

use crate::support::{Browser, Demo};

const SIGN_IN: &str = "username=alice&password=correct-horse";

async fn page(browser: &Browser<'_>, path: &str) -> String {
    let answer = browser.get(path).await;
    let text = answer.assert(200).text().to_owned();
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(text.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(!text.contains("<script"), "works without JavaScript, and escapes what others wrote");
    text
}

/// A browser that signed in by the form.
async fn signed_in(demo: &Demo) -> Browser<'_> {
    let browser = demo.browser();
    browser.submit("/login", SIGN_IN).await.assert_leads_to("/?welcome");
    browser
}

#[tokio::test]
async fn signing_in_and_out() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    let home = page(&browser, "/").await;
    assert!(home.contains("action=\"/login\"") && home.contains("Nothing is stored for you yet"));
    assert_eq!(browser.cookie(), None, "looking at a page creates no session");

    browser.submit("/login", SIGN_IN).await.assert_leads_to("/?welcome");
    let home = page(&browser, "/?welcome").await;
    assert!(home.contains("Signed in as <strong>alice</strong>") && home.contains("Ends when idle"));
    assert!(!home.contains("did not keep the cookie"));

    browser.submit("/logout", "").await.assert_leads_to("/");
    assert_eq!(browser.cookie(), None);
    assert!(page(&browser, "/").await.contains("action=\"/login\""));
}

#[tokio::test]
async fn a_wrong_password_is_reported_and_changes_nothing() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    browser.submit("/login", "username=alice&password=wrong").await.assert_leads_to("/?failed");
    assert_eq!(browser.cookie().as_deref(), Some("typed-name=alice"), "and none of a session");
    let form = page(&browser, "/?failed").await;
    assert!(form.contains("role=\"alert\">The name or the password is wrong."), "{form}");
    assert!(form.contains("value=\"alice\"") && form.matches(" autofocus").count() == 1, "{form}");
    assert_eq!(browser.cookie(), None, "the name is shown once");
    assert!(
        page(&browser, "/?failed")
            .await
            .contains("name=\"username\" autocomplete=\"username\" autocapitalize=\"none\" required autofocus")
    );
    let answer = browser.submit("/login", "username=alice").await;
    assert!(answer.assert(400).text().contains("A field is missing"));
}

#[tokio::test]
async fn remember_me_too_many_devices_and_a_lost_cookie() {
    let demo = Demo::start(&["--limit", "1", "--on-limit", "reject"]);
    let answer = demo.browser().submit("/login", &format!("{SIGN_IN}&remember=true")).await;
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=2592000"));
    let answer = demo.browser().submit("/login", SIGN_IN).await;
    assert!(answer.assert(409).text().contains("as many devices as are allowed"));
    assert!(page(&demo.browser(), "/?welcome").await.contains("did not keep the cookie"));
}

#[tokio::test]
async fn counter_and_cart_work_before_login_and_are_kept() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    for _ in 0..3 {
        browser.submit("/count", "").await.assert_leads_to("/");
    }
    browser.submit("/cart/add", "item=%3Cb%3Etea%3C%2Fb%3E").await.assert_leads_to("/");
    browser.submit("/cart/add", "item=cup").await.assert_leads_to("/");
    browser.submit("/cart/add", "item=+").await.assert_leads_to("/");
    let home = page(&browser, "/").await;
    assert!(home.contains("<p class=\"count\">3</p>"), "{home}");
    assert!(home.contains("<ul><li>&lt;b&gt;tea&lt;/b&gt;</li><li>cup</li></ul>"), "{home}");

    browser.submit("/login", SIGN_IN).await.assert_leads_to("/?welcome");
    let home = page(&browser, "/").await;
    assert!(home.contains("<li>cup</li>") && home.contains("<p class=\"count\">3</p>"), "{home}");
    browser.submit("/cart/empty", "").await.assert_leads_to("/");
    assert!(page(&browser, "/").await.contains("Nothing in it yet"));
}

/// The API stores values of any shape; none breaks the page.
#[tokio::test]
async fn a_cart_of_another_shape_is_shown() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    for (stored, shown) in [("\"tea\"", "<p>tea</p>"), ("{\"a\":1}", "<p>{&quot;a&quot;:1}</p>"), ("[1]", "<li>1</li>")]
    {
        browser.send("PUT", "/api/data/cart", &[], stored).await.assert(204);
        assert!(page(&browser, "/").await.contains(shown), "{shown}");
    }
    browser.submit("/cart/add", "item=cup").await.assert_leads_to("/");
    assert!(page(&browser, "/").await.contains("<ul><li>1</li><li>cup</li></ul>"));
}

#[tokio::test]
async fn devices_are_listed_and_revoked() {
    let demo = Demo::start(&[]);
    let (phone, desk) = (signed_in(&demo).await, signed_in(&demo).await);
    let devices = page(&desk, "/devices").await;
    assert_eq!(devices.matches("action=\"/devices/revoke\"").count(), 2);
    assert_eq!(devices.matches("This device").count(), 1);
    assert_eq!(devices.matches("<strong>Test</strong>").count(), 2, "in words: {devices}");
    assert!(!devices.contains("Test/1.0") && devices.find("This device") < devices.find("value=\""), "{devices}");
    assert!(devices.contains("127.0.0.1"));

    let id = phone.session_id().await;
    for notice in ["That device is logged out.", "That device was logged out already."] {
        desk.submit("/devices/revoke", &format!("id={id}")).await.assert_leads_to("/devices");
        assert!(page(&desk, "/devices").await.contains(notice), "{notice}");
        assert!(!page(&desk, "/devices").await.contains(notice), "once");
    }
    assert_eq!(phone.user().await, None);
    desk.submit("/devices/revoke", "id=nonsense").await.assert(400);

    phone.submit("/login", SIGN_IN).await.assert_leads_to("/?welcome");
    desk.submit("/devices/revoke-others", "").await.assert_leads_to("/devices");
    assert!(page(&desk, "/devices").await.contains("role=\"status\">1 other device is logged out."));
    assert_eq!((phone.user().await, desk.user().await.as_deref()), (None, Some("alice")));

    phone.submit("/login", SIGN_IN).await.assert_leads_to("/?welcome");
    assert!(
        page(&desk, "/devices").await.contains("This ends every session of yours: 2 devices, this one among them.")
    );
    desk.submit("/devices/revoke-all", "").await.assert_leads_to("/?everywhere");
    assert!(page(&desk, "/?everywhere").await.contains("You are logged out on all devices"));
    assert_eq!((phone.user().await, desk.cookie()), (None, None));
}

#[tokio::test]
async fn pages_for_users_redirect_to_the_sign_in_page() {
    let demo = Demo::start(&[]);
    let browser = signed_in(&demo).await;
    browser.submit("/devices/revoke", &format!("id={}", browser.session_id().await)).await.assert_leads_to("/devices");
    for (path, form) in [
        ("/devices", "/?next=%2Fdevices"),
        ("/sensitive?a=b", "/?next=%2Fsensitive%3Fa%3Db"),
        ("/admin", "/?next=%2Fadmin"),
    ] {
        browser.get(path).await.assert_leads_to(form);
    }
    for path in ["/devices/revoke-others", "/devices/revoke-all", "/reauthenticate"] {
        assert!(browser.submit(path, "password=x").await.assert(401).text().contains("Please sign in"));
    }
}

/// And nowhere else: the address of the form may be a stranger's.
#[tokio::test]
async fn signing_in_leads_back_to_the_page_it_was_needed_for() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    let form = page(&browser, "/?next=%2Fdevices%3Fa%3D%22%3E").await;
    assert!(form.contains("name=\"next\" value=\"/devices?a=&quot;&gt;\""), "{form}");
    assert!(form.contains("Signing in leads you back"), "{form}");
    browser
        .submit("/login", "username=alice&password=wrong&next=%2Fdevices%3Fa%3Db%26c")
        .await
        .assert_leads_to("/?failed&next=%2Fdevices%3Fa%3Db%26c");
    let form = page(&browser, "/?failed&next=%2Fdevices%3Fa%3Db%26c").await;
    assert!(form.contains("name=\"next\" value=\"/devices?a=b&amp;c\""), "{form}");
    browser.submit("/login", &format!("{SIGN_IN}&next=%2Fdevices")).await.assert_leads_to("/devices");
    for elsewhere in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example"] {
        let wrong = format!("username=alice&password=wrong&next={elsewhere}");
        browser.submit("/login", &wrong).await.assert_leads_to("/?failed");
    }
    for elsewhere in
        ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "%2F%0A%2Fevil.example", ""]
    {
        browser.submit("/login", &format!("{SIGN_IN}&next={elsewhere}")).await.assert_leads_to("/?welcome");
    }
}

#[tokio::test]
async fn the_sensitive_page_takes_the_password_again() {
    let demo = Demo::start(&[]);
    let browser = signed_in(&demo).await;
    assert!(page(&browser, "/sensitive").await.contains("recovery code"));
    let answer = browser.submit("/reauthenticate", "password=wrong").await;
    assert!(answer.assert(401).text().contains("role=\"alert\">The password is wrong."));
    assert!(answer.text().contains("Signed in as <strong>alice</strong>"));
    let before = browser.cookie();
    browser.submit("/reauthenticate", "password=correct-horse").await.assert_leads_to("/sensitive");
    assert_ne!(browser.cookie(), before);
    assert!(page(&browser, "/sensitive").await.contains("recovery code"));
}

#[tokio::test]
async fn errors_are_pages_too() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    assert!(browser.get("/nothing").await.assert(404).text().contains("There is no such page"));
    assert!(browser.get("/logout").await.assert(405).text().contains("cannot be used that way"));
    let alice = signed_in(&demo).await;
    for (method, path, status) in [("GET", "/nothing", 404), ("GET", "/devices/nothing", 404), ("GET", "/logout", 405)]
    {
        let answer = alice.send(method, path, &[], "").await;
        assert!(answer.assert(status).text().contains("Signed in as <strong>alice</strong>"), "{path}");
    }
    assert_eq!(browser.get("/favicon.ico").await.assert(200).header("content-type"), Some("image/svg+xml"));
}

#[tokio::test]
async fn the_three_kinds_are_compared_in_each_mode() {
    for (mode, tokens) in [("cookie", false), ("hybrid", true), ("client", false)] {
        let demo = Demo::start(&["--mode", mode]);
        let browser = demo.browser();
        let home = page(&browser, "/").await;
        assert!(home.contains("href=\"/kinds\"") && home.contains(&format!("--mode {mode}")), "{home}");
        let curl = format!("curl {}/api/token -d", demo.base);
        assert_eq!(home.contains(&curl), tokens, "{home}");
        let kinds = page(&browser, "/kinds").await;
        assert!(kinds.contains("<a href=\"/?next=/kinds\">Sign in</a>"), "{kinds}");
        assert_eq!(kinds.matches("This one").count(), 1);
        assert!(kinds.contains(&format!("--mode {mode}</code><br><strong>This one")), "{kinds}");
        assert_eq!(kinds.matches("<th scope=\"row\">").count(), 9);
        assert_eq!(browser.cookie(), None, "looking at a page creates no session");
        browser.submit("/login", SIGN_IN).await.assert_leads_to("/?welcome");
        assert!(page(&browser, "/kinds").await.contains("Signed in as <strong>alice</strong>"));
    }
}

#[tokio::test]
async fn a_timeline_is_that_of_a_session_of_the_user() {
    let demo = Demo::start(&[]);
    let visitor = demo.browser();
    assert!(page(&visitor, "/timeline").await.contains("There is no session yet"));
    assert_eq!(visitor.cookie(), None, "looking at a page creates no session");
    visitor.submit("/count", "").await.assert_leads_to("/");
    assert!(page(&visitor, "/timeline").await.contains("<svg"), "a visitor's session has a life, too");

    let (phone, desk) = (signed_in(&demo).await, signed_in(&demo).await);
    let own = page(&desk, "/timeline").await;
    for part in
        ["<svg", "<dt>Began</dt>", "<dt>Last activity</dt>", "<dt>Ends in any case</dt>", "in 7 hours 59 minutes"]
    {
        assert!(own.contains(part), "{part}: {own}");
    }
    desk.submit("/reauthenticate", "password=correct-horse").await.assert_leads_to("/sensitive");
    assert!(page(&desk, "/timeline").await.contains("<dt>Password given again, and a new token</dt>"));

    let of_phone = format!("/timeline?id={}", phone.session_id().await);
    assert!(page(&desk, "/devices").await.contains(&of_phone));
    assert!(page(&desk, &of_phone).await.contains("The session of another device of yours: <strong>Test</strong>"));
    let bob = demo.logged_in("bob").await;
    assert!(page(&bob, &of_phone).await.contains("That session has ended"), "it is not his");
    phone.submit("/logout", "").await.assert_leads_to("/");
    assert!(page(&desk, &of_phone).await.contains("That session has ended"));
    demo.browser().get(&of_phone).await.assert(303);
}

#[tokio::test]
async fn only_an_administrator_sees_all_sessions() {
    let demo = Demo::start(&["--mode", "hybrid"]);
    let (alice, bob, visitor) = (demo.logged_in("alice").await, demo.logged_in("bob").await, demo.browser());
    visitor.submit("/count", "").await.assert_leads_to("/");
    let login = serde_json::json!({ "username": "bob", "password": "correct-horse" });
    demo.browser().post("/api/token", &login).await.assert(200);

    visitor.get("/admin").await.assert_leads_to("/?next=%2Fadmin");
    let refused = bob.get("/admin").await;
    assert!(refused.assert(403).text().contains("This page is for administrators"));
    assert!(!page(&bob, "/devices").await.contains("href=\"/admin\""));
    assert!(page(&alice, "/devices").await.contains("href=\"/admin\""));
    let all = page(&alice, "/admin").await;
    assert!(all.contains("<p class=\"count\">4</p>") && all.contains("<svg"), "{all}");
    for (kind, sessions) in
        [("Users, with a refresh token", 1), ("Users, with a cookie", 2), ("Visitors, with a cookie", 1)]
    {
        assert!(all.contains(&format!("{kind}</th><td class=\"number\">{sessions}</td>")), "{kind}: {all}");
    }
    for secret in ["bob", "127.0.0.1", &bob.session_id().await] {
        assert!(!all.contains(secret), "{secret}: how many, and not who");
    }
}

/// There is nothing that could count them.
#[tokio::test]
async fn client_side_sessions_have_a_timeline_and_no_counts() {
    let demo = Demo::start(&["--mode", "client"]);
    let alice = signed_in(&demo).await;
    assert!(page(&alice, "/timeline").await.contains("<dt>Ends in any case</dt>"));
    for path in ["/admin", "/devices"] {
        let answer = alice.get(path).await;
        let text = answer.text();
        assert!(text.contains("No list in this mode") && text.contains("Signed in as <strong>alice"), "{path}: {text}");
    }
}
