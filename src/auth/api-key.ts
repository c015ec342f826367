import { timingSafeEqual } from 'node:crypto';

import type { Authenticator } from './authenticator.js';
import { NO_CLAIMS } from './claims.js';
import type { PresentedCredential } from './credentials.js';
import type { ApiKeyOptions } from './options.js';
import type { AuthResult } from './refusals.js';

interface KnownKey {
  readonly digest: Buffer;
  readonly admitted: AuthResult;
}

/**
 * Recognizes configured API keys by their SHA-256; the keys themselves are never known here.
 * What matches no key may still be a token, so it is left to the next method.
 */
export class ApiKeyAuthenticator implements Authenticator {
  readonly #keys: readonly KnownKey[];

  constructor(keys: readonly ApiKeyOptions[]) {
    this.#keys = keys.map((key) => ({ digest: Buffer.from(key.sha256, 'hex'), admitted: admit(key) }));
  }

  authenticate(credential: PresentedCredential | undefined): AuthResult | undefined {
    if (credential === undefined) return undefined;
    const digest = Buffer.from(credential.digest, 'hex');
    let found: AuthResult | undefined;
    // Every key is compared, found or not: how long it takes tells nothing about which one matched.
    for (const key of this.#keys) {
      if (timingSafeEqual(key.digest, digest)) found = key.admitted;
    }
    return found;
  }
}

function admit({ name, role, tenant }: ApiKeyOptions): AuthResult {
  const principal = Object.freeze({
    id: `apikey|${name}`,
    kind: 'api-key',
    role,
    tenant,
    claims: NO_CLAIMS,
    expiresAtMs: undefined,
  } as const);
  return Object.freeze({ ok: true, principal });
}
