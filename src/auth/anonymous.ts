import type { Authenticator } from './authenticator.js';
import { NO_CLAIMS } from './claims.js';
import type { PresentedCredential } from './credentials.js';
import type { AnonymousOptions } from './options.js';
import type { Principal } from './principal.js';
import type { AuthResult } from './refusals.js';

/** Lets in callers that sent no credential. One that did send something is never its business. */
export class AnonymousAuthenticator implements Authenticator {
  readonly #admitted: AuthResult;

  constructor(options: AnonymousOptions) {
    this.#admitted = admitAnonymous(options.role);
  }

  authenticate(credential: PresentedCredential | undefined): AuthResult | undefined {
    return credential === undefined ? this.#admitted : undefined;
  }
}

/** Everyone who need not say who they are. */
export function anonymousPrincipal(role: string | undefined): Principal {
  return Object.freeze({
    id: 'anonymous',
    kind: 'anonymous',
    role,
    tenant: undefined,
    claims: NO_CLAIMS,
    expiresAtMs: undefined,
  } as const);
}

/** Lets them in. */
export function admitAnonymous(role: string | undefined): AuthResult {
  return Object.freeze({ ok: true, principal: anonymousPrincipal(role) });
}
