import { LRUCache } from 'lru-cache';

import type { Clock } from '../core/clock.js';
import type { PresentedCredential } from './credentials.js';
import type { AuthResult } from './refusals.js';

type Admitted = Extract<AuthResult, { ok: true }>;

interface Remembered {
  readonly admitted: Admitted;
  readonly ip: string | undefined;
  /** On the clock that only grows. */
  readonly forgetAtMs: number;
  /** Wall time, for the token's own end. */
  readonly expiresAtMs: number;
}

const MAX_CREDENTIALS = 10_000;
const MAX_AGE_MS = 60_000;

/**
 * Credentials that were verified within the last minute, so that a call costs a hash and not a signature check.
 * Holds digests, never credentials. A token is forgotten at its `exp`, without the skew that verifying it anew may grant.
 */
export class VerifiedCredentials {
  readonly #clock: Clock;
  readonly #skewMs: number;
  readonly #entries = new LRUCache<string, Remembered>({ max: MAX_CREDENTIALS });

  /** @param skewMs What `expiresAtMs` of a principal contains on top of `exp`, in milliseconds. */
  constructor(clock: Clock, skewMs: number) {
    this.#clock = clock;
    this.#skewMs = skewMs;
  }

  remember({ digest }: PresentedCredential, admitted: Admitted, ip: string | undefined): void {
    const expiresAtMs = (admitted.principal.expiresAtMs ?? Number.POSITIVE_INFINITY) - this.#skewMs;
    this.#entries.set(digest, {
      admitted,
      ip,
      forgetAtMs: this.#clock.now() + MAX_AGE_MS,
      expiresAtMs,
    });
  }

  recall({ digest }: PresentedCredential): Remembered | undefined {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return undefined;
    if (this.#clock.now() < entry.forgetAtMs && this.#clock.wallTimeMs() < entry.expiresAtMs) return entry;
    this.#entries.delete(digest);
    return undefined;
  }
}
