/** How many requests may be under way: over all routes, and for one upstream, so that a slow one cannot take every place. */
import { OverloadedError } from '../protocol/session-errors.js';
import type { RequestId } from '../protocol/message.js';
import type { Upstream } from '../upstream/upstream.js';

export interface AdmissionLimits {
  /** Requests of the whole gateway. */
  readonly inFlight: number;
}

const RETRY_AFTER_MS = 1000;

export class Admission {
  readonly #limits: AdmissionLimits;
  #inFlight = 0;

  /** @param limits Looked at whenever somebody wants in, so that they may change. */
  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** @throws {OverloadedError} */
  enter(upstream: Upstream, id: RequestId): void {
    if (this.#inFlight >= this.#limits.inFlight)
      throw new OverloadedError('too many requests are under way', RETRY_AFTER_MS, id);
    if (upstream.inFlight >= upstream.options.inFlight) {
      throw new OverloadedError('too many requests wait for this upstream', RETRY_AFTER_MS, id);
    }
    this.#inFlight += 1;
    upstream.inFlight += 1;
  }

  leave(upstream: Upstream): void {
    this.#inFlight -= 1;
    upstream.inFlight -= 1;
  }
}
