//! What other sites can make the browser do.

use crate::bed::{
    OTHER, Remember, SHOP, SIBLING, STRICT, bed, count_of, embed, keep, link_from, sign_in, submit_from, user_of,
};

#[tokio::test]
async fn a_link_from_another_site_arrives_signed_in_with_a_lax_cookie() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, SHOP, "alice", Remember::No).await;
    link_from(&tab, OTHER, SHOP).await;
    assert_eq!(user_of(&tab).await.as_deref(), Some("alice"));
}

/// The first request comes without the cookie. The person sees the sign-in page, as a stranger does; the session is not
/// touched, and the next click on the site itself shows it again.
#[tokio::test]
async fn a_link_from_another_site_arrives_signed_out_with_a_strict_cookie_and_ends_nothing() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, STRICT, "alice", Remember::No).await;
    let before = person.cookies().await.unwrap();

    link_from(&tab, OTHER, STRICT).await;
    assert_eq!(user_of(&tab).await, None);
    assert!(tab.text().await.unwrap().contains("Stay signed in on this device"), "the sign-in page");
    keep(&tab, "strict-link-first").await;
    assert_eq!(person.cookies().await.unwrap(), before, "the answer to a request without it leaves the cookie alone");

    tab.click("header a").await.unwrap();
    assert_eq!(user_of(&tab).await.as_deref(), Some("alice"));
    keep(&tab, "strict-link-next").await;
    link_from(&tab, SIBLING, STRICT).await;
    assert_eq!(user_of(&tab).await.as_deref(), Some("alice"), "another subdomain is the same site");
}

/// `SameSite` keeps the cookie from another site, and only the guard stops a sibling.
#[tokio::test]
async fn a_form_of_another_origin_is_refused_and_changes_nothing() {
    let bed = bed().await;
    for site in [OTHER, SIBLING] {
        let person = bed.person().await;
        let tab = person.page().await.unwrap();
        sign_in(&tab, SHOP, "alice", Remember::No).await;
        tab.click("[action='/count'] button").await.unwrap();
        let before = person.cookies().await.unwrap();
        let login = [("username", "bob"), ("password", "correct-horse")];
        for (path, fields) in [
            ("/count", &[][..]),
            ("/logout", &[]),
            ("/devices/revoke-others", &[]),
            ("/devices/revoke-all", &[]),
            ("/login", &login),
            ("/api/logout", &[]),
        ] {
            submit_from(&tab, site, &format!("{SHOP}{path}"), fields).await;
            assert_eq!(tab.status().await.unwrap(), 403, "{site} {path}");
            assert_eq!(person.cookies().await.unwrap(), before, "{site} {path}");
        }
        submit_from(&tab, site, &format!("{SHOP}/logout"), &[]).await;
        assert!(tab.text().await.unwrap().contains("Another site made your browser send this. Nothing was changed."));
        keep(&tab, if site == OTHER { "form-of-another-site" } else { "form-of-a-sibling" }).await;
        tab.open(SHOP).await.unwrap();
        assert_eq!((user_of(&tab).await.as_deref(), &*count_of(&tab).await), (Some("alice"), "1"), "{site}");
    }
}

#[tokio::test]
async fn another_site_cannot_frame_the_pages() {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, SHOP, "alice", Remember::No).await;
    embed(&tab, OTHER, SHOP).await;
    keep(&tab, "framed-by-another-site").await;
    let problems = tab.problems();
    assert!(problems.iter().any(|problem| problem.contains("frame-ancestors")), "{problems:?}");
}
