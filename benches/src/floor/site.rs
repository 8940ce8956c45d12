//! The floors of whole requests: bare axum handlers that find the cookie and do the least that could do the job. Of a stored value,
//! they decode only what they need.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use session_core::{Entropy as _, OsEntropy};
use sha2::Sha256;

use super::store::FloorStore;
use crate::op::Failure;
use crate::payload::{Item, Payload, Profile};

/// The name of the cookie, with the equals sign; the same as in the standard policy.
const COOKIE_NAME: &str = "__Host-id=";

#[derive(Clone)]
struct Floor {
    store: FloorStore,
    mac: Hmac<Sha256>,
}

type Answer<T> = Result<T, StatusCode>;
type SetCookie<T = String> = [(HeaderName, T); 1];

/// An application without sessions, and without any layer.
pub(crate) fn bare() -> Router {
    Router::new().route("/untouched", get(|| async { "ok" })).route("/anonymous", get(|| async { "ok" }))
}

/// The routes of the application with sessions.
pub(crate) fn site(store: FloorStore) -> Result<Router, Failure> {
    let mac = Hmac::<Sha256>::new_from_slice(&[7; 32])?;
    Ok(Router::new()
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/count", post(write))
        .route("/populate", post(populate))
        .route("/login/{user}", post(login))
        .route("/logout", post(logout))
        .route("/token", post(token))
        .route("/token/refresh", post(refresh))
        .route("/me", get(me))
        .with_state(Floor { store, mac })
        .merge(bare()))
}

fn failed<E>(_: E) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

fn key(headers: &HeaderMap) -> Answer<&str> {
    let cookies = headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let found = cookies.split("; ").find_map(|pair| pair.strip_prefix(COOKIE_NAME));
    found.ok_or(StatusCode::UNAUTHORIZED)
}

/// 32 random bytes, as text.
fn new_key() -> Answer<String> {
    let mut key = [0; 32];
    OsEntropy.fill(&mut key).map_err(failed)?;
    Ok(URL_SAFE_NO_PAD.encode(key))
}

fn set_cookie(key: &str) -> SetCookie {
    [(SET_COOKIE, format!("{COOKIE_NAME}{key}; HttpOnly; Secure; SameSite=Lax; Path=/"))]
}

async fn stored(floor: &Floor, key: &str) -> Answer<Arc<[u8]>> {
    floor.store.get(key).await.map_err(failed)?.ok_or(StatusCode::UNAUTHORIZED)
}

fn decoded<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Answer<T> {
    serde_json::from_slice(value).map_err(failed)
}

fn json<T: Serialize>(value: &T) -> Answer<Vec<u8>> {
    serde_json::to_vec(value).map_err(failed)
}

/// What a handler reads.
#[derive(Deserialize)]
struct OnlyVisits {
    visits: u64,
}

/// A [`Payload`] of a user.
#[derive(Serialize)]
struct LoggedIn<'a> {
    user: &'a str,
    cart: &'a [Item],
    profile: &'a Profile,
    visits: u64,
    last_viewed: &'a [String],
}

async fn read(State(floor): State<Floor>, headers: HeaderMap) -> Answer<String> {
    let stored = stored(&floor, key(&headers)?).await?;
    Ok(decoded::<OnlyVisits>(&stored)?.visits.to_string())
}

async fn write(State(floor): State<Floor>, headers: HeaderMap) -> Answer<String> {
    let key = key(&headers)?;
    let stored = stored(&floor, key).await?;
    let mut value: Payload = decoded(&stored)?;
    value.visits += 1;
    floor.store.set(key, &json(&value)?).await.map_err(failed)?;
    Ok(value.visits.to_string())
}

async fn populate(State(floor): State<Floor>, Json(payload): Json<Payload>) -> Answer<(SetCookie, &'static str)> {
    let key = new_key()?;
    floor.store.create(&key, "", &json(&payload)?).await.map_err(failed)?;
    Ok((set_cookie(&key), "ok"))
}

async fn login(
    State(floor): State<Floor>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Answer<(SetCookie, &'static str)> {
    let (old, new) = (key(&headers)?, new_key()?);
    let stored = stored(&floor, old).await?;
    let Payload { cart, profile, visits, last_viewed } = decoded(&stored)?;
    let value = LoggedIn { user: &user, cart: &cart, profile: &profile, visits, last_viewed: &last_viewed };
    floor.store.rename(old, &new, &json(&value)?).await.map_err(failed)?;
    Ok((set_cookie(&new), "ok"))
}

async fn logout(State(floor): State<Floor>, headers: HeaderMap) -> Answer<(SetCookie<&'static str>, &'static str)> {
    floor.store.remove(key(&headers)?).await.map_err(failed)?;
    Ok(([(SET_COOKIE, "__Host-id=; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=0")], "ok"))
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

/// What is stored under a refresh token.
#[derive(Serialize, Deserialize)]
struct Owner<'a> {
    user: &'a str,
}

#[derive(Serialize)]
struct Tokens<'a> {
    access_token: &'a str,
    refresh_token: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    exp: u64,
    iat: u64,
    jti: &'a str,
    sid: &'a str,
}

#[derive(Deserialize)]
struct OnlySubject {
    sub: String,
}

/// The answer: the refresh token, and a signed token with 200 bytes of claims.
fn tokens(floor: &Floor, user: &str, refresh_token: &str) -> Answer<Vec<u8>> {
    let claims = Claims {
        iss: "https://login.example",
        aud: "https://api.example",
        sub: user,
        exp: 4_102_444_800,
        iat: 1_767_225_600,
        jti: &new_key()?,
        sid: "AAAAAAAAAAAAAAAAAAAAAA",
    };
    let mut access_token = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.".to_owned();
    URL_SAFE_NO_PAD.encode_string(json(&claims)?, &mut access_token);
    let tag = floor.mac.clone().chain_update(&access_token).finalize().into_bytes();
    access_token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag, &mut access_token);
    json(&Tokens { access_token: &access_token, refresh_token })
}

async fn token(State(floor): State<Floor>, Json(credentials): Json<Credentials>) -> Answer<Vec<u8>> {
    let (refresh_token, user) = (new_key()?, credentials.username);
    floor.store.create(&refresh_token, "", &json(&Owner { user: &user })?).await.map_err(failed)?;
    tokens(&floor, &user, &refresh_token)
}

async fn refresh(State(floor): State<Floor>, Json(request): Json<Refresh>) -> Answer<Vec<u8>> {
    let stored = stored(&floor, &request.refresh_token).await?;
    let Owner { user } = decoded(&stored)?;
    floor.store.set(&request.refresh_token, &stored).await.map_err(failed)?;
    tokens(&floor, user, &request.refresh_token)
}

async fn me(State(floor): State<Floor>, headers: HeaderMap) -> Answer<String> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header.strip_prefix("Bearer ").ok_or(StatusCode::UNAUTHORIZED)?;
    let (message, tag) = token.rsplit_once('.').ok_or(StatusCode::UNAUTHORIZED)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(failed)?;
    floor.mac.clone().chain_update(message).verify_slice(&tag).map_err(failed)?;
    let claims = message.split_once('.').ok_or(StatusCode::UNAUTHORIZED)?.1;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(failed)?;
    Ok(decoded::<OnlySubject>(&claims)?.sub)
}
