/** What the tests of `auth` share: a clock that is set by hand, issuers with fresh keys, and tokens of every kind. */
import { createHash } from 'node:crypto';

import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

import { createAuthenticator, type RequestAuthenticator } from '../../../src/auth/create-authenticator.js';
import type { Credentials } from '../../../src/auth/credentials.js';
import { FailureLimiter } from '../../../src/auth/failure-limiter.js';
import { authOptions } from '../../../src/auth/options.js';
import { RemoteKeySets } from '../../../src/auth/remote-key-set.js';
import type { Clock } from '../../../src/core/clock.js';

export const ISSUER = 'https://idp.example/';
export const AUDIENCE = 'https://gw.example/sumit/mcp';
export const JWKS_URI = 'https://idp.example/jwks';

export class FakeClock implements Clock {
  #nowMs = 1000;
  #wallTimeMs = Date.UTC(2030, 0, 1);

  now(): number {
    return this.#nowMs;
  }

  wallTimeMs(): number {
    return this.#wallTimeMs;
  }

  get wallTimeS(): number {
    return this.#wallTimeMs / 1000;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    this.#wallTimeMs += ms;
  }
}

export interface SigningKey {
  readonly alg: string;
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

export async function createKey(alg: string, kid: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export function keySetText(...keys: SigningKey[]): string {
  return JSON.stringify({ keys: keys.map((key) => key.jwk) });
}

export interface TokenOptions {
  readonly claims?: JWTPayload;
  readonly header?: Record<string, unknown>;
  readonly without?: readonly string[];
}

/** A token that is in order at `clock`, but for what `options` change. */
export function sign(key: SigningKey, clock: FakeClock, options: TokenOptions = {}): Promise<string> {
  const nowS = Math.floor(clock.wallTimeS);
  const claims: JWTPayload = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'alice',
    iat: nowS,
    exp: nowS + 300,
    ...options.claims,
  };
  for (const name of options.without ?? []) delete claims[name];
  const header = { alg: key.alg, kid: key.kid, typ: 'at+jwt', ...options.header };
  return new SignJWT(claims).setProtectedHeader(header).sign(key.privateKey);
}

export function encodeSegment(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function bearer(secret: string, ip?: string): Credentials {
  return { authorization: `Bearer ${secret}`, apiKey: undefined, queryHasCredential: false, ip };
}

export const NO_CREDENTIALS: Credentials = { authorization: undefined, apiKey: undefined, queryHasCredential: false };

export interface Harness {
  readonly clock: FakeClock;
  readonly authenticator: RequestAuthenticator;
  readonly failures: FailureLimiter;
  readonly problems: string[];
  /** How often the key set was asked for. */
  readonly fetches: () => number;
}

/** An authenticator whose key sets come from `fetch`; `options` are what stands under `auth:` in the file. */
export function createHarness(options: unknown, fetch: (url: string) => Promise<string>): Harness {
  const clock = new FakeClock();
  const problems: string[] = [];
  let fetches = 0;
  const counted = (url: string): Promise<string> => {
    fetches += 1;
    return fetch(url);
  };
  const onProblem = (problem: string): void => void problems.push(problem);
  const failures = new FailureLimiter(clock);
  const keySets = new RemoteKeySets({ clock, fetch: counted, onProblem });
  const parsed = options === undefined ? undefined : authOptions.parse(options);
  const authenticator = createAuthenticator(parsed, { clock, keySets, failures, onProblem });
  return { clock, authenticator, failures, problems, fetches: () => fetches };
}

export const jwtOptions = (overrides: Record<string, unknown> = {}): Record<string, unknown> => ({
  jwt: [{ issuer: ISSUER, audience: AUDIENCE, jwksUri: JWKS_URI, ...overrides }],
});
