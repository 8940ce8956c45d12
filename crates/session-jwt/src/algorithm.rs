//! The three algorithms.

/// How tokens are signed. A property of a key: what a token says about it is compared, never obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256. Whoever verifies can also sign: for servers that trust each other. The fastest, by far.
    Hs256,
    /// Ed25519. Others verify with the public key.
    EdDsa,
    /// ECDSA on P-256 with SHA-256, for partners that do not know Ed25519.
    Es256,
}

impl Algorithm {
    /// The name in `alg`.
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

    /// Whether verifiers need the secret itself. Such a key is never in one set with public keys.
    pub(crate) const fn is_symmetric(self) -> bool {
        match self {
            Self::Hs256 => true,
            Self::EdDsa | Self::Es256 => false,
        }
    }

    /// How many characters a signature has.
    pub(crate) const fn signature_len(self) -> usize {
        match self {
            Self::Hs256 => 43,
            Self::EdDsa | Self::Es256 => 86,
        }
    }
}
