//! Without a proxy, over plain http: under a name in a local network, and on several ports of one host.

use std::fs;

use session_testbed::browser::Chromium;
use session_testbed::servers::Server;

use crate::bed::{Remember, demo, keep, sign_in, submit_sign_in, user_of};

/// A browser to which these names mean this machine. To it, `shop.lan` is any other host.
async fn chromium() -> Chromium {
    let names = "--host-resolver-rules=MAP localhost 127.0.0.1, MAP shop.lan 127.0.0.1, MAP * ~NOTFOUND";
    Chromium::launch(&[names.to_owned()]).await.unwrap()
}

/// The lines of the log of a demo that are about plain http.
fn hints(demo: &Server) -> usize {
    let log = fs::read_to_string(demo.folder().join("log")).unwrap();
    log.lines().filter(|line| line.contains("WARN") && line.contains("was set over plain http")).count()
}

#[tokio::test]
async fn a_login_whose_secure_cookie_is_dropped_is_in_the_log_once() {
    let (chromium, demo) = (chromium().await, demo(&[]).await);
    let (person, tab) = (chromium.profile(), chromium.profile().page().await.unwrap());
    let site = |host: &str| format!("http://{host}:{}", demo.port());

    // Chromium keeps it from the machine itself.
    sign_in(&tab, &site("localhost"), "alice", Remember::No).await;
    assert_eq!((person.cookies().await.unwrap().len(), hints(&demo)), (1, 0));
    for _ in 0..2 {
        tab.open(&site("shop.lan")).await.unwrap();
        submit_sign_in(&tab, "alice", Remember::No).await;
        assert_eq!(user_of(&tab).await, None);
        assert!(tab.text().await.unwrap().contains("did not keep the cookie"));
        assert_eq!((person.cookies().await.unwrap().len(), hints(&demo)), (1, 1));
    }
    keep(&tab, "plain-http").await;
}

#[tokio::test]
async fn applications_on_ports_of_localhost_do_not_log_each_other_out() {
    let chromium = chromium().await;
    let (a, b) = tokio::join!(
        demo(&["--insecure-cookies", "--namespace", "a"]),
        demo(&["--insecure-cookies", "--namespace", "b"])
    );
    let (person, tab) = (chromium.profile(), chromium.profile().page().await.unwrap());
    for host in ["localhost", "shop.lan"] {
        let [a, b] = [&a, &b].map(|demo| format!("http://{host}:{}", demo.port()));
        sign_in(&tab, &a, "alice", Remember::No).await;
        sign_in(&tab, &b, "bob", Remember::No).await;
        for (site, user) in [(&a, "alice"), (&b, "bob"), (&a, "alice")] {
            tab.open(site).await.unwrap();
            assert_eq!(user_of(&tab).await.as_deref(), Some(user), "{site}");
        }
    }
    let mut names: Vec<String> = person.cookies().await.unwrap().into_iter().map(|cookie| cookie.name).collect();
    names.sort();
    assert_eq!(names, ["id-a", "id-a", "id-b", "id-b"], "of each host");
}
