//! What all tests of this process share: some demos, nginx in front of them, one Chromium.
//!
//! Every test is a person of its own ([`Bed::person`]), who shares no cookie with others. Sessions of an account are in one
//! list of devices, though, and there can be ten: a test that looks at devices takes an account that no other takes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use session_testbed::browser::{Chromium, Context, Page};
use session_testbed::servers::{Nginx, Server};
use tokio::sync::OnceCell;

use crate::applications::{Applications, DOMAIN};

/// The demo, behind nginx as its documentation shows it.
pub(crate) const SHOP: &str = "https://shop.example.test";

/// The demo with `--policy high-assurance`: a `SameSite=Strict` cookie, one session for each user.
pub(crate) const STRICT: &str = "https://strict.example.test";

/// The demo with `--embedded-by` [`OTHER`] and [`THIRD`].
pub(crate) const EMBEDDED: &str = "https://embedded.example.test";

/// The demo with `--mode hybrid`.
pub(crate) const HYBRID: &str = "https://hybrid.example.test";

/// The demo with `--mode client`.
pub(crate) const CLIENT: &str = "https://client.example.test";

/// The demo with `--mode hybrid`, and nobody there but who is counted.
pub(crate) const ADMIN: &str = "https://admin.example.test";

/// The demo with `--bind require`.
pub(crate) const BOUND: &str = "https://bound.example.test";

/// The demo with its sessions in a file, in [`Bed::lasting`].
pub(crate) const LASTING: &str = "https://lasting.example.test";

/// Another site.
pub(crate) const OTHER: &str = "https://other.test";

/// Yet another site.
pub(crate) const THIRD: &str = "https://third.test";

/// Another origin of the same site: not stopped by `SameSite`.
pub(crate) const SIBLING: &str = "https://sibling.example.test";

/// The flag of a Chromium that binds sessions to devices. Its keys are in software, for Linux has no other place that it knows.
const BINDS_SESSIONS: &str =
    "--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting";

/// What nginx may send to the demo as `Host`, by the name of the site in `example.test` that does so.
///
/// It listens on another port than the one in the addresses, so `$host:$server_port` is written as what it is on 443.
const HOSTS: [(&str, &str); 4] = [
    ("shop", "proxy_set_header Host $host;"),
    ("port", "proxy_set_header Host $host:443;"),
    ("as-sent", "proxy_set_header Host $http_host;"),
    ("none", ""),
];

/// A page of every site without content and without a policy, for scripts of a test.
pub(crate) const BLANK: &str = "/-/blank";

pub(crate) struct Bed {
    _demos: Vec<Server>,
    pub(crate) lasting: Server,
    pub(crate) nginx: Nginx,
    pub(crate) applications: Applications,
    chromium: Chromium,
}

/// Started by the first test. A static is never dropped: all of it ends with the process.
pub(crate) async fn bed() -> &'static Bed {
    static BED: OnceCell<Bed> = OnceCell::const_new();
    BED.get_or_init(Bed::start).await
}

impl Bed {
    async fn start() -> Self {
        let embedded_by = ["--embedded-by", OTHER, "--embedded-by", THIRD];
        let shop = demo(&[]).await;
        let applications = Applications::start();
        let mut demos = Vec::new();
        let mut sites = vec![
            ("sibling.example.test".to_owned(), String::new()),
            ("other.test".to_owned(), String::new()),
            ("third.test".to_owned(), String::new()),
            (format!("*.{DOMAIN}"), proxied(applications.address(), HOSTS[0].1)),
        ];
        for (name, options) in [
            ("strict", &["--policy", "high-assurance"][..]),
            ("embedded", &embedded_by),
            ("hybrid", &["--mode", "hybrid"]),
            ("client", &["--mode", "client"]),
            ("admin", &["--mode", "hybrid"]),
            ("bound", &["--bind", "require", "--issuer", BOUND]),
        ] {
            let demo = demo(options).await;
            sites.push((format!("{name}.example.test"), proxied(demo.address(), HOSTS[0].1)));
            demos.push(demo);
        }
        let lasting = demo(&["--store", "sqlite:sessions.db"]).await;
        sites.push(("lasting.example.test".to_owned(), proxied(lasting.address(), HOSTS[0].1)));
        for (name, host) in HOSTS {
            sites.push((format!("{name}.example.test"), proxied(shop.address(), host)));
            // As from browsers before 2023, which do not say where a request comes from but in `Origin`.
            let old = format!("{host} proxy_set_header Sec-Fetch-Site '';");
            sites.push((format!("{name}-old.example.test"), proxied(shop.address(), &old)));
        }
        demos.push(shop);
        let blank = format!("location = {BLANK} {{ return 200 '<!DOCTYPE html><title>blank</title>'; }}");
        let sites: Vec<(String, String)> = sites.into_iter().map(|(name, site)| (name, site + &blank)).collect();
        let sites: Vec<(&str, &str)> = sites.iter().map(|(name, site)| (name.as_str(), site.as_str())).collect();
        let nginx = Nginx::launch(&sites).await.unwrap();
        let mut flags = nginx.chromium_flags().to_vec();
        flags.push(BINDS_SESSIONS.to_owned());
        let chromium = Chromium::launch(&flags).await.unwrap();
        Self { _demos: demos, lasting, nginx, applications, chromium }
    }

    /// Someone who was never here before.
    pub(crate) async fn person(&self) -> Context {
        self.chromium.context().await.unwrap()
    }
}

/// A demo with these options.
pub(crate) async fn demo(options: &[&'static str]) -> Server {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    let command = |address| {
        let mut command = vec![env!("CARGO_BIN_EXE_session-demo").to_owned(), format!("--listen={address}")];
        command.extend(options);
        command
    };
    Server::launch("session-demo", command).await.unwrap()
}

/// Directives that pass everything on to this server, WebSockets too.
fn proxied(server: SocketAddr, headers: &str) -> String {
    format!(
        "location / {{
            proxy_pass http://{server};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            {headers}
        }}
        "
    )
}

/// "Stay signed in on this device".
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Remember {
    Yes,
    No,
}

/// Signs in with the form on the home page of `site`.
pub(crate) async fn sign_in(tab: &Page, site: &str, user: &str, remember: Remember) {
    tab.open(site).await.unwrap();
    sign_in_here(tab, user, remember).await;
}

/// Signs in with the form on the page.
pub(crate) async fn sign_in_here(tab: &Page, user: &str, remember: Remember) {
    submit_sign_in(tab, user, remember).await;
    assert_eq!(user_of(tab).await.as_deref(), Some(user));
}

/// Fills in the form on the page, and sends it.
pub(crate) async fn submit_sign_in(tab: &Page, user: &str, remember: Remember) {
    tab.fill("[name=username]", user).await.unwrap();
    tab.fill("[name=password]", "correct-horse").await.unwrap();
    let checked = format!("document.querySelector('[name=remember]').checked = {}", remember == Remember::Yes);
    tab.evaluate(&checked).await.unwrap();
    tab.click("[action='/login'] button").await.unwrap();
}

/// Who is signed in, as the page says.
pub(crate) async fn user_of(tab: &Page) -> Option<String> {
    let text = tab.text().await.unwrap();
    let user = text.split_once("Signed in as ")?.1.split_whitespace().next()?;
    Some(user.to_owned())
}

/// The counter that the page shows.
pub(crate) async fn count_of(tab: &Page) -> String {
    let count = tab.evaluate("document.querySelector('.count').innerText").await.unwrap();
    count.as_str().unwrap().to_owned()
}

/// Opens a page of `site` that has nothing but this form, and submits it.
pub(crate) async fn submit_from(tab: &Page, site: &str, action: &str, fields: &[(&str, &str)]) {
    tab.open(&format!("{site}{BLANK}")).await.unwrap();
    let mut script = format!(
        "const form = document.body.appendChild(document.createElement('form'));
         form.method = 'post';
         form.action = {};
         form.append(document.createElement('button'));\n",
        Value::from(action)
    );
    for &(name, value) in fields {
        let (name, value) = (Value::from(name), Value::from(value));
        script +=
            &format!("form.append(Object.assign(document.createElement('input'), {{name:{name},value:{value}}}));\n");
    }
    tab.evaluate(&format!("(() => {{ {script} }})()")).await.unwrap();
    tab.click("button").await.unwrap();
}

/// Opens a page of `site` that has nothing but a link, and follows it.
pub(crate) async fn link_from(tab: &Page, site: &str, to: &str) {
    tab.open(&format!("{site}{BLANK}")).await.unwrap();
    let link =
        format!("Object.assign(document.createElement('a'), {{ href: {}, innerText: 'link' }})", Value::from(to));
    tab.evaluate(&format!("document.body.append({link})")).await.unwrap();
    tab.click("a").await.unwrap();
}

/// Opens a page of `site` that has nothing but a frame, which shows the home page of `embedded`.
pub(crate) async fn embed(tab: &Page, site: &str, embedded: &str) {
    tab.open(&format!("{site}{BLANK}")).await.unwrap();
    let frame = format!(
        "new Promise(loaded => document.body.append(Object.assign(document.createElement('iframe'), \
         {{ src: '{embedded}/', width: 800, height: 1200, onload: () => loaded(true) }})))"
    );
    tab.evaluate(&frame).await.unwrap();
}

/// Keeps what the tab shows, for people to look at: `target/browser/<name>.png`.
pub(crate) async fn keep(tab: &Page, name: &str) {
    tab.screenshot(&pictures().join(format!("{name}.png"))).await.unwrap();
}

/// The folder for what people look at.
pub(crate) fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
