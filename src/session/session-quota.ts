import type { Principal } from '../auth/principal.js';
import { OverloadedError, TooManySessionsError } from '../protocol/session-errors.js';

export interface SessionQuotaOptions {
  /** Sessions of the whole gateway. */
  readonly sessions: number;
  /** Sessions of one caller. */
  readonly sessionsPerPrincipal: number;
  /** Anonymous callers share one allowance. Where everybody is anonymous, that would be a bound on the whole gateway. */
  readonly bindsAnonymous?: boolean;
}

const RETRY_AFTER_MS = 5000;

/** Counts sessions over all routes, so that one caller cannot take every place. */
export class SessionQuota {
  readonly #options: SessionQuotaOptions;
  readonly #byPrincipal = new Map<string, number>();
  #total = 0;

  /** @param options Looked at for every new session, so that they may change. */
  constructor(options: SessionQuotaOptions) {
    this.#options = options;
  }

  /** @throws {OverloadedError | TooManySessionsError} */
  take(principal: Principal): void {
    if (this.#total >= this.#options.sessions) throw new OverloadedError('too many sessions are open', RETRY_AFTER_MS);
    const held = this.#byPrincipal.get(principal.id) ?? 0;
    const isFull = held >= this.#options.sessionsPerPrincipal;
    if (isFull && this.#isBound(principal)) throw new TooManySessionsError(RETRY_AFTER_MS);
    this.count(principal);
  }

  /** For a session that is open already. Counted whether bound or not: who is bound may change while sessions are open. */
  count(principal: Principal): void {
    this.#byPrincipal.set(principal.id, (this.#byPrincipal.get(principal.id) ?? 0) + 1);
    this.#total += 1;
  }

  giveBack(principal: Principal): void {
    this.#total -= 1;
    const held = (this.#byPrincipal.get(principal.id) ?? 1) - 1;
    if (held === 0) this.#byPrincipal.delete(principal.id);
    else this.#byPrincipal.set(principal.id, held);
  }

  #isBound(principal: Principal): boolean {
    return this.#options.bindsAnonymous === true || principal.kind !== 'anonymous';
  }
}
