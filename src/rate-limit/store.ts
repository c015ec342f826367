/** One call to be counted in one window. */
export interface Take {
  /** Name of the limit; windows of one limit never crowd out those of another. */
  readonly limit: string;
  /** Which window: unique over all limits, bounded in length, safe as a key anywhere. */
  readonly key: string;
  /** How many calls the window admits. */
  readonly calls: number;
  /** Length of the window in milliseconds; its first call opens it. */
  readonly windowMs: number;
}

/** Which take found its window full, and when that window ends. */
export interface Exceeded {
  readonly index: number;
  readonly retryAfterMs: number;
}

/** Where windows are counted. */
export interface LimitStore {
  /**
   * Counts one call in every window, or in none: when a window is full, what was taken from the others is given back
   * before any other call is counted, and a window that only this call had opened is closed again.
   *
   * @returns the first full window in the order given, or undefined when all had room; a promise only if it has to wait
   * @throws whatever keeps the store from counting; then nothing may be assumed about what was taken
   */
  takeAll(takes: readonly Take[]): Exceeded | undefined | Promise<Exceeded | undefined>;
}
