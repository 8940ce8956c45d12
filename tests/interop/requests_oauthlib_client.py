"""The client of requests-oauthlib: logs in, and asks for the next pairs.

    requests_oauthlib_client.py <URL of the server> <user> <password>
"""

import json
import os
import sys

# The server of the test has no TLS.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

from oauthlib.oauth2 import InvalidGrantError, LegacyApplicationClient
from requests_oauthlib import OAuth2Session

base, user, password = sys.argv[1:]
token_url = base + "/token"


def session(scope=None):
    return OAuth2Session(client=LegacyApplicationClient(client_id="shop", scope=scope))


def refused(call):
    """The code that the server refuses with."""
    try:
        call()
    except InvalidGrantError as error:
        return error.error
    return None


def pairs(client, **options):
    """A login, and two refreshes: without anything that names the client, which is the default, and with its id."""
    login = dict(client.fetch_token(token_url, username=user, password=password, **options))
    return [login, dict(client.refresh_token(token_url)), dict(client.refresh_token(token_url, client_id="shop"))]


answer = {
    "pairs": {
        # The default: HTTP Basic, with the id of the client and an empty secret.
        "basic": pairs(session()),
        "secret": pairs(session(), client_secret="of the shop"),
        "body": pairs(session(), include_client_id=True),
        # A refresh asks for the scope again.
        "scope": pairs(session(["read", "write"])),
    },
    "refused": {
        "password": refused(lambda: session().fetch_token(token_url, username=user, password="wrong")),
        "user": refused(lambda: session().fetch_token(token_url, username="mallory", password=password)),
        "refresh_token": refused(lambda: session().refresh_token(token_url, refresh_token="garbage")),
    },
}
json.dump(answer, sys.stdout)
