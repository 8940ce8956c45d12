//! The back-channel logout URI. What is read of a token, and what is refused, is tested in session-jwt.

use actix_web::App;
use actix_web::web::{self, Bytes, Path};
use serde_json::json;
use session_actix::{Rejection, Session, backchannel_logout};
use session_core::{EventKind, Login, PresentedToken, Termination, UserId};
use session_jwt::BackchannelLogout;

use super::provider::{ISSUER, Provider};
use super::{assert_refused, assert_uncached};
use crate::common::{Answer, Behaviour, Served, Site, call, request, routes, send, serve};

const CLIENT: &str = "shop";
const PATH: &str = "/backchannel-logout";

struct Bed {
    site: Site,
    provider: Provider,
    app: Served,
}

impl Bed {
    async fn new() -> Self {
        let site = Site::standard();
        let provider = Provider::new(&site.clock);
        let logout = BackchannelLogout::new(site.manager.clone(), provider.remote(CLIENT), provider.clone());
        let login = async |session: Session, path: Path<[String; 2]>| {
            let [user, sid] = path.into_inner();
            session.login(Login::new(UserId::new(user).unwrap()).provider_session(ISSUER, &sid))?;
            Ok::<_, Rejection>("welcome")
        };
        let app = App::new().service(backchannel_logout(PATH, logout)).service(
            web::scope("")
                .wrap(site.middleware())
                .route("/callback/{user}/{sid}", web::post().to(login))
                .configure(routes),
        );
        Self { provider, app: serve(app).await, site }
    }

    /// The cookie of a login that came from this session of the provider.
    async fn login(&self, user: &str, sid: &str) -> String {
        call(&self.app, "POST", &format!("/callback/{user}/{sid}"), "").await.cookie()
    }

    async fn is_logged_in(&self, cookie: &str) -> bool {
        call(&self.app, "GET", "/me", cookie).await.status == 200
    }

    fn token(&self, id: &str, sid: Option<&str>) -> String {
        let events = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        let mut claims = json!({ "sub": "alice", "jti": id, "events": events });
        if let Some(sid) = sid {
            claims["sid"] = sid.into();
        }
        format!("logout_token={}", self.provider.sign("logout+jwt", CLIENT, claims))
    }

    async fn post(&self, body: impl Into<Bytes>) -> Answer {
        self.send("POST", body).await
    }

    async fn send(&self, method: &str, body: impl Into<Bytes>) -> Answer {
        let form = ("content-type", "application/x-www-form-urlencoded");
        send(&self.app, request(method, PATH, "").insert_header(form).set_payload(body)).await
    }
}

#[track_caller]
fn assert_done(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
    assert_uncached(answer);
    assert_eq!(answer.all("set-cookie"), [""; 0]);
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_cookies_and_refresh_tokens_that_began_there() {
    let bed = Bed::new().await;
    let (one, two) = (bed.login("alice", "1").await, bed.login("alice", "1").await);
    let login = Login::new(UserId::new("alice").unwrap()).provider_session(ISSUER, "1");
    let refresh = bed.site.manager.issue_refresh_token(login, None).await.unwrap();
    let refresh = PresentedToken::parse(refresh.token.encode().expose().as_bytes()).unwrap();
    let others = [
        bed.login("alice", "2").await,
        bed.login("bob", "1").await,
        call(&bed.app, "POST", "/login/alice", "").await.cookie(),
    ];
    bed.site.events.take();
    assert_done(&bed.post(bed.token("a", Some("1"))).await);
    assert_eq!(bed.site.events.take(), vec![EventKind::Terminated(Termination::Revoked); 3]);
    assert!(!bed.is_logged_in(&one).await && !bed.is_logged_in(&two).await);
    assert!(bed.site.manager.inspect_refresh_token(&refresh).await.unwrap().is_none());
    for other in &others {
        assert!(bed.is_logged_in(other).await);
    }
    // All of the user's.
    assert_done(&bed.post(bed.token("b", None)).await);
    assert!(!bed.is_logged_in(&others[0]).await && !bed.is_logged_in(&others[2]).await);
    assert!(bed.is_logged_in(&others[1]).await);
}

#[tokio::test]
async fn a_replayed_token_ends_no_later_login() {
    let bed = Bed::new().await;
    let token = bed.token("a", None);
    assert_done(&bed.post(token.clone()).await);
    let later = bed.login("alice", "2").await;
    bed.site.events.take();
    assert_refused(&bed.post(token).await, 400, "invalid_request");
    assert_eq!(bed.site.events.take(), [EventKind::InvalidLogoutToken]);
    assert!(bed.is_logged_in(&later).await);
}

#[tokio::test]
async fn what_is_down_is_asked_again() {
    let bed = Bed::new().await;
    let (cookie, token) = (bed.login("alice", "1").await, bed.token("a", Some("1")));
    bed.provider.is_down(true);
    assert_refused(&bed.post(token.clone()).await, 503, "temporarily_unavailable");
    bed.provider.is_down(false);
    bed.site.clock.advance(std::time::Duration::from_secs(60));
    for break_it in [Site::on_read, Site::on_write] {
        break_it(&bed.site, Behaviour::Fails);
        assert_refused(&bed.post(token.clone()).await, 503, "temporarily_unavailable");
        break_it(&bed.site, Behaviour::Works);
        assert!(bed.is_logged_in(&cookie).await);
    }
    assert_done(&bed.post(token).await);
    assert!(!bed.is_logged_in(&cookie).await);
}

#[tokio::test]
async fn other_requests_are_refused() {
    let bed = Bed::new().await;
    let token = bed.token("a", None);
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = bed.send(method, token.clone()).await;
        assert_refused(&answer, 405, "invalid_request");
        assert_eq!(answer.all("allow"), ["POST"], "{method}");
    }
    assert_refused(&bed.post("x".repeat(64 * 1024 + 1)).await, 413, "invalid_request");
    assert_refused(&bed.post("token=x").await, 400, "invalid_request");
    // The token is not looked for elsewhere.
    let request_of = |path: &str| request("POST", path, "");
    let answer = send(&bed.app, request_of(&format!("{PATH}?{token}"))).await;
    assert_refused(&answer, 400, "invalid_request");
    let json = format!("{{\"logout_token\":\"{}\"}}", &token["logout_token=".len()..]);
    let answer = request_of(PATH).insert_header(("content-type", "application/json")).set_payload(json);
    assert_refused(&send(&bed.app, answer).await, 400, "invalid_request");
    assert_done(&bed.post(token).await);
}
