//! [`Clients`]: which applications may ask for tokens, and how a request names its client.

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use session_core::adapter::RequestHead;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::answer::Refused;
use super::fields::Fields;
use crate::dpop::policy::DpopMode;
use crate::token_service::AccountsError;

/// The clients of an authorization server. Without it, every client is public and none is known: names are only kept.
#[async_trait]
pub trait Clients: fmt::Debug + Send + Sync + 'static {
    /// Who `client` is, which presents `secret`, or none.
    ///
    /// ```
    /// use async_trait::async_trait;
    /// use session_jwt::{AccountsError, ClientSecret, ClientStatus, Clients};
    ///
    /// #[derive(Debug)]
    /// struct Registered;
    ///
    /// #[async_trait]
    /// impl Clients for Registered {
    ///     async fn status(&self, client: &str, secret: Option<&ClientSecret>) -> Result<ClientStatus, AccountsError> {
    ///         Ok(match (client, secret) {
    ///             ("mobile-app", _) => ClientStatus::Public,
    ///             ("gateway", Some(secret)) if secret.is(std::env::var("GATEWAY").unwrap_or_default().as_bytes()) => {
    ///                 ClientStatus::Authenticated
    ///             }
    ///             _ => ClientStatus::Unknown,
    ///         })
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// If it cannot be told now: 503.
    async fn status(&self, client: &str, secret: Option<&ClientSecret>) -> Result<ClientStatus, AccountsError>;

    /// Whether the tokens of this client are bound to its key (RFC 9449; `dpop_bound_access_tokens` of its section 5.2). `None`,
    /// unless an implementation says otherwise: as [`Dpop::mode`](crate::Dpop::mode) says. Without a
    /// [`Dpop`](crate::Dpop) at the routes, nobody is asked.
    ///
    /// # Errors
    /// If it cannot be told now: 503.
    async fn dpop(&self, client: &str) -> Result<Option<DpopMode>, AccountsError> {
        let _ = client;
        Ok(None)
    }
}

/// The answer of [`Clients::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStatus {
    /// It has no secret: an application in a browser or on a device. May log its users in, and refresh and revoke their tokens.
    Public,
    /// It has a secret, and this is it. May introspect tokens too.
    Authenticated,
    /// There is no such client, or it has another secret.
    Unknown,
}

/// What a client says is its secret. Wiped on drop; `Debug` hides it.
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// Whether it is `secret`, in time that does not depend on where they differ. An empty one is none.
    #[must_use]
    pub fn is(&self, secret: &[u8]) -> bool {
        !secret.is_empty() && bool::from(self.0.as_bytes().ct_eq(secret))
    }

    /// The text, to compare it with a hash.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// How a request names its client: in `Authorization: Basic`, or in the body (RFC 6749, section 2.3.1).
pub(super) struct PresentedClient {
    /// As it was sent; and percent-decoded, if that is something else. Clients differ: the RFC wants it encoded, and many do
    /// not.
    spellings: Vec<(String, Option<ClientSecret>)>,
}

impl PresentedClient {
    pub(super) fn read(head: &impl RequestHead, fields: &Fields) -> Result<Option<Self>, Refused> {
        let in_body = fields.text("client_id")?;
        let secret_in_body = fields.text("client_secret")?.map(secret);
        let Some(basic) = basic(head)? else {
            return Ok(in_body.map(|id| Self { spellings: vec![(id.to_owned(), secret_in_body)] }));
        };
        let (id, text) = basic.split_once(':').ok_or(Refused::CLIENT)?;
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
        };
        let raw = (id.to_owned(), text.to_owned());
        let decoded = decoded(id).zip(decoded(text)).filter(|decoded| *decoded != raw);
        let is_named = |spelling: &(String, String)| in_body.is_none_or(|named| named == spelling.0);
        if secret_in_body.is_some() || ![Some(&raw), decoded.as_ref()].into_iter().flatten().any(is_named) {
            return Err(Refused::CLIENT_TWICE);
        }
        let spelling = |(id, text): (String, String)| {
            let text = Zeroizing::new(text);
            (id, (!text.is_empty()).then_some(ClientSecret(text)))
        };
        let spellings = [Some(raw), decoded].into_iter().flatten().filter(|one| !one.0.is_empty()).map(spelling);
        Ok(Some(Self { spellings: spellings.collect() }).filter(|client| !client.spellings.is_empty()))
    }

    /// One that says nothing, as `id`.
    pub(super) fn named(id: &str) -> Self {
        Self { spellings: vec![(id.to_owned(), None)] }
    }

    /// The name, and who that is. Without `clients` nobody is known.
    pub(super) async fn identify(
        &self,
        clients: Option<&dyn Clients>,
    ) -> Result<Option<(&str, ClientStatus)>, Refused> {
        let Some(clients) = clients else {
            // The decoded one, which the RFC means.
            return Ok(self.spellings.last().map(|(id, _)| (id.as_str(), ClientStatus::Public)));
        };
        for (id, secret) in &self.spellings {
            match clients.status(id, secret.as_ref()).await.map_err(|_| Refused::LATER)? {
                ClientStatus::Unknown => {}
                known @ (ClientStatus::Public | ClientStatus::Authenticated) => return Ok(Some((id, known))),
            }
        }
        Ok(None)
    }
}

fn secret(text: &str) -> ClientSecret {
    ClientSecret(Zeroizing::new(text.to_owned()))
}

/// What is in `Authorization: Basic`; other schemes are not for these routes.
fn basic(head: &impl RequestHead) -> Result<Option<Zeroizing<String>>, Refused> {
    let mut values = head.values("authorization");
    let (Some(value), None) = (values.next(), values.next()) else {
        return if head.values("authorization").next().is_none() { Ok(None) } else { Err(Refused::CLIENT) };
    };
    let Some((scheme, encoded)) = std::str::from_utf8(value).ok().and_then(|value| value.split_once(' ')) else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| Refused::CLIENT)?;
    String::from_utf8(bytes).map(|text| Some(Zeroizing::new(text))).map_err(|_| Refused::CLIENT)
}
