/** Windows of rate limits that all replicas count in together. What arises in one turn of the event loop is counted in one script. */
import type { Exceeded, LimitStore, Take } from '../rate-limit/store.js';
import { StoreAwayError } from './errors.js';
import type { RedisLink } from './link.js';
import { TakeBatch } from './take-batch.js';

export class RedisLimitStore implements LimitStore {
  readonly #link: RedisLink;
  #batch = new TakeBatch();

  constructor(link: RedisLink) {
    this.#link = link;
  }

  takeAll(takes: readonly Take[]): Promise<Exceeded | undefined> {
    if (takes.length === 0) return Promise.resolve(undefined);
    if (!this.#link.isUp) return Promise.reject(new StoreAwayError());
    return new Promise((resolve, reject) => {
      this.#batch.add(takes, this.#nameOf, { resolve, reject });
      this.#link.turn.gather(this.#send);
      if (this.#batch.isFull) this.#send();
    });
  }

  readonly #nameOf = (key: string): string => this.#link.keys.limit(key);

  readonly #send = (): void => {
    const batch = this.#batch;
    if (batch.isEmpty) return;
    this.#batch = new TakeBatch();
    void batch.count((work) => this.#link.run(work));
  };
}
