//! [`VerifyError`].

/// Why a token was rejected. Contains nothing of the token.
///
/// For logs and tests: a client gets the same `401` with `error="invalid_token"` (RFC 6750) for all of them. The response
/// never says why a token was rejected. The provider of a logout token is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Longer than [`MAX_TOKEN_LEN`](crate::MAX_TOKEN_LEN).
    #[error("the token is too long")]
    TooLong,
    /// Not exactly three non-empty segments.
    #[error("the token does not have exactly three segments")]
    Segments,
    /// With [`Verifier::new`](crate::Verifier::new): not a header that one of our keys writes; the key may have been
    /// retired. With [`Verifier::for_issuer`](crate::Verifier::for_issuer): not an object with `alg`, or one with a
    /// member that is refused or occurs twice.
    #[error("the header is not one of ours")]
    Header,
    /// It is not a token of the kind that was asked for: `typ` says so, or `events` that it is a logout token.
    #[error("the token is of another kind")]
    Type,
    /// `kid` names no key that verifies now; or there is no `kid`, and not exactly one key for `alg`.
    #[error("the token is signed by an unknown key")]
    Key,
    /// `alg` is not the algorithm of the key.
    #[error("the algorithm is not that of the key")]
    Algorithm,
    /// The signature or the payload is not canonical base64url without padding.
    #[error("a segment is not base64url")]
    Encoding,
    /// The signature was not made by the key.
    #[error("the signature is wrong")]
    Signature,
    /// The payload is not exactly one JSON object.
    #[error("the payload is not an object of claims")]
    Payload,
    /// A claim occurs twice.
    #[error("a claim occurs twice")]
    Duplicate,
    /// This claim is missing.
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    /// This claim has the wrong JSON type or an invalid value; or it must not be there.
    #[error("the claim {0} has the wrong type or value")]
    Invalid(&'static str),
    /// `iss` is another issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` does not include the audience.
    #[error("the token is for another audience")]
    Audience,
    /// It is bound to a key (`cnf`, RFC 9449), and was presented without a proof of that key: as `Bearer`, or with another one.
    #[error("the token is bound to a key that was not proved")]
    Bound,
    /// It was presented with a proof of a key, and is bound to none.
    #[error("the token is not bound to the key that was proved")]
    Unbound,
    /// It is bound to something that is not checked here: a client certificate, say.
    #[error("the token is bound to something that is not checked here")]
    Confirmation,
    /// At or after `exp` plus the leeway.
    #[error("the token has expired")]
    Expired,
    /// The user logged in before [`Policy::not_before`](session_core::Policy::not_before): the session is dead. Only
    /// [`TokenService`](crate::TokenService) knows.
    #[error("the session began too early")]
    NotBefore,
    /// Before `nbf`, by more than [`TokenPolicy::ahead`](crate::TokenPolicy::ahead).
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Before `iat`, by more than [`TokenPolicy::ahead`](crate::TokenPolicy::ahead).
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// `exp` is not after `iat`, or later than the policy's lifetime allows.
    #[error("the lifetime of the token is too long, or not positive")]
    Lifetime,
}
