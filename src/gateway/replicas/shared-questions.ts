/** Answers that are good for a moment: however many ask the same within it, the question is put once. */
import type { Clock } from '../../core/clock.js';

interface Asked<V> {
  readonly answer: Promise<V>;
  readonly atMs: number;
}

export class SharedQuestions<V> {
  readonly #goodForMs: number;
  readonly #clock: Clock;
  readonly #asked = new Map<string, Asked<V>>();

  /** @param goodForMs Counted from the asking, in milliseconds. */
  constructor(goodForMs: number, clock: Clock) {
    this.#goodForMs = goodForMs;
    this.#clock = clock;
  }

  /** @param put Puts the question; a failure is shared like an answer. */
  ask(about: string, put: () => Promise<V>): Promise<V> {
    const nowMs = this.#clock.now();
    const asked = this.#asked.get(about);
    if (asked !== undefined && nowMs - asked.atMs < this.#goodForMs) return asked.answer;
    this.#forgetOld(nowMs);
    const answer = put();
    this.#asked.set(about, { answer, atMs: nowMs });
    return answer;
  }

  /** What was answered may not hold any longer. */
  forget(about: string): void {
    this.#asked.delete(about);
  }

  /** Oldest first, as they were asked. */
  #forgetOld(nowMs: number): void {
    for (const [about, { atMs }] of this.#asked) {
      if (nowMs - atMs < this.#goodForMs) break;
      this.#asked.delete(about);
    }
  }
}
