//! The three algorithms.

/// How a key signs. It is a property of the key: the `alg` of a token is compared with it and chooses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256. A verifier needs the secret and can therefore also sign: only for servers that trust each other.
    /// By far the fastest.
    Hs256,
    /// Ed25519. Verified with the public key.
    EdDsa,
    /// ECDSA on P-256 with SHA-256, for verifiers that do not support Ed25519.
    Es256,
}

impl Algorithm {
    /// The value of `alg`.
    ///
    /// ```
    /// assert_eq!(session_jwt::Algorithm::EdDsa.as_str(), "EdDSA");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// Whether verifiers need the secret itself. Such a key never shares a ring or a set with public keys.
    pub(crate) const fn is_symmetric(self) -> bool {
        match self {
            Self::Hs256 => true,
            Self::EdDsa | Self::Es256 => false,
        }
    }

    /// The length of an encoded signature, in characters.
    pub(crate) const fn signature_len(self) -> usize {
        match self {
            Self::Hs256 => 43,
            Self::EdDsa | Self::Es256 => 86,
        }
    }
}
