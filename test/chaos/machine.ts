/**
 * What the machine takes from everybody, watched beside a scenario: other work on it, or a host that stands still for seconds. What is said to
 * happen within a time is judged without it. Times are milliseconds of `performance.now()`.
 */
import { delay } from '../helpers/wait.js';

const PAUSE_MS = 20;
/** A pause that takes so much longer than it should is a stall. */
const STALL_MS = 100;

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export class MachineWatch {
  readonly #startedAtMs = performance.now();
  readonly #stalls: Span[] = [];
  #isOver = false;
  readonly #done: Promise<void>;

  constructor() {
    this.#done = this.#watch();
  }

  stop(): Promise<void> {
    this.#isOver = true;
    return this.#done;
  }

  /** How much of a span nobody got anything done, in milliseconds. */
  stalledMs(fromMs: number, toMs: number): number {
    return this.#stalls.reduce(
      (sum, stall) => sum + Math.max(0, Math.min(toMs, stall.toMs) - Math.max(fromMs, stall.fromMs)),
      0,
    );
  }

  /** How long a span lasted without that, in milliseconds. */
  workedMs(fromMs: number, toMs: number): number {
    return toMs - fromMs - this.stalledMs(fromMs, toMs);
  }

  /** Of the time since it began, 0 to 1: where it is most of it, times say nothing. */
  get stalledShare(): number {
    const nowMs = performance.now();
    return this.stalledMs(this.#startedAtMs, nowMs) / (nowMs - this.#startedAtMs);
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const fromMs = performance.now();
      await delay(PAUSE_MS);
      const toMs = performance.now();
      if (toMs - fromMs > PAUSE_MS + STALL_MS) this.#stalls.push({ fromMs, toMs });
    }
  }
}
