/** How many calls one window admits, and how long the window is. */
export interface Rate {
  readonly calls: number;
  readonly windowMs: number;
}

const WINDOW_MS: ReadonlyMap<string, number> = new Map([
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** What `parseRate` reads, as a pattern for the JSON Schema of the configuration. */
export const RATE_PATTERN = /^([1-9]\d{0,8})\/([smh])$/;

/** Reads `10/s`, `60/m` or `1000/h`; undefined when `text` is no rate. A rate of zero is none: denying is a policy's work. */
export function parseRate(text: string): Rate | undefined {
  const match = RATE_PATTERN.exec(text);
  const windowMs = WINDOW_MS.get(match?.[2] ?? '');
  return match === null || windowMs === undefined ? undefined : { calls: Number(match[1]), windowMs };
}
