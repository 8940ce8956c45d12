//! Interoperability with two other implementations, PyJWT and jose: their tokens verify here, and ours verify there.
//!
//! A peer is a script in `tests/interop`. It reads one JSON object from its standard input:
//!
//! - `tokens`: one of our tokens for each algorithm. It verifies them with `jwks` (public keys) and `secret` (HS256), and
//!   returns their `claims`, and whether it rejected (`refused`) each one with a modified signature.
//! - `pems`: our private keys, which it compares with `jwks`.
//! - `claims`: what it signs, with `secret` and with `keys` of its own. It returns the `tokens`, and the keys in every form.
//!
//! Versions are pinned next to the scripts, and are installed below cargo's target folder on first use.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use session_core::{Assurance, Authentication, Clock as _, OsEntropy, Proof, SessionId, SystemClock, UserId};
use session_jwt::{
    AccessTokens, Algorithm, KeyRing, PublicKey, Rotation, SigningKey, Subject, TokenPolicy, Verifier, VerifyError,
    VerifyingKeys,
};
use session_testbed::servers;

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "https://api.example";

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// Runs `command` with `input`, and returns its output.
fn run(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A folder for `name` in which `install` has run, with the current version of these files.
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
        run(Command::new(servers::python().unwrap()).args(["-m", "venv", "venv"]).current_dir(folder), "");
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
        let mut npm = Command::new(servers::npm().unwrap());
        run(npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(folder), "");
    });
    // Node looks for modules beside the script.
    let script = folder.join("jose_peer.mjs");
    fs::copy(scripts().join("jose_peer.mjs"), &script).unwrap();
    let mut node = Command::new(servers::node().unwrap());
    node.arg(script);
    node
}

fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE).unwrap()
}

/// What a future returns that waits for nothing, as issuing does with keys of this process.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn exchange(mut peer: Command) {
    let now = SystemClock.now();
    let algorithms = [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256];
    let names = algorithms.map(Algorithm::as_str);
    let keys = algorithms.map(|algorithm| SigningKey::generate(algorithm, &OsEntropy).unwrap());
    let pems = json!({ "EdDSA": *keys[1].to_pem().unwrap(), "ES256": *keys[2].to_pem().unwrap() });
    let secret = keys[0].to_jwk();
    let issuers =
        keys.map(|key| AccessTokens::new(policy(), KeyRing::with_key(key, Rotation::default(), now)).unwrap());

    let user = UserId::new("zoë \"<&\u{1f511}>\\").unwrap();
    let session = SessionId::generate(Some(&user), &OsEntropy).unwrap();
    let authentication = Authentication::new(user, Proof::new(Assurance::Aal2, now).method("pwd"));
    let subject = Subject::new(session, &authentication, now + Duration::from_secs(3600));
    let tokens = issuers.each_ref().map(|issuer| at_once(issuer.issue(&subject, now)).unwrap().expose().to_owned());
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
    let shared = Verifier::for_issuer(policy(), VerifyingKeys::from_ring(&issuers[0].ring()));
    for (name, issuer) in names.into_iter().zip(&issuers) {
        // Ours, there.
        let read = &answer["claims"][name];
        assert_eq!(read["sid"], session.to_string(), "{name}");
        assert_eq!(read["sub"], authentication.user.as_str(), "{name}");
        assert_eq!((&read["exp"], &read["acr"]), (&json!(seconds + 300), &json!("aal2")), "{name}");
        assert_eq!(answer["refused"][name], true, "{name}: a modified signature was accepted");

        // Theirs, here.
        let verifier = if name == "HS256" { &shared } else { &theirs };
        let signed = answer["tokens"][name].as_array().unwrap();
        assert_eq!(signed.len(), 3);
        for token in signed {
            let token = token.as_str().unwrap();
            let claims = verifier.verify(token, now).unwrap_or_else(|error| panic!("{name}: {error}: {token}"));
            assert_eq!((claims.session, &claims.user), (session, &authentication.user));
            assert_eq!((claims.token_id.as_str(), claims.level), ("of the peer", Some(Assurance::Aal2)));
            // The issuer itself accepts it only with its own secret, under a header that is written like its own.
            assert_eq!(issuer.verify(token, now).is_ok(), token.starts_with(&own_header(name, issuer)));
            // A modified signature is rejected.
            let (message, signature) = token.rsplit_once('.').unwrap();
            let first = if signature.starts_with('A') { 'B' } else { 'A' };
            let changed = format!("{message}.{first}{}", &signature[1..]);
            assert_eq!(verifier.verify(changed, now).unwrap_err(), VerifyError::Signature);
        }
    }

    // Their keys, in every form.
    for (name, key) in answer["keys"].as_object().unwrap() {
        let text = |form: &str| key[form].as_str().unwrap();
        let from_pem = SigningKey::from_pem(text("pem")).unwrap();
        assert_eq!(from_pem.algorithm().as_str(), name);
        assert_eq!(from_pem.kid(), SigningKey::from_jwk(text("jwk")).unwrap().kid(), "{name}");
        assert_eq!(from_pem.kid(), PublicKey::from_pem(text("public_pem")).unwrap().thumbprint(), "{name}");
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
