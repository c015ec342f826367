import { decodeJwt } from 'jose';

import type { Authenticator } from './authenticator.js';
import type { PresentedCredential } from './credentials.js';
import type { JwtIssuer } from './jwt-issuer.js';
import type { AuthResult } from './refusals.js';

/** Hands a token to the issuer that it names. What names no known issuer is left to the next method. */
export class JwtAuthenticator implements Authenticator {
  readonly #issuers: ReadonlyMap<string, JwtIssuer>;

  /** @param issuers By exact `iss`. */
  constructor(issuers: ReadonlyMap<string, JwtIssuer>) {
    this.#issuers = issuers;
  }

  authenticate(credential: PresentedCredential | undefined): Promise<AuthResult> | undefined {
    const name = credential === undefined ? undefined : claimedIssuer(credential.secret);
    const issuer = name === undefined ? undefined : this.#issuers.get(name);
    return credential === undefined ? undefined : issuer?.verify(credential.secret);
  }
}

const TOKEN_SHAPE = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/** Only chooses whose keys to check with: the signature and the verified `iss` decide afterwards. */
function claimedIssuer(token: string): string | undefined {
  // Most of what is no token is told apart here, for less than an exception costs.
  if (!TOKEN_SHAPE.test(token)) return undefined;
  try {
    const { iss } = decodeJwt(token);
    return typeof iss === 'string' ? iss : undefined;
  } catch {
    return undefined;
  }
}
