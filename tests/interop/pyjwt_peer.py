"""The side of PyJWT and cryptography: verifies our tokens, and signs its own with its own keys.

Reads one JSON object from standard input, writes one to standard output. tests/tests/jwt_interop.rs says what is in them.
"""

import base64
import json
import secrets
import sys

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ask = json.load(sys.stdin)
expected = {"audience": ask["audience"], "issuer": ask["issuer"]}
required = ["iss", "sub", "aud", "exp", "iat", "jti", "sid", "client_id", "auth_time", "amr"]


def verify(algorithm, token):
    """The claims of one of our tokens, by the key that its header names."""
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "at+jwt", header
    if algorithm == "HS256":
        assert header["kid"] == ask["secret"]["kid"], header
        key = jwt.PyJWK.from_dict(ask["secret"])
    else:
        key = jwt.PyJWKSet.from_dict(ask["jwks"][algorithm])[header["kid"]]
    return jwt.decode(token, key, algorithms=[algorithm], options={"require": required}, **expected)


def refuses(algorithm, token):
    """A changed token is refused there too: the check above is one that can fail."""
    message, signature = token.rsplit(".", 1)
    changed = message + "." + ("A" if signature[0] != "A" else "B") + signature[1:]
    try:
        verify(algorithm, changed)
    except jwt.InvalidSignatureError:
        return True
    return False


def jwk(key, algorithm, kid):
    implementation = jwt.algorithms.get_default_algorithms()[algorithm]
    return {**implementation.to_jwk(key, as_dict=True), "kid": kid, "use": "sig", "alg": algorithm}


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def sign(key, algorithm, kid):
    return [
        jwt.encode(ask["claims"], key, algorithm=algorithm, headers={"kid": kid, "typ": "at+jwt"}),
        jwt.encode(ask["claims"], key, algorithm=algorithm, headers={"kid": kid, "typ": "application/at+jwt"}),
        jwt.encode(
            {**ask["claims"], "aud": ["https://other.example", ask["audience"]]},
            key,
            algorithm=algorithm,
            headers={"typ": "at+jwt", "kid": kid},
        ),
    ]


def generate(algorithm):
    match algorithm:
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "RS256" | "PS256":
            return rsa.generate_private_key(65537, 2048)


secret = base64.urlsafe_b64decode(ask["secret"]["k"] + "==")
answer = {
    "claims": {algorithm: verify(algorithm, token) for algorithm, token in ask["tokens"].items()},
    "refused": {algorithm: refuses(algorithm, token) for algorithm, token in ask["tokens"].items()},
    "tokens": {"HS256": sign(secret, "HS256", ask["secret"]["kid"])},
    "jwks": {"keys": []},
    "keys": {},
}
for algorithm in ask["theirs"]:
    key, kid = generate(algorithm), secrets.token_urlsafe(9)
    answer["tokens"][algorithm] = sign(key, algorithm, kid)
    answer["jwks"]["keys"].append(jwk(key.public_key(), algorithm, kid))
    if algorithm not in ask["pems"]:
        continue
    answer["keys"][algorithm] = {
        "pem": pem(key),
        "public_pem": public_pem(key.public_key()),
        "jwk": json.dumps(jwk(key, algorithm, kid)),
    }
    # Our PEM is read, and is the key of our JWKS.
    ours = serialization.load_pem_private_key(ask["pems"][algorithm].encode(), None)
    published = ask["jwks"][algorithm]["keys"][0]
    assert jwk(ours.public_key(), algorithm, published["kid"]) == published, published
json.dump(answer, sys.stdout)
