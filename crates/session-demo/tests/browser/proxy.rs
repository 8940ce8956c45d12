//! nginx in front, with each of the usual settings for `Host`.

use session_testbed::browser::Page;

use crate::bed::{BLANK, Remember, bed, count_of, keep, sign_in, submit_from, user_of};

/// The status of a `POST` by a script of the page.
async fn fetch(tab: &Page, path: &str) -> u64 {
    let status = tab.evaluate(&format!("fetch('{path}', {{ method: 'POST' }}).then(answer => answer.status)")).await;
    status.unwrap().as_u64().unwrap()
}

/// Asserts that forms and scripts of the site can change something.
async fn assert_works(site: &str) {
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    sign_in(&tab, site, "bob", Remember::No).await;
    tab.click("[action='/count'] button").await.unwrap();
    assert_eq!((user_of(&tab).await.as_deref(), &*count_of(&tab).await), (Some("bob"), "1"), "{site}");
    tab.open(&format!("{site}{BLANK}")).await.unwrap();
    assert_eq!(fetch(&tab, "/api/counter/counter").await, 200, "{site}");
    tab.open(site).await.unwrap();
    assert_eq!(count_of(&tab).await, "2", "{site}");
    tab.click("[action='/logout'] button").await.unwrap();
    assert_eq!(user_of(&tab).await, None, "{site}");
    assert_eq!(tab.problems(), [] as [String; 0]);
}

#[tokio::test]
async fn forms_and_scripts_work_whatever_host_it_sends() {
    for name in ["shop", "port", "as-sent", "none"] {
        assert_works(&format!("https://{name}.example.test")).await;
    }
}

/// `Origin` must name the host then.
#[tokio::test]
async fn forms_and_scripts_of_older_browsers_work_if_it_sends_the_host_of_the_address() {
    for name in ["shop", "port", "as-sent"] {
        assert_works(&format!("https://{name}-old.example.test")).await;
    }
}

/// Without a directive, `Host` is the address of the demo. Such a site makes its own origin a trusted one.
#[tokio::test]
async fn older_browsers_are_refused_if_it_sends_another_host() {
    const SITE: &str = "https://none-old.example.test";
    let person = bed().await.person().await;
    let tab = person.page().await.unwrap();
    submit_from(&tab, SITE, "/count", &[]).await;
    assert_eq!(tab.status().await.unwrap(), 403);
    keep(&tab, "proxy-sends-another-host").await;
    tab.open(&format!("{SITE}{BLANK}")).await.unwrap();
    assert_eq!(fetch(&tab, "/api/counter/counter").await, 403);
    assert_eq!(person.cookies().await.unwrap(), []);
}

/// Chromium says nothing but `Origin` of where a handshake comes from.
#[tokio::test]
async fn websockets_work_if_it_sends_the_host_of_the_address() {
    for name in ["shop", "port", "as-sent"] {
        let site = format!("https://{name}.example.test");
        let person = bed().await.person().await;
        let tab = person.page().await.unwrap();
        sign_in(&tab, &site, "carol", Remember::No).await;
        tab.open(&format!("{site}{BLANK}")).await.unwrap();
        let answer = tab.evaluate(
            "new Promise((answered, failed) => {
                const socket = new WebSocket(`wss://${location.host}/ws`);
                socket.onopen = () => socket.send('hello');
                socket.onmessage = event => answered(event.data);
                socket.onclose = event => failed(new Error(event.code));
            })",
        );
        assert_eq!(answer.await.unwrap(), "1", "{site}");
    }
}
