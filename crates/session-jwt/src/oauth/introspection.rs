//! What a token is worth now (RFC 7662).

use serde_json::{Map, Value, json};
use session_core::PresentedToken;
use session_core::adapter::RequestHead;

use super::answer::{Answer, Refused};
use super::clients::ClientStatus;
use super::endpoint::{TokenEndpoint, fields, token_type};
use crate::tokens::payload::numeric_date;

impl TokenEndpoint {
    /// Tells a client that has authenticated whether a token is good, and of whom it is: an access token of this issuer whose
    /// session is alive. One that is bound to a key has a `cnf` (RFC 9449, section 6.2): whoever asks verifies the proof. Uses nothing
    /// up. One round trip.
    ///
    /// Of a refresh token it tells the client that it was granted to, which says what it is (`token_type_hint=refresh_token`),
    /// whether it is the current one of a live session. To everybody else it is no active token: a gateway that is shown one
    /// must not take it for an access token.
    pub async fn introspect(&self, head: &impl RequestHead, body: &[u8]) -> Answer {
        self.tell(head, body).await.unwrap_or_else(Answer::from)
    }

    async fn tell(&self, head: &impl RequestHead, body: &[u8]) -> Result<Answer, Refused> {
        let fields = fields(head, body)?;
        let client = match self.identify(head, &fields).await? {
            Some((client, ClientStatus::Authenticated)) => client,
            Some((_, ClientStatus::Public | ClientStatus::Unknown)) | None => return Err(Refused::CLIENT),
        };
        let token = fields.text("token")?.ok_or(Refused::NO_TOKEN)?;
        let is_asked_for = fields.text("token_type_hint")? == Some("refresh_token");
        let of_token = match PresentedToken::parse(token.as_bytes()) {
            Ok(token) if is_asked_for => self.of_refresh_token(&token, &client).await?,
            Ok(_) => None,
            Err(_) => self.of_access_token(token).await?,
        };
        let mut members = of_token.unwrap_or_default();
        let is_active = !members.is_empty();
        members.insert("active".to_owned(), is_active.into());
        Ok(Answer::json(200, Value::Object(members)))
    }

    async fn of_access_token(&self, token: &str) -> Result<Option<Map<String, Value>>, Refused> {
        let Ok(claims) = self.tokens.verify_for_any(token) else { return Ok(None) };
        if self.tokens.check_session(&claims).await?.is_none() {
            return Ok(None);
        }
        let Ok(mut members) = claims.application::<Map<String, Value>>() else { return Ok(None) };
        members.insert("token_type".to_owned(), token_type(claims.key().is_some()).into());
        Ok(Some(members))
    }

    async fn of_refresh_token(
        &self,
        token: &PresentedToken,
        client: &str,
    ) -> Result<Option<Map<String, Value>>, Refused> {
        let Some((session, grant)) = self.tokens.manager().inspect_refresh_token(token).await? else { return Ok(None) };
        if grant.client() != Some(client) || !self.tokens.is_ours(&grant) {
            return Ok(None);
        }
        let Some(user) = session.user() else { return Ok(None) };
        let policy = self.tokens.tokens().policy();
        let mut members = json!({
            "iss": policy.issuer(),
            "sub": user.as_str(),
            "client_id": client,
            "sid": session.id,
            "iat": numeric_date(session.created_at),
            "exp": numeric_date(session.deadline()),
        });
        if !grant.scope().is_empty() {
            members["scope"] = grant.scope().as_str().into();
        }
        Ok(members.as_object().cloned())
    }
}
