/** An identity provider on loopback: a key set that gateways read, and tokens signed with its key. */
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { listenOnLoopback } from './loopback.js';

export interface Issuer {
  /** The `iss` of its tokens. */
  readonly name: string;
  /** An entry of `auth.jwt` that accepts them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** How often the key set was read. */
  readonly reads: number;
  /** A token for `sub` that is good for `lifetimeS` seconds from now. */
  token(sub: string, claims?: JWTPayload, lifetimeS?: number): Promise<string>;
  close(): Promise<void>;
}

export const AUDIENCE = 'https://gw.test';

export async function startIssuer(delayMs = 0): Promise<Issuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const keySet = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }] });
  let reads = 0;
  const server = createServer((_request, response) => {
    reads += 1;
    setTimeout(() => response.end(keySet), delayMs);
  });
  const listener = await listenOnLoopback(server);
  const name = `http://127.0.0.1:${listener.port}`;
  return {
    name,
    options: { issuer: name, audience: AUDIENCE, jwksUri: `${name}/jwks` },
    get reads() {
      return reads;
    },
    token: (sub, claims = {}, lifetimeS = 300) => {
      const nowS = Math.floor(Date.now() / 1000);
      return new SignJWT({ iss: name, aud: AUDIENCE, sub, iat: nowS - 60, exp: nowS + lifetimeS, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'at+jwt' })
        .sign(privateKey);
    },
    close: () => listener.close(),
  };
}
