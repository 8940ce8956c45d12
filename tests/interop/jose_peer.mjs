// The side of jose: verifies our tokens, and signs its own with its own keys.
//
// Reads one JSON object from standard input, writes one to standard output. tests/tests/jwt_interop.rs says what is in
// them.

import * as jose from "jose";
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { strict as assert } from "node:assert";

const ask = JSON.parse(readFileSync(0, "utf8"));
const requiredClaims = ["iss", "sub", "aud", "exp", "iat", "jti", "sid", "client_id", "auth_time", "amr"];

/** The claims of one of our tokens, by the key that its header names. */
async function verify(algorithm, token) {
  const key =
    algorithm === "HS256" ? await jose.importJWK(ask.secret, "HS256") : jose.createLocalJWKSet(ask.jwks[algorithm]);
  const { audience, issuer } = ask;
  const options = { algorithms: [algorithm], audience, issuer, requiredClaims, typ: "at+jwt" };
  return (await jose.jwtVerify(token, key, options)).payload;
}

/** A changed token is refused there too: the check above is one that can fail. */
async function refuses(algorithm, token) {
  const [message, signature] = [token.slice(0, token.lastIndexOf(".")), token.slice(token.lastIndexOf(".") + 1)];
  const changed = `${message}.${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`;
  try {
    await verify(algorithm, changed);
  } catch (error) {
    return error instanceof jose.errors.JWSSignatureVerificationFailed;
  }
  return false;
}

async function sign(key, alg, kid) {
  const headers = [
    { alg, kid, typ: "at+jwt" },
    { typ: "at+jwt", alg, kid },
    { kid, typ: "application/at+jwt", alg },
  ];
  const tokens = headers.map((header) => new jose.SignJWT(ask.claims).setProtectedHeader(header).sign(key));
  return Promise.all(tokens);
}

const answer = { claims: {}, refused: {}, tokens: {}, jwks: { keys: [] }, keys: {} };
for (const [algorithm, token] of Object.entries(ask.tokens)) {
  answer.claims[algorithm] = await verify(algorithm, token);
  answer.refused[algorithm] = await refuses(algorithm, token);
}
answer.tokens.HS256 = await sign(await jose.importJWK(ask.secret, "HS256"), "HS256", ask.secret.kid);
for (const algorithm of ask.theirs) {
  const { publicKey, privateKey } = await jose.generateKeyPair(algorithm, { extractable: true });
  const kid = randomUUID();
  const describe = async (key) => ({ ...(await jose.exportJWK(key)), kid, use: "sig", alg: algorithm });
  answer.tokens[algorithm] = await sign(privateKey, algorithm, kid);
  answer.jwks.keys.push(await describe(publicKey));
  if (!(algorithm in ask.pems)) continue;
  answer.keys[algorithm] = {
    pem: await jose.exportPKCS8(privateKey),
    public_pem: await jose.exportSPKI(publicKey),
    jwk: JSON.stringify(await describe(privateKey)),
  };
  // Our kid is the thumbprint, and our PEM is the key of our JWKS.
  const published = ask.jwks[algorithm].keys[0];
  assert.equal(await jose.calculateJwkThumbprint(published), published.kid);
  const ours = await jose.importPKCS8(ask.pems[algorithm], algorithm, { extractable: true });
  assert.equal(await jose.calculateJwkThumbprint(await jose.exportJWK(ours)), published.kid);
}
process.stdout.write(JSON.stringify(answer));
