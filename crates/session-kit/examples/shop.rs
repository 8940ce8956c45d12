//! A shop with a cart, a login, and a list of devices.

use axum::http::{HeaderMap, header::USER_AGENT};
use axum::routing::{get, post};
use axum::{Form, Router};
use session_kit::axum::{Authenticated, Rejection, Session, SessionLayer};
use session_kit::{CookiePolicy, Device, Key, Login, Namespace, Policy, SessionManager, UserId};

const CART: Key<Vec<u32>> = Key::new("cart");

async fn add_to_cart(session: Session, product: String) -> Result<(), Rejection> {
    let product = product.parse().unwrap_or_default();
    Ok(session.update(CART, move |cart| cart.push(product))?) // run again if another tab was faster: nothing is lost
}

async fn cart(session: Session) -> Result<String, Rejection> {
    Ok(format!("{:?}", session.get(CART)?.unwrap_or_default()))
}

async fn log_in(
    session: Session,
    headers: HeaderMap,
    Form(form): Form<Credentials>,
) -> Result<&'static str, Rejection> {
    let Some(user) = check_password(&form) else { return Ok("wrong name or password") };
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
    let device = Device::new().with_user_agent(agent);
    session.login(Login::new(user).method("pwd").device(device).carry_over(CART))?; // a new session: only the cart is kept
    Ok("welcome")
}

async fn devices(session: Authenticated) -> Result<String, Rejection> {
    let list = session.manager().list(session.user()).await?;
    Ok(list.iter().map(|entry| format!("{}\n", entry.device.user_agent().unwrap_or("unknown"))).collect())
}

async fn log_out_everywhere(session: Authenticated) -> Result<(), Rejection> {
    session.logout()?;
    session.commit().await?; // this one first, with its cookie
    session.manager().revoke_all(session.user()).await?; // obeyed by every node: at the next request, or soon with a cache
    Ok(())
}

/// The site, for tests too.
pub(crate) fn app(sessions: SessionManager) -> Router {
    let routes = Router::new().route("/cart", get(cart).post(add_to_cart)).route("/login", post(log_in));
    let routes = routes.route("/devices", get(devices)).route("/logout-everywhere", post(log_out_everywhere));
    routes.layer(SessionLayer::new(sessions)) // commits before the response is sent
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // memory:, sqlite:sessions.db, redis://…, postgres://…: nothing else changes with it
    let url = std::env::var("SESSION_STORE").unwrap_or("memory:".to_owned());
    let store = session_kit::open(&url, Namespace::new("shop")?).await?;
    // Without https, some browsers need this; in production: Policy::standard().
    let policy = Policy::standard().to_builder().cookie(CookiePolicy::local_development("shop")?).build()?;
    let sessions = SessionManager::new(store, policy);
    tokio::spawn(sessions.clone().sweep()); // deletes what has expired
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app(sessions)).await?)
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
