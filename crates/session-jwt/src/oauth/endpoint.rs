//! [`TokenEndpoint`]: login, refresh and revocation as OAuth has them.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};
use session_core::adapter::{OriginGuard, PresentedCookie, RequestHead, TokenTransport, report_refusal};
use session_core::{DeleteOutcome, EventKind, Grant, KeyThumbprint, Login, PresentedToken, Scope};

use super::answer::{Answer, Refused};
use super::attempt::{Attempt, Pending, Refusal};
use super::clients::{ClientStatus, Clients, PresentedClient};
use super::fields::Fields;
use crate::dpop::policy::{Checked, Dpop, DpopMode};
use crate::dpop::proof::ProofError;
use crate::token_service::{AccountsError, TokenPair, TokenService};
use crate::tokens::access_tokens::AccessToken;

/// What is behind the token routes of an adapter, without types of a framework. An adapter shows a request as
/// [`RequestHead`] and bytes, asks the application about credentials in between, and turns the [`Answer`] into a response.
#[derive(Clone)]
#[must_use]
pub struct TokenEndpoint {
    pub(super) tokens: Arc<TokenService>,
    transport: TokenTransport,
    guard: OriginGuard,
    pub(super) clients: Option<Arc<dyn Clients>>,
    dpop: Option<Arc<Dpop>>,
}

/// Which route a token request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRoute {
    /// `/token`: without a `grant_type`, JSON is a login.
    Token,
    /// `/token/refresh`: without a `grant_type`, it is a refresh.
    Refresh,
}

/// What is to be done for a token request.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// It is answered.
    Answer(Answer),
    /// The application judges the credentials, then [`TokenEndpoint::finish`] is called.
    Login(LoginRequest),
    /// The application judges the second factor of this login, then [`TokenEndpoint::finish`] is called.
    SecondFactor(Pending, LoginRequest),
}

/// A login that waits for the judgement of the application.
#[derive(Debug)]
pub struct LoginRequest {
    fields: Fields,
    client: Option<(String, ClientStatus)>,
    replaces: PresentedCookie,
    /// Used up once the application has judged: nobody without an account fills memory.
    proof: Option<Checked>,
    /// How often the second factor was tried, if it is about that.
    attempts: Option<u32>,
}

impl LoginRequest {
    /// The parameters.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }
}

impl TokenEndpoint {
    /// Refresh tokens travel in bodies, and all clients are public.
    pub fn new(tokens: Arc<TokenService>) -> Self {
        Self { tokens, transport: TokenTransport::body(), guard: OriginGuard::new(), clients: None, dpop: None }
    }

    /// How refresh tokens travel.
    pub fn transport(self, transport: TokenTransport) -> Self {
        Self { transport, ..self }
    }

    /// What keeps other sites away, if they travel in a cookie.
    pub fn origin_guard(self, guard: OriginGuard) -> Self {
        Self { guard, ..self }
    }

    /// Which clients there are.
    pub fn clients(self, clients: Arc<dyn Clients>) -> Self {
        Self { clients: Some(clients), ..self }
    }

    /// Binds tokens to the keys of their clients.
    pub fn with_dpop(self, dpop: Dpop) -> Self {
        Self { dpop: Some(Arc::new(dpop)), ..self }
    }

    /// What binds tokens to the keys of their clients, unless it is off.
    pub(super) fn dpop(&self) -> Option<&Dpop> {
        self.dpop.as_deref().filter(|dpop| dpop.current_mode() != DpopMode::Off)
    }

    /// The service.
    #[must_use]
    pub fn tokens(&self) -> &Arc<TokenService> {
        &self.tokens
    }

    /// Whether clients can authenticate, and so ask about tokens.
    #[must_use]
    pub fn has_clients(&self) -> bool {
        self.clients.is_some()
    }

    /// Begins a token request; a refresh is done with that.
    pub async fn token(&self, head: &impl RequestHead, body: &[u8], route: TokenRoute) -> Step {
        match self.begin(head, body, route).await {
            Ok(Step::Answer(answer)) => Step::Answer(self.with_nonce(head, answer)),
            Ok(step) => step,
            Err(refused) => Step::Answer(self.with_nonce(head, refused.into())),
        }
    }

    /// The answer, with the next nonce for a client that sends proofs.
    fn with_nonce(&self, head: &impl RequestHead, answer: Answer) -> Answer {
        match &self.dpop {
            Some(dpop) if head.values("dpop").next().is_some() => {
                answer.with_nonce(dpop.nonce(self.tokens.manager().now()))
            }
            Some(_) | None => answer,
        }
    }

    async fn begin(&self, head: &impl RequestHead, body: &[u8], route: TokenRoute) -> Result<Step, Refused> {
        self.check_origin(head)?;
        let fields = fields(head, body)?;
        let is_refresh = match (fields.text("grant_type")?, route) {
            (Some("password"), _) => false,
            (Some("refresh_token"), _) | (None, TokenRoute::Refresh) => true,
            (None, TokenRoute::Token) if fields.is_form() => return Err(Refused::NO_GRANT_TYPE),
            (None, TokenRoute::Token) => false,
            (Some(_), _) => return Err(Refused::GRANT_TYPE),
        };
        let client = self.identify(head, &fields).await?;
        if is_refresh {
            return self.refresh(head, &fields, client).await.map(Step::Answer);
        }
        let proof = self.proof(head, client.as_ref().map(|(client, _)| client.as_str())).await?;
        let key = proof.as_ref().map(|proof| proof.key.thumbprint());
        let replaces = if self.transport.is_cookie() {
            self.transport.presented(head)
        } else {
            fields.text("refresh_token")?.map_or(PresentedCookie::Nothing, presented)
        };
        // What nobody can grant need not be asked for; what is granted decides the application.
        let _ = fields.text("scope")?.map(Scope::parse).transpose().map_err(|_| Refused::SCOPE)?;
        let Some(ticket) = fields.text("mfa_token")? else {
            return Ok(Step::Login(LoginRequest { fields, client, replaces, proof, attempts: None }));
        };
        let pending: Option<Pending> = self.tokens.manager().redeem_ticket(Pending::PURPOSE, ticket).await?;
        let named = client.as_ref().map(|(client, _)| client);
        let is_same = |pending: &Pending| {
            pending.client.as_ref() == named && pending.key == key.as_ref().map(KeyThumbprint::to_string)
        };
        let Some(pending) = pending.filter(is_same) else {
            report_refusal(self.tokens.manager(), head, EventKind::LoginRefused);
            return Err(Refused::GRANT);
        };
        let attempts = Some(pending.attempts());
        Ok(Step::SecondFactor(pending, LoginRequest { fields, client, replaces, proof, attempts }))
    }

    /// Answers a login when the application has judged it.
    pub async fn finish(
        &self,
        head: &impl RequestHead,
        request: LoginRequest,
        attempt: Result<Attempt, AccountsError>,
    ) -> Answer {
        let answer = match attempt {
            Err(_) => Refused::LATER.into(),
            Ok(Attempt::Accepted(login)) => match self.log_in(head, login, request).await {
                Ok(answer) => answer,
                Err(refused) => refused.into(),
            },
            Ok(Attempt::Refused(refusal)) => {
                report_refusal(self.tokens.manager(), head, EventKind::LoginRefused);
                refusal.into()
            }
            Ok(Attempt::SecondFactor(pending)) => self.continue_with(head, pending, request).await,
        };
        self.with_nonce(head, answer)
    }

    /// The answer to credentials that are not there, or not of the type that the application has for them.
    pub fn incomplete(&self) -> Answer {
        Refused::CREDENTIALS.into()
    }

    async fn log_in(&self, head: &impl RequestHead, login: Login, request: LoginRequest) -> Result<Answer, Refused> {
        let key = self.used(head, request.proof).await?;
        let login = match &request.client {
            Some((client, _)) if login.granted().client().is_none() => {
                let grant = login.granted().clone().with_client(client.as_str()).map_err(|_| Refused::CLIENT)?;
                login.grant(grant)
            }
            Some(_) | None => login,
        };
        // What a client with a secret may do with its refresh token is up to that secret (RFC 9449, section 5).
        let login = match (key, &request.client) {
            (Some(key), None | Some((_, ClientStatus::Public | ClientStatus::Unknown))) => login.bound_to(key),
            (Some(_), Some((_, ClientStatus::Authenticated))) | (None, _) => login,
        };
        Ok(self.pair(&self.tokens.login_in_place_of(login, &request.replaces, key).await?))
    }

    async fn continue_with(&self, head: &impl RequestHead, pending: Pending, request: LoginRequest) -> Answer {
        let key = match self.used(head, request.proof).await {
            Ok(key) => key,
            Err(refused) => return refused.into(),
        };
        let mut pending = match request.attempts {
            None => pending,
            // A second factor that was wrong.
            Some(attempts) => {
                report_refusal(self.tokens.manager(), head, EventKind::LoginRefused);
                if attempts + 1 >= Pending::MAX_ATTEMPTS {
                    return Refusal::credentials().into();
                }
                pending.after(attempts + 1)
            }
        };
        pending.client = request.client.map(|(client, _)| client);
        pending.key = key.as_ref().map(KeyThumbprint::to_string);
        match self.tokens.manager().issue_ticket(Pending::PURPOSE, &pending, Pending::LIFETIME).await {
            Ok(ticket) => pending.into_refusal(ticket.expose()).into(),
            Err(error) => Refused::from(error).into(),
        }
    }

    async fn refresh(
        &self,
        head: &impl RequestHead,
        fields: &Fields,
        client: Option<(String, ClientStatus)>,
    ) -> Result<Answer, Refused> {
        let presented = if self.transport.is_cookie() {
            self.transport.presented(head)
        } else {
            presented(fields.text("refresh_token")?.ok_or(Refused::NO_TOKEN)?)
        };
        if matches!(presented, PresentedCookie::Malformed) {
            report_refusal(self.tokens.manager(), head, EventKind::MalformedToken);
            return Err(Refused::GRANT);
        }
        let scope = fields.text("scope")?.map(Scope::parse).transpose().map_err(|_| Refused::SCOPE)?;
        let named = client.as_ref().map(|(client, _)| client.as_str());
        let proof = self.proof(head, named).await?;
        let key = proof.as_ref().map(|proof| proof.key.thumbprint());
        let mut verified = self.tokens.verify_refresh(&presented, key.as_ref()).await?;
        // The policy of whom it was granted to, whomever the request names.
        let proof = match (verified.grant().client(), verified.key()) {
            (Some(owner), None) if named.is_none() => match self.mode_of(Some(owner)).await? {
                DpopMode::Off => None,
                DpopMode::Optional => proof,
                DpopMode::Required => Some(proof.ok_or_else(|| self.missing(head))?),
            },
            _ => proof,
        };
        match (verified.grant().client().map(str::to_owned), client) {
            // To nobody, or before clients had names.
            (None, _) => {}
            (Some(granted), Some((named, _))) if granted == named => {}
            (Some(_), Some(_)) => {
                report_refusal(self.tokens.manager(), head, EventKind::UnknownToken);
                return Err(Refused::GRANT);
            }
            // A name alone proves nothing, and many clients leave it out. A secret cannot be left out.
            (Some(granted), None) => {
                let silent = PresentedClient::named(&granted);
                silent.identify(self.clients.as_deref()).await?.ok_or(Refused::CLIENT)?;
            }
        }
        let key = self.used(head, proof).await?;
        // Where an application has no scopes, clients repeat the one that they asked for: they were not told otherwise.
        if let Some(scope) = scope.filter(|_| !verified.grant().scope().is_empty()) {
            verified.narrow(scope).map_err(|_| Refused::SCOPE)?;
        }
        let claims = self.tokens.claims_of(&verified).await?;
        if self.transport.is_cookie() && verified.is_settling(self.tokens.manager().now()) {
            let (access, scope) = self.tokens.kept(&verified, &claims, key).await?;
            return Ok(Answer::json(200, members(&access, &scope, key.is_some())));
        }
        Ok(self.pair(&self.tokens.rotated(verified, &claims, key).await?))
    }

    /// Ends the session of the token in the body, a refresh token or an access token (RFC 7009), and those of the cookie.
    pub async fn revoke(&self, head: &impl RequestHead, body: &[u8]) -> Answer {
        self.end(head, body).await.unwrap_or_else(Answer::from)
    }

    async fn end(&self, head: &impl RequestHead, body: &[u8]) -> Result<Answer, Refused> {
        self.check_origin(head)?;
        let fields = fields(head, body)?;
        let client = self.identify(head, &fields).await?;
        let (token, cookie) = (fields.text("token")?, self.transport.presented(head));
        if token.is_none() && matches!(cookie, PresentedCookie::Nothing) {
            return Err(Refused::NO_TOKEN);
        }
        if let Some(token) = token {
            self.end_token(head, token, client.as_ref().map(|(client, _)| client.as_str())).await?;
        }
        let ended = self.tokens.manager().revoke_presented(&cookie).await?;
        let answer = Answer::json(200, json!({}));
        // A client whose cookie names a session that ended before may have a newer cookie by now.
        let is_useless = matches!(cookie, PresentedCookie::Malformed | PresentedCookie::Several { .. });
        if ended == DeleteOutcome::Deleted || is_useless {
            return Ok(answer.with_cookie(self.transport.remove(), self.transport.remove_former()));
        }
        Ok(answer)
    }

    /// Ends the session of a token, unless `client` names itself and it is another's (RFC 7009, section 2.1).
    async fn end_token(&self, head: &impl RequestHead, token: &str, client: Option<&str>) -> Result<(), Refused> {
        let manager = self.tokens.manager();
        let refresh = PresentedToken::parse(token.as_bytes()).ok();
        if let (Some(refresh), Some(client)) = (&refresh, client)
            && let Some((_, grant)) = manager.inspect_refresh_token(refresh).await?
            && grant.client().is_some_and(|owner| owner != client)
        {
            report_refusal(manager, head, EventKind::UnknownToken);
            return Err(Refused::GRANT);
        }
        let outcome = self.tokens.revoke(token).await?;
        if outcome == DeleteOutcome::Absent && refresh.is_none() {
            report_refusal(manager, head, EventKind::InvalidAccessToken);
        }
        Ok(())
    }

    fn pair(&self, pair: &TokenPair) -> Answer {
        let mut body = members(&pair.access, &pair.scope, pair.key.is_some());
        let cookie = self.transport.set(&pair.refresh, &pair.session, self.tokens.manager().now());
        if cookie.is_none() {
            body["refresh_token"] = pair.refresh.expose().into();
        }
        Answer::json(200, body).with_cookie(cookie, self.transport.remove_former())
    }

    fn check_origin(&self, head: &impl RequestHead) -> Result<(), Refused> {
        if self.transport.is_cookie() {
            // Each route is a `POST`, which is guarded with and without a session cookie.
            self.guard.check(self.tokens.manager(), head, &PresentedCookie::Nothing)?;
        }
        Ok(())
    }

    /// The proof of possession of a request, as far as it must have one. It is not used up yet.
    async fn proof(&self, head: &impl RequestHead, client: Option<&str>) -> Result<Option<Checked>, Refused> {
        let Some(dpop) = &self.dpop else { return Ok(None) };
        let mode = self.mode_of(client).await?;
        let now = self.tokens.manager().now();
        match mode {
            DpopMode::Off => return Ok(None),
            // By whom it was granted to, that is yet to be seen.
            DpopMode::Required if client.is_none() && self.clients.is_some() => {}
            DpopMode::Required if head.values("dpop").next().is_none() => return Err(self.missing(head)),
            DpopMode::Optional | DpopMode::Required => {}
        }
        dpop.check(head, None, None, now).map_err(|error| self.refuse(head, &error))
    }

    /// Whether the tokens of `client` are bound.
    async fn mode_of(&self, client: Option<&str>) -> Result<DpopMode, Refused> {
        let Some(dpop) = &self.dpop else { return Ok(DpopMode::Off) };
        let of_client = match (client, &self.clients) {
            (Some(client), Some(clients)) => clients.dpop(client).await.map_err(|_| Refused::LATER)?,
            _ => None,
        };
        Ok(of_client.unwrap_or(dpop.current_mode()))
    }

    fn missing(&self, head: &impl RequestHead) -> Refused {
        report_refusal(self.tokens.manager(), head, EventKind::InvalidProof);
        Refused::PROOF
    }

    /// Uses the proof up.
    async fn used(&self, head: &impl RequestHead, proof: Option<Checked>) -> Result<Option<KeyThumbprint>, Refused> {
        let (Some(dpop), Some(proof)) = (&self.dpop, proof) else { return Ok(None) };
        let used = dpop.accept(proof, self.tokens.manager().now()).await;
        used.map(|key| Some(key.thumbprint())).map_err(|error| self.refuse(head, &error))
    }

    fn refuse(&self, head: &impl RequestHead, error: &ProofError) -> Refused {
        if error.is_of_client() {
            report_refusal(self.tokens.manager(), head, EventKind::InvalidProof);
        }
        tracing::debug!(target: "session", %error, "DPoP proof refused");
        error.into()
    }

    /// The client of a request, if it names one.
    pub(super) async fn identify(
        &self,
        head: &impl RequestHead,
        fields: &Fields,
    ) -> Result<Option<(String, ClientStatus)>, Refused> {
        let identified = self.identified(head, fields).await;
        if identified.as_ref().is_err_and(Refused::is_client) {
            report_refusal(self.tokens.manager(), head, EventKind::LoginRefused);
        }
        identified
    }

    async fn identified(
        &self,
        head: &impl RequestHead,
        fields: &Fields,
    ) -> Result<Option<(String, ClientStatus)>, Refused> {
        let Some(client) = PresentedClient::read(head, fields)? else { return Ok(None) };
        let (name, status) = client.identify(self.clients.as_deref()).await?.ok_or(Refused::CLIENT)?;
        // Before anything is judged: nothing is granted to one without a name.
        Grant::new().with_client(name).map_err(|_| Refused::CLIENT)?;
        Ok(Some((name.to_owned(), status)))
    }
}

/// The parameters of a request; none in an empty body, whatever it is said to be.
pub(super) fn fields(head: &impl RequestHead, body: &[u8]) -> Result<Fields, Refused> {
    let content_type = head.values("content-type").next().filter(|_| !body.is_empty());
    Fields::parse(content_type, body)
}

/// What a token response has in any case.
fn members(access: &AccessToken, scope: &Scope, is_bound: bool) -> Value {
    let mut body = json!({
        "access_token": access.expose(),
        "token_type": token_type(is_bound),
        "expires_in": access.expires_in().as_secs(),
    });
    if !scope.is_empty() {
        body["scope"] = scope.as_str().into();
    }
    body
}

/// How an access token is to be presented.
pub(super) const fn token_type(is_bound: bool) -> &'static str {
    if is_bound { "DPoP" } else { "Bearer" }
}

fn presented(text: &str) -> PresentedCookie {
    PresentedToken::parse(text.as_bytes()).map_or(PresentedCookie::Malformed, PresentedCookie::Token)
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint")
            .field("transport", &self.transport)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}
