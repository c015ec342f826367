/** When this replica took sessions of others, for one that stood still and asks; and who has asked, and is therefore there. */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.js';

const MAX_OWNERS = 1000;

export class Takings {
  readonly #clock: Clock;
  #running = 0;
  /** Whose it was is not kept: who let go of a session may have taken it from whoever asks. */
  #lastMs = Number.NEGATIVE_INFINITY;
  readonly #timesAsked = new LRUCache<string, number>({ max: MAX_OWNERS });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param take Says whether it took; when it fails, nobody knows, and it counts as if it had. */
  async during(take: () => Promise<boolean>): Promise<boolean> {
    this.#running += 1;
    let mayHave = true;
    try {
      return (mayHave = await take());
    } finally {
      if (mayHave) this.#lastMs = this.#clock.now();
      this.#running -= 1;
    }
  }

  /** How often the owner has asked so far. */
  timesAsked(owner: string): number {
    return this.#timesAsked.get(owner) ?? 0;
  }

  /** For an owner that asks: whether anything was taken within the last `ms`, or is just being taken. */
  areWithin(owner: string, ms: number): boolean {
    this.#timesAsked.set(owner, this.timesAsked(owner) + 1);
    return this.#running > 0 || this.#clock.now() - this.#lastMs <= ms;
  }
}
