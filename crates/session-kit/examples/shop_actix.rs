//! The shop with actix-web: a cart, a login, and a list of devices.

use std::error::Error;
use std::time::Duration;

use actix_web::http::header::USER_AGENT;
use actix_web::{App, HttpRequest, HttpServer, web};
use session_kit::actix::{Authenticated, Rejection, Session, SessionMiddleware};
use session_kit::{CookiePolicy, Device, Key, Login, Namespace, Policy, SessionManager, UserId};

const CART: Key<Vec<u32>> = Key::new("cart");

async fn add_to_cart(session: Session, product: String) -> Result<String, Rejection> {
    let product = product.parse().unwrap_or_default();
    session.update(CART, move |cart| cart.push(product))?; // run again if another tab was faster: nothing is lost
    Ok(String::new())
}

async fn cart(session: Session) -> Result<String, Rejection> {
    Ok(format!("{:?}", session.get(CART)?.unwrap_or_default()))
}

async fn log_in(
    session: Session,
    request: HttpRequest,
    form: web::Form<Credentials>,
) -> Result<&'static str, Rejection> {
    let Some(user) = check_password(&form) else { return Ok("wrong name or password") };
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
    let device = Device::new().with_user_agent(agent);
    session.login(Login::new(user).method("pwd").device(device).carry_over(CART))?; // a new session: only the cart is kept
    Ok("welcome")
}

async fn devices(session: Authenticated) -> Result<String, Rejection> {
    let list = session.manager().list(session.user()).await?;
    Ok(list.iter().map(|entry| format!("{}\n", entry.device.user_agent().unwrap_or("unknown"))).collect())
}

async fn log_out_everywhere(session: Authenticated) -> Result<String, Rejection> {
    session.manager().revoke_all(session.user()).await?; // obeyed by every node, at the next request
    Ok(String::new())
}

/// The site, for tests too: `App::new().configure(routes).wrap(SessionMiddleware::new(sessions))`.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/cart").get(cart).post(add_to_cart))
        .route("/login", web::post().to(log_in))
        .route("/devices", web::get().to(devices))
        .route("/logout-everywhere", web::post().to(log_out_everywhere));
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("SESSION_STORE").unwrap_or("memory:".to_owned());
    let store = session_kit::open(&url, Namespace::new("shop")?).await?;
    // Without https, some browsers need this; in production: Policy::standard().
    let policy = Policy::standard().to_builder().cookie(CookiePolicy::local_development("shop")?).build()?;
    let sessions = SessionManager::new(store, policy);
    actix_web::rt::spawn(sessions.clone().sweep()); // deletes what has expired
    let middleware = SessionMiddleware::new(sessions.clone()); // outside of the closure: the workers share it
    let server = HttpServer::new(move || App::new().configure(routes).wrap(middleware.clone()));
    server.bind("127.0.0.1:3000")?.run().await?; // until SIGTERM or Ctrl-C, and until requests under way are done
    sessions.drain(Duration::from_secs(5)).await; // commits whose clients went away
    Ok(())
}

#[derive(serde::Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

/// Yours, in place of this: look the user up, and compare with the hash of the password.
fn check_password(form: &Credentials) -> Option<UserId> {
    (form.password == "correct-horse").then(|| UserId::new(form.name.as_str()).ok())?
}
