/** What all event streams together may hold in memory, so that many slow readers cannot do what one may not. */
export class BufferBudget {
  #limitBytes: number;
  #usedBytes = 0;
  #waitingBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** All that is held: what waits, and what was given out and is kept for a client that comes back. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** So much is held that nothing more can be kept of what was given out. */
  get isFull(): boolean {
    return this.#usedBytes > this.#limitBytes;
  }

  /** What waits is too much by itself. What was given out never counts here: healthy streams must not end others. */
  get isExceeded(): boolean {
    return this.#waitingBytes > this.#limitBytes;
  }

  /** From here on the limit is this. */
  resize(limitBytes: number): void {
    this.#limitBytes = limitBytes;
  }

  take(bytes: number): void {
    this.#usedBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  /** @param bytes More that waits, or less when negative. */
  waits(bytes: number): void {
    this.#waitingBytes += bytes;
  }
}
