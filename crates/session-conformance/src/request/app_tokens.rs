//! [`send`]: a token request through the adapter, and what its response says.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::node::Node;
use crate::adapter::{HttpResponse, TokenRequest};
use crate::refusal::Refusal;

/// What an app gets: its refresh token, and of whom the access token speaks.
pub(super) struct AppTokens {
    pub(super) refresh: String,
    pub(super) user: Option<String>,
}

/// Sends `request` through the adapter of the case. The tokens are `None` where the response has none: a refresh token that is
/// refused, a revocation. `None` if the adapter has no token routes.
pub(super) async fn send(node: &Node, request: TokenRequest) -> Option<Result<Option<AppTokens>, Refusal>> {
    if !node.has_token_routes() {
        return None;
    }
    let is_empty = match &request {
        TokenRequest::Refresh { refresh_token: token } | TokenRequest::Revoke { token } => token.is_empty(),
        TokenRequest::LogIn { .. } => false,
    };
    let response = node.env().adapter().send_token_request(node.manager().clone(), request).await;
    Some(response.map_err(Refusal::from).and_then(|response| match read(node, &response) {
        // As if it were missing.
        Err(refusal) if is_empty && refusal == Refusal::INVALID_REQUEST => Ok(None),
        answer => answer,
    }))
}

fn read(node: &Node, response: &HttpResponse) -> Result<Option<AppTokens>, Refusal> {
    let broken = |what: &str| {
        let body = String::from_utf8_lossy(&response.body);
        Refusal::broken(format!("{what}: status {}, body {body}", response.status))
    };
    if !response.header("cache-control").any(|value| value.contains("no-store")) {
        return Err(broken("a token response without Cache-Control: no-store"));
    }
    let body: Value = serde_json::from_slice(&response.body).map_err(|_| broken("no JSON"))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    match (response.status, text("error")) {
        (200, None) => match (text("refresh_token"), text("access_token")) {
            (Some(refresh), Some(access)) => {
                let user = Some(subject(access).ok_or_else(|| broken("an access token without a subject"))?);
                Ok(Some(AppTokens { refresh: refresh.to_owned(), user }))
            }
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(broken("half of the tokens")),
        },
        (400, Some("invalid_grant")) => Ok(None),
        (400, Some("invalid_request")) => Err(Refusal::INVALID_REQUEST),
        // OAuth does not tell the causes apart.
        (503, Some("temporarily_unavailable")) if node.is_without_entropy() => Err(Refusal::ENTROPY),
        (503, Some("temporarily_unavailable")) => Err(Refusal::STORE),
        (409, Some("session_limit_reached")) => Err(Refusal::LIMIT_REACHED),
        (409, Some("session_conflict")) => Err(Refusal::CONFLICT),
        (_, _) => Err(broken("an unexpected answer")),
    }
}

/// `sub` of an access token, which is not verified: that is not what the suite is about.
fn subject(access: &str) -> Option<String> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(access.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    Some(claims.get("sub")?.as_str()?.to_owned())
}
