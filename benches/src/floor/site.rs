//! The floors of whole requests: bare axum handlers that find the cookie and do the least that could do the job.

use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use session_core::{OsEntropy, SessionId};
use sha2::Sha256;

use super::store::FloorStore;
use crate::op::Failure;
use crate::payload::Payload;

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
    let half = || SessionId::generate(None, &OsEntropy).map_err(failed);
    Ok(format!("{}{}", half()?, half()?))
}

fn set_cookie(key: &str) -> SetCookie {
    [(SET_COOKIE, format!("{COOKIE_NAME}{key}; HttpOnly; Secure; SameSite=Lax; Path=/"))]
}

async fn stored<T: DeserializeOwned>(floor: &Floor, key: &str) -> Answer<T> {
    let stored = floor.store.get(key).await.map_err(failed)?.ok_or(StatusCode::UNAUTHORIZED)?;
    serde_json::from_slice(&stored).map_err(failed)
}

fn json<T: Serialize>(value: &T) -> Answer<Vec<u8>> {
    serde_json::to_vec(value).map_err(failed)
}

async fn read(State(floor): State<Floor>, headers: HeaderMap) -> Answer<String> {
    let payload: Payload = stored(&floor, key(&headers)?).await?;
    Ok(payload.visits.to_string())
}

async fn write(State(floor): State<Floor>, headers: HeaderMap) -> Answer<String> {
    let key = key(&headers)?;
    let mut payload: Payload = stored(&floor, key).await?;
    payload.visits += 1;
    floor.store.set(key, &json(&payload)?).await.map_err(failed)?;
    Ok(payload.visits.to_string())
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
    let payload = stored(&floor, old).await?;
    floor.store.rename(old, &new, &json(&LoggedIn { user, payload })?).await.map_err(failed)?;
    Ok((set_cookie(&new), "ok"))
}

async fn logout(State(floor): State<Floor>, headers: HeaderMap) -> Answer<(SetCookie<&'static str>, &'static str)> {
    floor.store.remove(key(&headers)?).await.map_err(failed)?;
    Ok(([(SET_COOKIE, "__Host-id=; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=0")], "ok"))
}

#[derive(Serialize)]
struct LoggedIn {
    user: String,
    #[serde(flatten)]
    payload: Payload,
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

/// A signed token with 200 bytes of claims.
fn access(floor: &Floor, user: &str) -> Answer<String> {
    let claims = json!({
        "iss": "https://login.example", "aud": "https://api.example", "sub": user, "exp": 4_102_444_800_u64,
        "iat": 1_767_225_600_u64, "jti": new_key()?, "sid": "AAAAAAAAAAAAAAAAAAAAAA",
    });
    let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).map_err(failed)?);
    let message = format!("eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.{claims}");
    let tag = floor.mac.clone().chain_update(&message).finalize().into_bytes();
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

async fn token(State(floor): State<Floor>, Json(credentials): Json<Credentials>) -> Answer<String> {
    let refresh_token = new_key()?;
    let value = json!({"user": credentials.username});
    floor.store.create(&refresh_token, "", value.to_string().as_bytes()).await.map_err(failed)?;
    let access_token = access(&floor, &credentials.username)?;
    Ok(json!({"access_token": access_token, "refresh_token": refresh_token}).to_string())
}

async fn refresh(State(floor): State<Floor>, Json(request): Json<Refresh>) -> Answer<String> {
    let value: Value = stored(&floor, &request.refresh_token).await?;
    let user = value["user"].as_str().unwrap_or_default();
    floor.store.set(&request.refresh_token, value.to_string().as_bytes()).await.map_err(failed)?;
    let access_token = access(&floor, user)?;
    Ok(json!({"access_token": access_token, "refresh_token": request.refresh_token}).to_string())
}

async fn me(State(floor): State<Floor>, headers: HeaderMap) -> Answer<String> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header.strip_prefix("Bearer ").ok_or(StatusCode::UNAUTHORIZED)?;
    let (message, tag) = token.rsplit_once('.').ok_or(StatusCode::UNAUTHORIZED)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(failed)?;
    floor.mac.clone().chain_update(message).verify_slice(&tag).map_err(failed)?;
    let claims = message.split_once('.').ok_or(StatusCode::UNAUTHORIZED)?.1;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).map_err(failed)?).map_err(failed)?;
    Ok(claims["sub"].as_str().unwrap_or_default().to_owned())
}
