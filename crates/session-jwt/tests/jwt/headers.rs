//! What the verifier for other issuers overlooks in a header.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::common::{ALGORITHMS, AUDIENCE, Claims, Forge, exact, header, now, parsed};
use session_jwt::VerifyError::{Header, Type};

#[test]
fn the_verifier_for_other_issuers_is_lenient_in_what_means_nothing() {
    for algorithm in ALGORITHMS {
        let forge = Forge::new(algorithm, 1);
        let (exact, parsed) = (exact(&forge.ring()), parsed(&forge.ring()));
        let (alg, kid) = (forge.alg(), forge.kid());
        let with = |more: &str| format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt",{more}}}"#);
        let headers = [
            format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}"#),
            format!("{{ \"kid\": \"{kid}\",\n \"alg\": \"{alg}\", \"typ\": \"application/at+jwt\" }}"),
            header(alg, &kid, "AT+JWT"),
            header(alg, &kid, "Application/At+Jwt"),
            // There is only one key for this algorithm.
            format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#),
            with(r#""x5t":"AAAA","x5t#S256":"AAAA""#),
            with(r#""nonce":"AQAB","cty":"JWT","jid":1,"p2c":1000000000,"unknown":null,"deep":[[{"crit":[]}]]"#),
            with(r#""jku":"https://login.example/jwks","x5u":"https://login.example/x","x5c":["MIIB"],"jwk":{}"#),
            with(&format!(r#""x5c":["{}"]"#, "A".repeat(2500))),
        ];
        for text in headers {
            let token = forge.token(&text, Claims::good().json());
            assert!(parsed.verify(&token, now()).is_ok(), "{text}");
            assert_eq!(exact.verify(&token, now()).unwrap_err(), Header, "{text}");
        }
        let several = Claims::good().with("aud", &format!("[\"https://other.example\",\"{AUDIENCE}\"]"));
        assert!(parsed.verify(forge.with_payload(&several), now()).is_ok());
        let more = Claims::good().also("acr", "\"gold\"").also("roles", "[\"a\"]");
        assert_eq!(parsed.verify(forge.with_payload(&more), now()).unwrap().level, None);
    }
}

#[test]
fn a_generic_type_is_accepted_on_request_only() {
    for algorithm in ALGORITHMS {
        let forge = Forge::new(algorithm, 1);
        let (alg, kid) = (forge.alg(), forge.kid());
        let strict = parsed(&forge.ring());
        let lenient = parsed(&forge.ring()).allow_generic_type();
        let ours = exact(&forge.ring()).allow_generic_type();
        let typ = |typ: &str| format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}"#);
        for text in [typ("JWT"), typ("jwt"), typ("application/jwt"), format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#)] {
            let token = forge.token(&text, Claims::good().json());
            assert_eq!(strict.verify(&token, now()).unwrap_err(), Type, "{text}");
            assert!(lenient.verify(&token, now()).is_ok(), "{text}");
            assert_eq!(ours.verify(&token, now()).unwrap_err(), Header, "{text}");
        }
        assert!(lenient.verify(forge.good(), now()).is_ok());
        for other in ["", "logout+jwt", "session+jwt", "dpop+jwt", "secevent+jwt", "application/", "JWTx", "JWT "] {
            let token = forge.token(typ(other), Claims::good().json());
            assert_eq!(lenient.verify(&token, now()).unwrap_err(), Type, "{other}");
        }
        let null = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":null}}"#);
        assert_eq!(lenient.verify(forge.token(null, Claims::good().json()), now()).unwrap_err(), Header);
    }
}
