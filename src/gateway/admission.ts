/** How many requests may be under way: over all routes, and for one upstream, so that a slow one cannot take every place. */
import { OverloadedError } from '../protocol/session-errors.js';
import type { RequestId } from '../protocol/message.js';
import type { Upstream } from '../upstream/upstream.js';

const RETRY_AFTER_MS = 1000;

export class Admission {
  readonly #limit: number;
  #inFlight = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** @throws {OverloadedError} */
  enter(upstream: Upstream, id: RequestId): void {
    if (this.#inFlight >= this.#limit) throw new OverloadedError('too many requests are under way', RETRY_AFTER_MS, id);
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
