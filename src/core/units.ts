/** Text to numbers, for what people write in YAML: `250ms 30s 5m 1h`, `64KiB 1MiB`, `60/m`. */

const DURATION_UNITS_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

const SIZE_UNITS_BYTES: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
]);

/** @returns milliseconds, or undefined when `text` is no duration */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  return match === null ? undefined : Number(match[1]) * (DURATION_UNITS_MS.get(match[2] ?? '') ?? Number.NaN);
}

/** @returns bytes, or undefined when `text` is no size */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)(B|KiB|MiB|GiB)?$/.exec(text);
  return match === null ? undefined : Number(match[1]) * (SIZE_UNITS_BYTES.get(match[2] ?? 'B') ?? Number.NaN);
}
