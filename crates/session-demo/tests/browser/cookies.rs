//! The session cookie, as Chromium has stored it.

use std::time::{SystemTime, UNIX_EPOCH};

use session_testbed::browser::Cookie;

use crate::bed::{Remember, SHOP, STRICT, bed, keep, sign_in};

/// The only cookie, after a login.
async fn cookie(site: &str, user: &str, remember: Remember) -> Cookie {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, site, user, remember).await;
    assert_eq!(tab.evaluate("document.cookie").await.unwrap(), "", "no script sees it");
    let mut cookies = person.cookies().await.unwrap();
    let cookie = cookies.pop().unwrap();
    assert_eq!(cookies, []);
    keep(&tab, &format!("cookie-{}-{}", cookie.domain, if cookie.session { "session" } else { "remembered" })).await;
    tab.click("[action='/logout'] button").await.unwrap();
    assert_eq!(person.cookies().await.unwrap(), []);
    cookie
}

fn assert_attributes(cookie: &Cookie, host: &str, same_site: &str) {
    let Cookie { name, domain, path, secure, http_only, same_site: stored, partition_key, .. } = cookie;
    // Without a dot in front of the host: for no subdomain.
    assert_eq!((&**name, &**domain, &**path), ("__Host-id", host, "/"));
    assert_eq!((*secure, *http_only, stored.as_deref(), partition_key), (true, true, Some(same_site), &None));
}

#[tokio::test]
async fn a_plain_login_is_lax_and_ends_with_the_browser() {
    let cookie = cookie(SHOP, "alice", Remember::No).await;
    assert_attributes(&cookie, "shop.example.test", "Lax");
    assert_eq!((cookie.session, cookie.expires), (true, -1.0));
}

#[tokio::test]
async fn a_remembered_login_is_kept_for_thirty_days() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let cookie = cookie(SHOP, "alice", Remember::Yes).await;
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert_attributes(&cookie, "shop.example.test", "Lax");
    assert!(!cookie.session);
    // `Max-Age` counts from when Chromium got it.
    let days = 30.0 * 86_400.0;
    assert!((before - 1.0 + days..=after + 1.0 + days).contains(&cookie.expires), "{cookie:?}");
}

#[tokio::test]
async fn high_assurance_is_strict_and_never_kept() {
    let cookie = cookie(STRICT, "carol", Remember::Yes).await;
    assert_attributes(&cookie, "strict.example.test", "Strict");
    assert_eq!((cookie.session, cookie.expires), (true, -1.0));
}
