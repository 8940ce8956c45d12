"""The client of Authlib: logs in, refreshes, introspects and revokes; and its resource server, by RFC 9068.

    authlib_client.py <URL of the server> <user> <password> <audience> <secret of the client `gateway`>
"""

import json
import sys

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

base, user, password, audience, secret = sys.argv[1:]
metadata = requests.get(base + "/.well-known/oauth-authorization-server").json()


class Validator(JWTBearerTokenValidator):
    def get_jwks(self):
        return KeySet.import_key_set(requests.get(metadata["jwks_uri"]).json())


def admitted(token):
    """The claims of a token that the resource server accepts."""
    validator = Validator(issuer=metadata["issuer"], resource_server=audience)
    claims = validator.authenticate_token(token)
    validator.validate_token(claims, [], None)
    return dict(claims)


def introspected(token, hint=None):
    gateway = OAuth2Session("gateway", secret)
    response = gateway.introspect_token(metadata["introspection_endpoint"], token=token, token_type_hint=hint)
    response.raise_for_status()
    return response.json()


def refused(call):
    """The code that the server refuses with."""
    try:
        call()
    except OAuthError as error:
        return error.error
    return None


def life(client):
    """One session, from its login to its revocation."""
    login = dict(client.fetch_token(username=user, password=password))
    # It refreshes by itself, as it would once the token has expired.
    client.token = {**login, "expires_at": 1}
    client.ensure_active_token(client.token)
    pair = dict(client.token)
    answer = {
        "pairs": [login, pair],
        "admitted": admitted(pair["access_token"]),
        "introspected": {
            "access_token": introspected(pair["access_token"], "access_token"),
            "refresh_token": introspected(pair["refresh_token"], "refresh_token"),
            "wrong hint": introspected(pair["refresh_token"], "access_token"),
            "garbage": introspected("garbage"),
        },
    }
    response = client.revoke_token(
        metadata["revocation_endpoint"], token=pair["refresh_token"], token_type_hint="refresh_token"
    )
    answer["revoked"] = response.status_code
    answer["introspected"]["revoked"] = introspected(pair["refresh_token"])
    answer["refused"] = refused(client.refresh_token)
    return answer


def client(secret=None, method=None):
    return OAuth2Session(
        "shop",
        secret,
        token_endpoint=metadata["token_endpoint"],
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        scope="read write",
    )


answer = {
    "lives": {
        "none": life(client()),
        "client_secret_basic": life(client("of the shop")),
        "client_secret_post": life(client("of the shop", "client_secret_post")),
    },
    "wrong password": refused(lambda: client().fetch_token(username=user, password="wrong")),
}
json.dump(answer, sys.stdout)
