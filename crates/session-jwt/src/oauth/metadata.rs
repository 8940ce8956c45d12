//! The documents that clients and gateways find the routes and keys by (RFC 8414, RFC 9728, RFC 7517).

use std::time::Duration;

use serde_json::json;

use super::answer::Answer;
use super::endpoint::TokenEndpoint;
use crate::dpop::policy::DpopMode;

/// Metadata changes with a release.
const METADATA_MAX_AGE: Duration = Duration::from_secs(3600);

impl TokenEndpoint {
    /// The document of the authorization server (RFC 8414), whose token routes are below `routes` and whose keys below `root`:
    /// URLs without a slash at the end.
    pub fn metadata(&self, routes: &str, root: &str) -> Answer {
        let methods = if self.has_clients() {
            json!(["none", "client_secret_basic", "client_secret_post"])
        } else {
            json!(["none"])
        };
        let mut document = json!({
            "issuer": self.tokens.tokens().policy().issuer(),
            "token_endpoint": format!("{routes}/token"),
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": format!("{routes}/token/revoke"),
            "revocation_endpoint_auth_methods_supported": methods,
            "jwks_uri": format!("{root}/.well-known/jwks.json"),
            "grant_types_supported": ["password", "refresh_token"],
            // There is no authorization endpoint.
            "response_types_supported": [],
        });
        if self.has_clients() {
            document["introspection_endpoint"] = format!("{routes}/token/introspect").into();
            document["introspection_endpoint_auth_methods_supported"] =
                json!(["client_secret_basic", "client_secret_post"]);
        }
        if let Some(dpop) = self.dpop() {
            document["dpop_signing_alg_values_supported"] = dpop.algorithm_names().into();
        }
        Answer::document(document.to_string(), "application/json", METADATA_MAX_AGE)
    }

    /// The document of the resource server (RFC 9728) that takes the access tokens of this service.
    pub fn resource_metadata(&self) -> Answer {
        let policy = self.tokens.tokens().policy();
        let mut document = json!({
            "resource": policy.audience(),
            "authorization_servers": [policy.issuer()],
            "bearer_methods_supported": ["header"],
        });
        if let Some(dpop) = self.dpop() {
            document["dpop_signing_alg_values_supported"] = dpop.algorithm_names().into();
            document["dpop_bound_access_tokens_required"] = (dpop.current_mode() == DpopMode::Required).into();
        }
        Answer::document(document.to_string(), "application/json", METADATA_MAX_AGE)
    }

    /// The public keys.
    pub fn jwks(&self) -> Answer {
        let (tokens, now) = (self.tokens.tokens(), self.tokens.manager().now());
        // A key is published this long before it signs: a client that caches the document for half of that knows it in time.
        let max_age = (tokens.ring().rotation().publish_ahead() / 2).min(Duration::from_secs(3600));
        Answer::document(tokens.jwks(now).to_json(), "application/jwk-set+json", max_age)
    }
}
