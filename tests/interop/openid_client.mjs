// The client of openid-client, which finds the server by its metadata (RFC 8414): logs in, refreshes, introspects and
// revokes; and the resource server of oauth4webapi, by RFC 9068.
//
//     openid_client.mjs <issuer> <user> <password> <audience> <secret of the client `gateway`>

import * as oauth from "oauth4webapi";
import * as openid from "openid-client";

const [issuer, username, password, audience, secret] = process.argv.slice(2);
// The server of the test has no TLS.
const insecure = { algorithm: "oauth2", execute: [openid.allowInsecureRequests] };

const discover = (id, authentication) => openid.discovery(new URL(issuer), id, undefined, authentication, insecure);

/** The code that the server refuses with. */
async function refused(request) {
  try {
    await request();
  } catch (error) {
    return error.error ?? error.cause?.[0]?.scheme ?? String(error);
  }
  return null;
}

const gateway = await discover("gateway", openid.ClientSecretBasic(secret));
const stranger = await discover("gateway", openid.ClientSecretBasic("wrong"));

/** One session, from its login to its revocation. */
async function life(client) {
  const login = await openid.genericGrantRequest(client, "password", { username, password });
  const pair = await openid.refreshTokenGrant(client, login.refresh_token);
  const request = new Request(audience, { headers: { authorization: `Bearer ${pair.access_token}` } });
  const introspected = {
    access_token: await openid.tokenIntrospection(gateway, pair.access_token, { token_type_hint: "access_token" }),
    refresh_token: await openid.tokenIntrospection(gateway, pair.refresh_token),
    garbage: await openid.tokenIntrospection(gateway, "garbage"),
  };
  const admitted = await oauth.validateJwtAccessToken(client.serverMetadata(), request, audience, {
    [oauth.allowInsecureRequests]: true,
  });
  await openid.tokenRevocation(client, pair.refresh_token, { token_type_hint: "refresh_token" });
  introspected.revoked = await openid.tokenIntrospection(gateway, pair.refresh_token);
  return {
    pairs: [login, pair],
    admitted,
    introspected,
    refused: await refused(() => openid.refreshTokenGrant(client, pair.refresh_token)),
    unauthenticated: await refused(() => openid.tokenIntrospection(stranger, pair.access_token)),
  };
}

const none = await discover("shop", openid.None());
const answer = {
  metadata: none.serverMetadata(),
  lives: {
    none: await life(none),
    client_secret_basic: await life(await discover("shop", openid.ClientSecretBasic("of the shop"))),
    client_secret_post: await life(await discover("shop", openid.ClientSecretPost("of the shop"))),
  },
  "wrong password": await refused(() =>
    openid.genericGrantRequest(none, "password", { username, password: "wrong" }),
  ),
};
process.stdout.write(JSON.stringify(answer));
