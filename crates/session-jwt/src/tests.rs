//! Published test vectors. Their tokens are not access tokens, so they test what lies below.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;

use crate::encoding;
use crate::keys::verifying_key::VerifyingKey;
use crate::{KeyError, PublicKey, SigningKey};

/// The published key of RFC 7515, A.1.
const RFC_7515_A_1: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

fn verifies(key: &VerifyingKey, token: &str) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let flipped = format!("X{}", &message[1..]);
    let signature = encoding::decode(signature).unwrap();
    assert!(!key.verify(flipped.as_bytes(), &signature));
    key.verify(message.as_bytes(), &signature)
}

#[test]
fn hs256_verifies_the_token_of_rfc_7515_and_refuses_its_key() {
    let secret = encoding::decode(RFC_7515_A_1).unwrap();
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
         cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert!(verifies(&VerifyingKey::Hmac(Hmac::<Sha256>::new_from_slice(&secret).unwrap()), token));
    assert_eq!(SigningKey::from_secret(&secret).unwrap_err(), KeyError::WellKnown);
    let jwk = format!(r#"{{"kty":"oct","k":"{RFC_7515_A_1}"}}"#);
    assert_eq!(SigningKey::from_jwk(&jwk).unwrap_err(), KeyError::WellKnown);
}

#[test]
fn es256_verifies_the_token_of_rfc_7515() {
    let jwk = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290I\
         jp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let key = SigningKey::from_jwk(jwk).unwrap();
    assert!(verifies(key.verifying(), token));
    let mut own = token.rsplit_once('.').unwrap().0.to_owned();
    key.sign_now(&mut own).unwrap();
    assert!(verifies(key.verifying(), &own));
}

#[test]
fn eddsa_makes_the_signature_of_rfc_8037() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = SigningKey::from_jwk(jwk).unwrap();
    let mut token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned();
    key.sign_now(&mut token).unwrap();
    assert_eq!(
        token,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4i\
         ylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    assert!(verifies(key.verifying(), &token));
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"); // RFC 8037, A.3
}

#[test]
fn rsa_verifies_what_openssl_signs() {
    let lines: Vec<&str> = include_str!("../tests/rsa/openssl.txt").lines().collect();
    let key = PublicKey::from_pem(include_str!("../tests/rsa/public.pem")).unwrap();
    for (key, signature) in [(key.clone(), lines[1]), (key.for_ps256().unwrap(), lines[2])] {
        assert!(verifies(&VerifyingKey::Public(key.material().clone()), &format!("{}.{signature}", lines[0])));
    }
}

#[test]
fn thumbprints_are_those_of_rfc_7638() {
    // RFC 9449, section 6.1: the members are in another order here.
    let jwk = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
    assert_eq!(PublicKey::from_jwk(jwk).unwrap().thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}
