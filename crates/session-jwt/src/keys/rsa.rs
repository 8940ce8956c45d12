//! RSA keys, which only verify.

use std::sync::Arc;

use ed25519_dalek::pkcs8::spki::der::asn1::UintRef;
use ed25519_dalek::pkcs8::spki::der::{Decode as _, Document, Reader as _, SliceReader};
use ed25519_dalek::pkcs8::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents};

use super::error::KeyError;
use crate::algorithm::Algorithm;

/// `rsaEncryption` (RFC 8017).
const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The sizes of a modulus, in bits. Shorter ones can be factored; longer ones cost a verifier too much.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The greatest exponent: more bits would make verifying slow, and none are in use.
const MAX_EXPONENT: u64 = (1 << 33) - 1;

/// A public key with one padding. There is no proof that a key is safe with both, so it has one, as any key has one
/// algorithm.
#[derive(Clone)]
pub(crate) struct RsaKey {
    /// Big-endian, without leading zeros.
    n: Arc<[u8]>,
    e: Arc<[u8]>,
    padding: Padding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    Pkcs1,
    Pss,
}

impl Padding {
    /// `None` if the algorithm is not for RSA.
    pub(super) fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Rs256 => Some(Self::Pkcs1),
            Algorithm::Ps256 => Some(Self::Pss),
            Algorithm::Hs256 | Algorithm::EdDsa | Algorithm::Es256 => None,
        }
    }
}

impl RsaKey {
    /// The numbers are big-endian. Zeros at the start are dropped: some issuers write the sign of Java's `BigInteger`.
    pub(super) fn new(n: &[u8], e: &[u8], padding: Padding) -> Result<Self, KeyError> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !MODULUS_BITS.contains(&bits) || !is_odd(n) || !is_odd(e) || e.len() > 8 {
            return Err(KeyError::Invalid);
        }
        let exponent = e.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        if !(3..=MAX_EXPONENT).contains(&exponent) {
            return Err(KeyError::Invalid);
        }
        Ok(Self { n: n.into(), e: e.into(), padding })
    }

    /// SubjectPublicKeyInfo. `None` if it is no such PEM, or that of another kind of key.
    pub(super) fn from_pem(pem: &str) -> Option<Result<Self, KeyError>> {
        let (label, document) = Document::from_pem(pem).ok()?;
        let info = SubjectPublicKeyInfoRef::from_der(document.as_bytes()).ok()?;
        if label != "PUBLIC KEY" || info.algorithm.oid != OID {
            return None;
        }
        let numbers = info.subject_public_key.as_bytes().and_then(|bytes| {
            let mut reader = SliceReader::new(bytes).ok()?;
            let numbers = reader.sequence(|inner: &mut SliceReader<'_>| {
                Ok::<_, ed25519_dalek::pkcs8::spki::der::Error>((UintRef::decode(inner)?, UintRef::decode(inner)?))
            });
            let numbers = numbers.ok()?;
            reader.is_finished().then_some(numbers)
        });
        let Some((n, e)) = numbers else { return Some(Err(KeyError::Pem)) };
        Some(Self::new(n.as_bytes(), e.as_bytes(), Padding::Pkcs1))
    }

    pub(super) fn with_padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self.padding {
            Padding::Pkcs1 => Algorithm::Rs256,
            Padding::Pss => Algorithm::Ps256,
        }
    }

    /// `n` and `e`.
    pub(super) fn numbers(&self) -> (&[u8], &[u8]) {
        (&self.n, &self.e)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let parameters = match self.padding {
            Padding::Pkcs1 => &RSA_PKCS1_2048_8192_SHA256,
            Padding::Pss => &RSA_PSS_2048_8192_SHA256,
        };
        RsaPublicKeyComponents { n: &self.n, e: &self.e }.verify(parameters, message, signature).is_ok()
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
