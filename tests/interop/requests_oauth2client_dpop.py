"""The client of requests_oauth2client, whose tokens are bound to its key (RFC 9449).

    requests_oauth2client_dpop.py <URL of the server> <user> <password>
"""

import json
import sys

import requests
from requests_oauth2client import DPoPKey, InvalidUseDPoPNonceResponse, OAuth2Client, OAuth2Error

base, user, password = sys.argv[1:]
# The server of the test has no TLS.
client = OAuth2Client(
    token_endpoint=base + "/token", client_id="shop", dpop_bound_access_tokens=True, testing=True
)


def life(algorithm):
    """A login, two refreshes, and three requests with the tokens of each."""
    token = client.resource_owner_password(user, password, dpop_key=DPoPKey.generate(alg=algorithm))
    types, answers = [], []
    for turn in range(3):
        if turn > 0:
            token = client.refresh_token(token)
        types.append(token.token_type)
        answers += [requests.get(base + "/me", auth=token).text for _ in range(3)]
    return token, {"token_types": types, "answers": answers}


def refused(call):
    """The code that the server refuses with."""
    try:
        call()
    except OAuth2Error as error:
        return error.error
    return None


def status(auth):
    """The status of a request. This client takes each 401 of DPoP for a demand for a nonce."""
    try:
        return requests.get(base + "/me", auth=auth).status_code
    except InvalidUseDPoPNonceResponse as error:
        return error.response.status_code


keys = {}
for name in ["ES256", "EdDSA", "PS256", "RS256"]:
    stolen, keys[name] = life(name)
other = client.resource_owner_password(user, password)
bearer = {"authorization": "Bearer " + stolen.access_token}
forged = type(other)(stolen.access_token, _dpop_key=other.dpop_key, expires_in=300)
answer = {
    "keys": keys,
    "thief": {
        "bearer": requests.get(base + "/me", headers=bearer).status_code,
        "other key": status(forged),
        "refresh": refused(lambda: client.refresh_token(stolen.refresh_token, dpop_key=other.dpop_key)),
    },
}
json.dump(answer, sys.stdout)
