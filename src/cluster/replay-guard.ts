/**
 * Lets each forwarded request in once. A request counts only within a window around now, so nonces need not be
 * remembered for longer than that: they are kept in generations, each dropped whole.
 */

/** How far the clocks of two replicas may be apart, transport included. */
export const CLOCK_SKEW_MS = 30_000;
const GENERATION_MS = CLOCK_SKEW_MS;
const DEFAULT_MAX_NONCES = 2_000_000;

interface Generation {
  readonly nonces: Set<string>;
  /** The latest time that one of its requests names. */
  latestMs: number;
}

export class ReplayGuard {
  readonly #maxNonces: number;
  /** By the end of their requests' time, in units of `GENERATION_MS`. */
  readonly #generations = new Map<number, Generation>();
  #count = 0;
  /** Requests up to this time are forgotten, and refused even when a clock is set back over it. */
  #forgottenMs = Number.NEGATIVE_INFINITY;

  /** @param maxNonces Beyond it everything is refused until old ones are forgotten. */
  constructor(maxNonces = DEFAULT_MAX_NONCES) {
    this.#maxNonces = maxNonces;
  }

  /** How many nonces are remembered. */
  get size(): number {
    return this.#count;
  }

  /**
   * Both times are wall time, in milliseconds.
   *
   * @param atMs When the request says that it was made.
   * @returns false when it is too old, too new, or was here before
   */
  admit(nonce: string, atMs: number, nowMs: number): boolean {
    this.#forget(nowMs);
    const isNow = Math.abs(atMs - nowMs) <= CLOCK_SKEW_MS && atMs > this.#forgottenMs;
    if (!isNow || this.#count >= this.#maxNonces) return false;
    const { nonces } = this.#generationOf(atMs);
    if (nonces.has(nonce)) return false;
    nonces.add(nonce);
    this.#count += 1;
    return true;
  }

  #generationOf(atMs: number): Generation {
    const number = Math.floor((atMs + CLOCK_SKEW_MS) / GENERATION_MS);
    const generation = this.#generations.get(number) ?? { nonces: new Set(), latestMs: atMs };
    generation.latestMs = Math.max(generation.latestMs, atMs);
    this.#generations.set(number, generation);
    return generation;
  }

  #forget(nowMs: number): void {
    for (const [number, { nonces, latestMs }] of this.#generations) {
      if ((number + 1) * GENERATION_MS > nowMs) continue;
      this.#generations.delete(number);
      this.#count -= nonces.size;
      this.#forgottenMs = Math.max(this.#forgottenMs, latestMs);
    }
  }
}
