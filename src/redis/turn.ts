/**
 * One turn of the event loop, as far as Redis is concerned: what arises while the sockets that are ready are handled is sent together when
 * they are through, and what must not come before it happens then. Nobody waits for an answer here.
 */
import { turnWrites } from '../core/turn-writes.js';

export class Turn {
  readonly #senders = new Set<() => void>();
  readonly #works: (() => void)[] = [];
  /** Which of them is next. */
  #next = 0;
  #isScheduled = false;
  readonly #inOneWrite: (send: () => void) => void;

  /** @param inOneWrite Sends what goes out during the call as one. */
  constructor(inOneWrite: (send: () => void) => void = (send) => send()) {
    this.#inOneWrite = inOneWrite;
  }

  /** @param send is called once, at the end of the turn or before */
  gather(send: () => void): void {
    this.#senders.add(send);
    this.#endLater();
  }

  /** Does `work` as soon as all that was gathered before it was sent, in the order given: at once when there is nothing to wait for. */
  whenSent(work: () => void): void {
    if (this.#senders.size === 0 && this.#works.length === 0) work();
    else this.#works.push(work);
  }

  /** Sends what was gathered. What has waited for that still comes at the end of the turn. */
  send(): void {
    if (this.#senders.size > 1) this.#inOneWrite(this.#sendAll);
    else this.#sendAll();
  }

  readonly #sendAll = (): void => {
    for (const send of this.#senders) {
      this.#senders.delete(send);
      send();
    }
  };

  /** Does now what was to be done at the end of the turn. A work may end the turn as well: the rest is done then. */
  end(): void {
    this.send();
    while (this.#next < this.#works.length) {
      const work = this.#works[this.#next];
      this.#next += 1;
      work?.();
      // What it left behind must not come after what follows.
      this.send();
    }
    this.#works.length = 0;
    this.#next = 0;
  }

  readonly #onTurnEnd = (): void => {
    this.#isScheduled = false;
    this.end();
  };

  #endLater(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Before anything goes out to clients: what they may see is in Redis's hands by then.
    turnWrites.beforeEnd(this.#onTurnEnd);
  }
}
