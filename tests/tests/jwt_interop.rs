//! Access tokens and two other implementations, PyJWT and jose: theirs verify here, and ours verify there.
//!
//! A peer is a script in `tests/interop`. It is asked one question, a JSON object on its standard input:
//!
//! - `tokens`: a token of ours for each algorithm. It verifies them with `jwks` (public keys) and `secret` (HS256), and
//!   answers with their `claims`, and whether it refused (`refused`) each one with a changed signature.
//! - `pems`: our private keys, which it compares with `jwks`.
//! - `claims`: what it signs, with `secret` and with `keys` of its own, which it answers in every form, with `tokens`.
//!
//! Versions are pinned beside the scripts, and are installed below cargo's target folder when they are not there.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use session_core::{Assurance, Authentication, Clock as _, OsEntropy, SessionId, SystemClock, UserId};
use session_jwt::{
    AccessTokens, Algorithm, Ed25519Key, HmacKey, KeyRing, P256Key, PublicKey, Rotation, SigningKey, Subject,
    TokenPolicy, Verifier, VerifyError, VerifyingKeys,
};
use session_testbed::servers::tools;

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "https://api.example";

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// Runs `command` to its end, with `input`; what it wrote is its answer.
fn run(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A folder for `name` in which `install` was done, with these files as they are now.
fn installed(name: &str, files: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    fs::create_dir_all(&root).unwrap();
    // Another process of the same test may be installing.
    let lock = File::create(root.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let (folder, done) = (root.join(name), root.join(name).join("installed"));
    let pinned: String = files.iter().map(|file| fs::read_to_string(scripts().join(file)).unwrap()).collect();
    if fs::read_to_string(&done).is_ok_and(|before| before == pinned) {
        return folder;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    for file in files {
        fs::copy(scripts().join(file), folder.join(file)).unwrap();
    }
    eprintln!("Installing {name} into {}", folder.display());
    install(&folder);
    fs::write(done, pinned).unwrap();
    folder
}

fn pyjwt() -> Command {
    let folder = installed("pyjwt", &["requirements.txt"], |folder| {
        run(Command::new(tools::python().unwrap()).args(["-m", "venv", "venv"]).current_dir(folder), "");
        let mut pip = Command::new(folder.join("venv/bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"]);
        run(pip.current_dir(folder), "");
    });
    let mut python = Command::new(folder.join("venv/bin/python"));
    // Without its cache beside the script.
    python.arg("-B").arg(scripts().join("pyjwt_peer.py"));
    python
}

fn jose() -> Command {
    let folder = installed("jose", &["package.json", "package-lock.json"], |folder| {
        let mut npm = Command::new(tools::npm().unwrap());
        run(npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(folder), "");
    });
    // Node looks for modules beside the script.
    let script = folder.join("jose_peer.mjs");
    fs::copy(scripts().join("jose_peer.mjs"), &script).unwrap();
    let mut node = Command::new(tools::node().unwrap());
    node.arg(script);
    node
}

fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE).unwrap()
}

fn exchange(mut peer: Command) {
    let now = SystemClock.now();
    let hmac = SigningKey::from(HmacKey::generate(&OsEntropy).unwrap());
    let ed25519 = Ed25519Key::generate(&OsEntropy).unwrap();
    let p256 = P256Key::generate(&OsEntropy).unwrap();
    let pems = json!({ "EdDSA": *ed25519.to_pem().unwrap(), "ES256": *p256.to_pem().unwrap() });
    let secret = hmac.to_jwk();
    let issuers = [hmac, ed25519.into(), p256.into()]
        .map(|key| AccessTokens::new(policy(), KeyRing::with_key(key, Rotation::default(), now).unwrap()).unwrap());
    let names = [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256].map(Algorithm::as_str);

    let user = UserId::new("zoë \"<&\u{1f511}>\\").unwrap();
    let session = SessionId::generate(Some(&user), &OsEntropy).unwrap();
    let mut authentication = Authentication::new(user, now, Assurance::Aal2);
    authentication.methods = ["pwd".to_owned()].into();
    let grant = Subject { session, authentication: &authentication, deadline: now + Duration::from_secs(3600) };
    let tokens = issuers.each_ref().map(|issuer| issuer.issue(&grant, now).unwrap().expose().to_owned());
    let by_name = |values: [Value; 3]| Value::Object(names.map(str::to_owned).into_iter().zip(values).collect());
    let seconds = now.as_millis() / 1000;
    let question = json!({
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "tokens": by_name(tokens.each_ref().map(|token| json!(token))),
        "jwks": by_name(issuers.each_ref().map(|issuer| serde_json::to_value(issuer.jwks(now)).unwrap())),
        "secret": serde_json::from_str::<Value>(&secret).unwrap(),
        "pems": pems,
        "claims": {
            "iss": ISSUER, "sub": authentication.user.as_str(), "aud": AUDIENCE, "exp": seconds + 300, "iat": seconds,
            "jti": "of the peer", "sid": session.to_string(), "auth_time": seconds, "acr": "aal2", "amr": ["pwd"],
            "extra": { "nested": [1.5, null] },
        },
    });
    let answer: Value = serde_json::from_str(&run(&mut peer, &question.to_string())).unwrap();

    let theirs = VerifyingKeys::from_jwks(&answer["jwks"].to_string()).unwrap();
    let theirs = Verifier::for_issuer(policy(), theirs);
    let shared = Verifier::for_issuer(policy(), issuers[0].ring().verifying_keys());
    for (name, issuer) in names.into_iter().zip(&issuers) {
        // Ours, there.
        let read = &answer["claims"][name];
        assert_eq!(read["sid"], session.to_string(), "{name}");
        assert_eq!(read["sub"], authentication.user.as_str(), "{name}");
        assert_eq!((&read["exp"], &read["acr"]), (&json!(seconds + 300), &json!("aal2")), "{name}");
        assert_eq!(answer["refused"][name], true, "{name}: a wrong signature was accepted");

        // Theirs, here.
        let verifier = if name == "HS256" { &shared } else { &theirs };
        let signed = answer["tokens"][name].as_array().unwrap();
        assert_eq!(signed.len(), 3);
        for token in signed {
            let token = token.as_str().unwrap();
            let claims = verifier.verify(token, now).unwrap_or_else(|error| panic!("{name}: {error}: {token}"));
            assert_eq!((claims.session, &claims.user), (session, &authentication.user));
            assert_eq!((claims.token_id.as_str(), claims.level), ("of the peer", Some(Assurance::Aal2)));
            // For our own it passes only if our secret signed it, and under a header that is spelled like ours.
            assert_eq!(issuer.verify(token, now).is_ok(), token.starts_with(&own_header(name, issuer)));
            // A changed signature is refused.
            let (message, signature) = token.rsplit_once('.').unwrap();
            let first = if signature.starts_with('A') { 'B' } else { 'A' };
            let changed = format!("{message}.{first}{}", &signature[1..]);
            assert_eq!(verifier.verify(changed, now).unwrap_err(), VerifyError::Signature);
        }
    }

    // Their keys, in every form.
    for (name, key) in answer["keys"].as_object().unwrap() {
        let text = |form: &str| key[form].as_str().unwrap();
        let from_pem = match name.as_str() {
            "EdDSA" => SigningKey::from(Ed25519Key::from_pem(text("pem")).unwrap()),
            _ => SigningKey::from(P256Key::from_pem(text("pem")).unwrap()),
        };
        let kids = [
            from_pem.kid(),
            SigningKey::from_jwk(text("jwk")).unwrap().kid(),
            PublicKey::from_pem(text("public_pem")).unwrap().thumbprint(),
        ];
        assert!(kids.iter().all(|kid| *kid == kids[0]), "{name}");
        assert_eq!(from_pem.algorithm().as_str(), name);
    }
}

/// The header segment that `issuer` writes, with its dot.
fn own_header(name: &str, issuer: &AccessTokens) -> String {
    let kid = issuer.ring().keys(SystemClock.now()).next().unwrap().kid;
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}","kid":"{kid}","typ":"at+jwt"}}"#)) + "."
}

#[test]
fn pyjwt_and_we_verify_each_others_tokens() {
    exchange(pyjwt());
}

#[test]
fn jose_and_we_verify_each_others_tokens() {
    exchange(jose());
}
