import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import type { Exceeded, LimitStore, Take } from './store.js';

/** Windows of one limit kept at most; past it the oldest is forgotten, so that invented keys cannot exhaust memory. */
const MAX_WINDOWS_PER_LIMIT = 100_000;

/**
 * Counts windows in this process while the shared store is away. Expired windows leave memory by themselves.
 * Groups of takes go one after another, so that none sees what a refused one is about to give back.
 * `MemoryLimitStore` is for counting every call: `docs/decisions/0003-memory-limits.md` says why there are two.
 */
export class FallbackLimitStore implements LimitStore {
  // Each take brings its own limit and window, so the ones of the limiter itself never apply.
  readonly #limiter = new RateLimiterMemory({ points: Number.MAX_SAFE_INTEGER, duration: 0, keyPrefix: '' });
  /** Per limit, the windows it opened, oldest first, and when each ends (milliseconds since 1970). */
  readonly #opened = new Map<string, Map<string, number>>();
  readonly #maxWindowsPerLimit: number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(maxWindowsPerLimit = MAX_WINDOWS_PER_LIMIT) {
    this.#maxWindowsPerLimit = maxWindowsPerLimit;
  }

  takeAll(takes: readonly Take[]): Promise<Exceeded | undefined> {
    const result = this.#turn.then(() => this.#takeInTurn(takes));
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** How many windows are remembered, those that ended since the last opening included. */
  get size(): number {
    let size = 0;
    for (const windows of this.#opened.values()) size += windows.size;
    return size;
  }

  async #takeInTurn(takes: readonly Take[]): Promise<Exceeded | undefined> {
    for (const [index, take] of takes.entries()) {
      const counted = await this.#limiter.penalty(take.key, 1, { customDuration: take.windowMs / 1000 });
      if (counted.isFirstInDuration) await this.#noteOpened(take);
      if (counted.consumedPoints > take.calls) {
        await this.#giveBack(takes.slice(0, index + 1));
        return { index, retryAfterMs: Math.max(1, Math.ceil(counted.msBeforeNext)) };
      }
    }
    return undefined;
  }

  async #giveBack(takes: readonly Take[]): Promise<void> {
    for (const take of takes) {
      const left: RateLimiterRes = await this.#limiter.reward(take.key, 1, { customDuration: take.windowMs / 1000 });
      // Zero: this call had opened the window. Below: the window ended meanwhile, and the reward opened the next one.
      if (left.consumedPoints <= 0) await this.#forget(take.limit, take.key);
    }
  }

  async #noteOpened({ limit, key, windowMs }: Take): Promise<void> {
    const nowMs = Date.now();
    let windows = this.#opened.get(limit);
    if (windows === undefined) this.#opened.set(limit, (windows = new Map()));
    for (const [oldest, endsAtMs] of windows) {
      if (endsAtMs > nowMs) break;
      windows.delete(oldest);
    }
    windows.delete(key);
    windows.set(key, nowMs + windowMs);
    if (windows.size > this.#maxWindowsPerLimit) {
      const [oldest] = windows.keys();
      if (oldest !== undefined) await this.#forget(limit, oldest);
    }
  }

  async #forget(limit: string, key: string): Promise<void> {
    this.#opened.get(limit)?.delete(key);
    await this.#limiter.delete(key);
  }
}
