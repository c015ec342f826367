import {
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  jwtVerify,
} from 'jose';

import type { Clock } from '../core/clock.js';
import { type Claims, scopesOf, sealClaims, textClaim } from './claims.js';
import { KeySetUnavailableError } from './errors.js';
import type { KeySource } from './key-set.js';
import type { JwtIssuerOptions } from './options.js';
import type { Principal } from './principal.js';
import { type AuthResult, type RefusalReason, refuse } from './refusals.js';

/** How far two clocks may be apart. */
export const CLOCK_SKEW_MS = 30_000;

/** The last moment that a date can name, in seconds since 1970. */
const MAX_DATE_S = 8.64e12;
/** A token without a key id is tried with this many keys, so a large key set does not multiply the work of one request. */
const MAX_KEYS_TRIED = 4;

const ACCEPTED_TYPES: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt']);

/** A token that jose found in order but that we do not accept. */
class TokenRefusedError extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * Verifies the tokens of one issuer: signature, then who it is from and for, then when it is valid, then its scopes.
 * Algorithms are those configured, whatever the token says; keys come from the issuer alone, whatever the token carries.
 */
export class JwtIssuer {
  readonly #options: JwtIssuerOptions;
  readonly #keys: KeySource;
  readonly #clock: Clock;
  readonly #requiredScope: string;

  constructor(options: JwtIssuerOptions, keys: KeySource, clock: Clock) {
    this.#options = options;
    this.#keys = keys;
    this.#clock = clock;
    this.#requiredScope = options.requiredScopes.join(' ');
  }

  /** Never rejects: a token that cannot be judged is refused. */
  async verify(token: string): Promise<AuthResult> {
    try {
      refuseHeader(token);
      const { payload } = await this.#verifySignatureAndClaims(token);
      const claims = sealClaims(payload);
      const principal = this.#principal(claims, this.#expiryMs(payload));
      const granted = scopesOf(claims);
      const hasScopes = this.#options.requiredScopes.every((scope) => granted.has(scope));
      return hasScopes ? Object.freeze({ ok: true, principal }) : refuse('insufficient_scope', this.#requiredScope);
    } catch (error) {
      return refuse(reasonFor(error), this.#requiredScope);
    }
  }

  async #verifySignatureAndClaims(token: string): Promise<JWTVerifyResult> {
    const options: JWTVerifyOptions = {
      algorithms: this.#options.algorithms,
      issuer: this.#options.issuer,
      audience: this.#options.audience,
      requiredClaims: ['exp', 'sub'],
      clockTolerance: CLOCK_SKEW_MS / 1000,
      currentDate: new Date(this.#clock.wallTimeMs()),
    };
    try {
      return await jwtVerify(token, (header, jws) => this.#keys.find(header, jws), options);
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      return verifyWithAny(token, error, options);
    }
  }

  /** jose compares whole seconds and takes any number for a date; here the limits are exact and `iat` counts too. */
  #expiryMs({ exp, nbf, iat }: JWTPayload): number {
    const nowMs = this.#clock.wallTimeMs();
    if (!isDate(exp)) throw new TokenRefusedError('not_accepted');
    for (const from of [nbf, iat]) {
      if (from === undefined) continue;
      if (!isDate(from)) throw new TokenRefusedError('not_accepted');
      if (from * 1000 > nowMs + CLOCK_SKEW_MS) throw new TokenRefusedError('not_yet_valid');
    }
    const expiresAtMs = exp * 1000 + CLOCK_SKEW_MS;
    if (nowMs >= expiresAtMs) throw new TokenRefusedError('expired');
    return expiresAtMs;
  }

  #principal(claims: Claims, expiresAtMs: number): Principal {
    const { sub } = claims;
    if (typeof sub !== 'string' || sub === '') throw new TokenRefusedError('not_accepted');
    return Object.freeze({
      id: `${this.#options.issuer}|${sub}`,
      kind: 'jwt',
      role: textClaim(claims, this.#options.roleClaim),
      tenant: textClaim(claims, this.#options.tenantClaim),
      claims,
      expiresAtMs,
    });
  }
}

/** A token made for another purpose, or one with demands on its reader, is none of ours. */
function refuseHeader(token: string): void {
  const { typ, crit } = decodeProtectedHeader(token);
  const isOurType = typ === undefined || (typeof typ === 'string' && ACCEPTED_TYPES.has(typ.toLowerCase()));
  if (!isOurType || crit !== undefined) throw new TokenRefusedError('not_accepted');
}

async function verifyWithAny(
  token: string,
  candidates: errors.JWKSMultipleMatchingKeys,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  let tried = 0;
  for await (const key of candidates) {
    tried += 1;
    try {
      return await jwtVerify(token, key, options);
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed) || tried === MAX_KEYS_TRIED) throw error;
    }
  }
  throw new TokenRefusedError('bad_signature');
}

function isDate(seconds: unknown): seconds is number {
  return typeof seconds === 'number' && Math.abs(seconds) <= MAX_DATE_S;
}

function reasonFor(error: unknown): RefusalReason {
  if (error instanceof TokenRefusedError) return error.reason;
  if (error instanceof KeySetUnavailableError) return 'keys_unavailable';
  if (error instanceof errors.JWKSNoMatchingKey) return 'unknown_key';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'bad_signature';
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWTClaimValidationFailed) return reasonForClaim(error.claim, error.reason);
  return 'not_accepted';
}

function reasonForClaim(claim: string, failure: string): RefusalReason {
  if (claim === 'aud') return 'wrong_audience';
  return claim === 'nbf' && failure === 'check_failed' ? 'not_yet_valid' : 'not_accepted';
}
