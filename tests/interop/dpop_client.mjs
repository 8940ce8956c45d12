// The clients of openid-client and oauth4webapi, whose tokens are bound to their key (RFC 9449).
//
//     dpop_client.mjs <issuer> <user> <password>

import * as oauth from "oauth4webapi";
import * as openid from "openid-client";

const [issuer, username, password] = process.argv.slice(2);
// The server of the test has no TLS.
const insecure = { algorithm: "oauth2", execute: [openid.allowInsecureRequests] };
const discover = () => openid.discovery(new URL(issuer), "shop", undefined, openid.None(), insecure);
const me = new URL("/me", issuer);

/** A login, two refreshes, and three requests with the tokens of each. */
async function life(config, handle) {
  const DPoP = handle;
  const answers = [];
  const call = async (pair) => {
    for (let request = 0; request < 3; request += 1) {
      const response = await openid.fetchProtectedResource(config, pair.access_token, me, "GET", null, undefined, { DPoP });
      answers.push(await response.text());
    }
  };
  let pair = await openid.genericGrantRequest(config, "password", { username, password }, { DPoP });
  const pairs = [pair];
  await call(pair);
  for (let refresh = 0; refresh < 2; refresh += 1) {
    pair = await openid.refreshTokenGrant(config, pair.refresh_token, undefined, { DPoP });
    pairs.push(pair);
    await call(pair);
  }
  return { pairs, answers, token_types: pairs.map(tokenType) };
}

/** These clients write it in lower case. */
const tokenType = ({ token_type: type }) => (type.toLowerCase() === "dpop" ? "DPoP" : type);

const keys = {};
const config = await discover();
for (const algorithm of ["ES256", "Ed25519", "PS256", "RS256"]) {
  const pair = await openid.randomDPoPKeyPair(algorithm);
  keys[algorithm] = await life(config, openid.getDPoPHandle(config, pair));
}

// By hand, as the examples of oauth4webapi have it: whoever is asked for a nonce repeats the request.
const server = config.serverMetadata();
const client = { client_id: "shop" };
const handle = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
const options = { DPoP: handle, [oauth.allowInsecureRequests]: true };

async function retried(request) {
  try {
    return await request();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) {
      throw error;
    }
    return request();
  }
}

const form = (fields) => new URLSearchParams(fields);
let pair = await retried(async () =>
  oauth.processGenericTokenEndpointResponse(
    server,
    client,
    await oauth.genericTokenEndpointRequest(server, client, oauth.None(), "password", form({ username, password }), options),
  ),
);
const token_types = [tokenType(pair)];
const answers = [];
const call = async () => {
  for (let request = 0; request < 3; request += 1) {
    const response = await retried(() =>
      oauth.protectedResourceRequest(pair.access_token, "GET", me, new Headers(), null, options),
    );
    answers.push(await response.text());
  }
};
await call();
for (let refresh = 0; refresh < 2; refresh += 1) {
  const token = pair.refresh_token;
  pair = await retried(async () =>
    oauth.processRefreshTokenResponse(
      server,
      client,
      await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token, options),
    ),
  );
  token_types.push(tokenType(pair));
  await call();
}
keys.oauth4webapi = { token_types, answers };

/** The status, or the code, that the server refuses with. */
async function refused(request) {
  try {
    return (await request()).status;
  } catch (error) {
    return error.error ?? error.status ?? error.cause?.status ?? String(error);
  }
}

const stolen = keys.ES256.pairs.at(-1);
const other = openid.getDPoPHandle(await discover(), await openid.randomDPoPKeyPair("ES256"));
const thief = {
  bearer: (await fetch(me, { headers: { authorization: `Bearer ${stolen.access_token}` } })).status,
  "other key": await refused(() =>
    openid.fetchProtectedResource(config, stolen.access_token, me, "GET", null, undefined, { DPoP: other }),
  ),
  refresh: await refused(() => openid.refreshTokenGrant(config, stolen.refresh_token, undefined, { DPoP: other })),
};
process.stdout.write(JSON.stringify({ keys, thief }));
