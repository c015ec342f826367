/** Where time comes from; tests hand in their own. */
export interface Clock {
  /** Milliseconds that only ever grow; for durations and deadlines. */
  now(): number;
  /** Milliseconds since 1970; for what a person reads. */
  wallTimeMs(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTimeMs: () => Date.now(),
};
