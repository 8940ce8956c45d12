//! The algorithms, and how they are spelled.

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
    /// RSASSA-PKCS1-v1_5 with SHA-256: for tokens of issuers that have nothing else. Keys of this library never sign with it
    /// themselves; an [`ExternalSigner`](crate::ExternalSigner) can.
    Rs256,
    /// RSASSA-PSS with SHA-256. As [`Rs256`](Self::Rs256), with the better padding.
    Ps256,
}

/// How a ring spells `alg` in tokens and in the JWKS document. Either spelling is accepted, by each verifier of this library
/// and at any time, so that it can be changed while tokens of the other one are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AlgorithmNames {
    /// `EdDSA` and `ES256` (RFC 7518, RFC 8037): what most software understands.
    #[default]
    Established,
    /// `Ed25519` instead of `EdDSA`, which RFC 9864 deprecates, for verifiers that refuse the latter. `ES256` is fully
    /// specified as it is: its other name, `ESP256`, is registered for COSE only. It is accepted, and never written.
    FullySpecified,
}

impl Algorithm {
    /// The value of `alg`, in the [established](AlgorithmNames::Established) spelling.
    ///
    /// ```
    /// assert_eq!(session_jwt::Algorithm::EdDsa.as_str(), "EdDSA");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.spelled(AlgorithmNames::Established)
    }

    pub(crate) const fn spelled(self, names: AlgorithmNames) -> &'static str {
        match (self, names) {
            (Self::Hs256, _) => "HS256",
            (Self::EdDsa, AlgorithmNames::Established) => "EdDSA",
            (Self::EdDsa, AlgorithmNames::FullySpecified) => "Ed25519",
            (Self::Es256, _) => "ES256",
            (Self::Rs256, _) => "RS256",
            (Self::Ps256, _) => "PS256",
        }
    }

    /// Every spelling that is accepted.
    pub(crate) const fn spellings(self) -> &'static [&'static str] {
        match self {
            Self::Hs256 => &["HS256"],
            Self::EdDsa => &["EdDSA", "Ed25519"],
            Self::Es256 => &["ES256", "ESP256"],
            Self::Rs256 => &["RS256"],
            Self::Ps256 => &["PS256"],
        }
    }

    /// The algorithm of this `alg`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Hs256, Self::EdDsa, Self::Es256, Self::Rs256, Self::Ps256];
        all.into_iter().find(|algorithm| algorithm.spellings().contains(&name))
    }

    /// Whether verifiers need the secret itself. Such a key never shares a ring or a set with public keys.
    pub(crate) const fn is_symmetric(self) -> bool {
        match self {
            Self::Hs256 => true,
            Self::EdDsa | Self::Es256 | Self::Rs256 | Self::Ps256 => false,
        }
    }
}
