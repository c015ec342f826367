/** From whom this replica took sessions, and when: one that stood still may ask. */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../core/clock.js';

const MAX_OWNERS = 1000;

export class Takings {
  readonly #clock: Clock;
  readonly #running = new Map<string, number>();
  readonly #lastMs = new LRUCache<string, number>({ max: MAX_OWNERS });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param take Says whether it took; when it fails, nobody knows, and it counts as if it had. */
  async during(owner: string, take: () => Promise<boolean>): Promise<boolean> {
    this.#running.set(owner, (this.#running.get(owner) ?? 0) + 1);
    let mayHave = true;
    try {
      return (mayHave = await take());
    } finally {
      if (mayHave) this.#lastMs.set(owner, this.#clock.now());
      const left = (this.#running.get(owner) ?? 1) - 1;
      if (left === 0) this.#running.delete(owner);
      else this.#running.set(owner, left);
    }
  }

  /** Whether a session of the owner was taken within the last `ms`, or is just being taken. */
  areWithin(owner: string, ms: number): boolean {
    const lastMs = this.#lastMs.get(owner);
    return this.#running.has(owner) || (lastMs !== undefined && this.#clock.now() - lastMs <= ms);
  }
}
