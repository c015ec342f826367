import type { Exceeded, LimitStore, Take } from './store.js';

/** Windows of one limit kept at most; past it the oldest is forgotten, so that invented keys cannot exhaust memory. */
const MAX_WINDOWS_PER_LIMIT = 100_000;
/** How long a window that ended may stay when no other of its limit is opened, which would remove it. */
const SWEEP_INTERVAL_MS = 60_000;

interface Window {
  count: number;
  /** Milliseconds since 1970. */
  endsAtMs: number;
}

/**
 * Counts windows in this process, and answers at once: nothing here waits, so no other call can come in between a take
 * and its give-back.
 */
export class MemoryLimitStore implements LimitStore {
  /** Per limit, the windows it opened by key, oldest first. */
  readonly #limits = new Map<string, Map<string, Window>>();
  readonly #maxWindowsPerLimit: number;
  #sweepTimer: NodeJS.Timeout | undefined;

  constructor(maxWindowsPerLimit = MAX_WINDOWS_PER_LIMIT) {
    this.#maxWindowsPerLimit = maxWindowsPerLimit;
  }

  takeAll(takes: readonly Take[]): Exceeded | undefined {
    const nowMs = Date.now();
    for (let index = 0; index < takes.length; index += 1) {
      const take = takes[index];
      if (take === undefined) continue;
      const retryAfterMs = this.#take(take, nowMs);
      if (retryAfterMs === undefined) continue;
      for (let taken = 0; taken < index; taken += 1) this.#giveBack(takes[taken]);
      return { index, retryAfterMs };
    }
    return undefined;
  }

  /** How many windows are remembered, those that ended since the last opening included. */
  get size(): number {
    let size = 0;
    for (const windows of this.#limits.values()) size += windows.size;
    return size;
  }

  /** @returns how long to wait when the window is full, which is then left as it was */
  #take({ limit, key, calls, windowMs }: Take, nowMs: number): number | undefined {
    const window = this.#limits.get(limit)?.get(key);
    if (window !== undefined && window.endsAtMs > nowMs) {
      if (window.count >= calls) return window.endsAtMs - nowMs;
      window.count += 1;
      return undefined;
    }
    if (calls < 1) return windowMs;
    this.#open(limit, key, { count: 1, endsAtMs: nowMs + windowMs }, nowMs);
    return undefined;
  }

  #open(limit: string, key: string, window: Window, nowMs: number): void {
    let windows = this.#limits.get(limit);
    if (windows === undefined) this.#limits.set(limit, (windows = new Map()));
    removeEnded(windows, nowMs);
    windows.delete(key);
    windows.set(key, window);
    if (windows.size > this.#maxWindowsPerLimit) {
      const [oldest] = windows.keys();
      if (oldest !== undefined) windows.delete(oldest);
    }
    this.#armSweep();
  }

  #giveBack(take: Take | undefined): void {
    const windows = take === undefined ? undefined : this.#limits.get(take.limit);
    const window = take === undefined ? undefined : windows?.get(take.key);
    if (take === undefined || window === undefined) return;
    window.count -= 1;
    // This call had opened the window.
    if (window.count === 0) windows?.delete(take.key);
  }

  #armSweep(): void {
    if (this.#sweepTimer !== undefined) return;
    this.#sweepTimer = setTimeout(() => {
      this.#sweepTimer = undefined;
      this.#sweep(Date.now());
    }, SWEEP_INTERVAL_MS).unref();
  }

  #sweep(nowMs: number): void {
    for (const [limit, windows] of this.#limits) {
      removeEnded(windows, nowMs);
      if (windows.size === 0) this.#limits.delete(limit);
    }
    if (this.#limits.size > 0) this.#armSweep();
  }
}

/**
 * Stops at the first that goes on: windows of one limit are as long as each other, so those behind it go on too. After
 * a reload that shortened them, ones that ended may wait for a longer one before them; they count for the cap, too.
 */
function removeEnded(windows: Map<string, Window>, nowMs: number): void {
  for (const [key, { endsAtMs }] of windows) {
    if (endsAtMs > nowMs) return;
    windows.delete(key);
  }
}
