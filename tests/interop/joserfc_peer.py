"""The side of joserfc: verifies our tokens, and signs its own with its own keys.

Reads one JSON object from standard input, writes one to standard output. tests/tests/jwt_interop.rs says what is in them.
"""

import json
import secrets
import sys

from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey, import_key

ask = json.load(sys.stdin)
expected = {name: {"essential": True} for name in ["sub", "exp", "iat", "jti", "sid", "client_id", "auth_time", "amr"]}
expected |= {name: {"essential": True, "value": ask[text]} for name, text in [("iss", "issuer"), ("aud", "audience")]}
registry = jwt.JWTClaimsRegistry(**expected)
secret = import_key(ask["secret"])


def verify(algorithm, token):
    """The claims of one of our tokens, by the key that its header names."""
    key = secret if algorithm == "HS256" else KeySet.import_key_set(ask["jwks"][algorithm])
    verified = jwt.decode(token, key, algorithms=[algorithm])
    assert verified.header["typ"] == "at+jwt", verified.header
    registry.validate(verified.claims)
    return verified.claims


def refuses(algorithm, token):
    """A changed token is refused there too: the check above is one that can fail."""
    message, signature = token.rsplit(".", 1)
    changed = message + "." + ("A" if signature[0] != "A" else "B") + signature[1:]
    try:
        verify(algorithm, changed)
    except BadSignatureError:
        return True
    return False


def sign(key, alg, kid):
    claims = ask["claims"]
    return [
        jwt.encode({"alg": alg, "kid": kid, "typ": "at+jwt"}, claims, key, [alg]),
        jwt.encode({"kid": kid, "typ": "AT+JWT", "alg": alg}, claims, key, [alg]),
        jwt.encode({"typ": "at+jwt", "alg": alg, "kid": kid}, {**claims, "aud": [claims["aud"]]}, key, [alg]),
    ]


def generate(algorithm, parameters):
    match algorithm:
        case "EdDSA" | "Ed25519":
            return OKPKey.generate_key("Ed25519", parameters)
        case "ES256":
            return ECKey.generate_key("P-256", parameters)
        case "RS256" | "PS256":
            return RSAKey.generate_key(2048, parameters)


answer = {
    "claims": {algorithm: verify(algorithm, token) for algorithm, token in ask["tokens"].items()},
    "refused": {algorithm: refuses(algorithm, token) for algorithm, token in ask["tokens"].items()},
    "tokens": {"HS256": sign(secret, "HS256", ask["secret"]["kid"])},
    "jwks": {"keys": []},
    "keys": {},
}
for algorithm in ask["theirs"]:
    kid = secrets.token_urlsafe(9)
    key = generate(algorithm, {"kid": kid, "use": "sig", "alg": algorithm})
    answer["tokens"][algorithm] = sign(key, algorithm, kid)
    answer["jwks"]["keys"].append(key.as_dict(private=False))
    if algorithm not in ask["pems"]:
        continue
    answer["keys"][algorithm] = {
        "pem": key.as_pem(private=True).decode(),
        "public_pem": key.as_pem(private=False).decode(),
        "jwk": json.dumps(key.as_dict(private=True)),
    }
    # Our kid is the thumbprint, and our PEM is the key of our JWKS.
    published = ask["jwks"][algorithm]["keys"][0]
    ours = import_key(ask["pems"][algorithm], "EC" if algorithm == "ES256" else "OKP")
    assert ours.thumbprint() == published["kid"] == import_key(published).thumbprint(), published
json.dump(answer, sys.stdout)
