/** The leaf types that options share, as zod schemas: durations, sizes, counts and file paths as people write them in YAML. */
import { z } from 'zod';
import { parseDuration, parseSize } from './units.js';

const DURATION_PATTERN = String.raw`^\d+(\.\d+)?(ms|s|m|h|d)$`;
const SIZE_PATTERN = String.raw`^\d+(B|KiB|MiB|GiB)?$`;

/** Text such as `30s` in, milliseconds out. `min` and `max` are inclusive and written the same way. */
export function durationSchema(bounds: { min: string; max: string }) {
  const minMs = parseDuration(bounds.min) ?? 0;
  const maxMs = parseDuration(bounds.max) ?? Number.POSITIVE_INFINITY;
  return z
    .string({ error: 'expected a duration such as 250ms, 30s, 5m or 1h' })
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms === undefined) return refuse(context, 'expected a duration such as 250ms, 30s, 5m or 1h');
      if (ms < minMs || ms > maxMs) return refuse(context, `must be between ${bounds.min} and ${bounds.max}`);
      return Math.round(ms);
    })
    .meta({ pattern: DURATION_PATTERN, 'x-unit': 'duration', 'x-min': bounds.min, 'x-max': bounds.max });
}

/** Text such as `64KiB`, or a plain number of bytes, in; bytes out. `min` and `max` are inclusive. */
export function sizeSchema(bounds: { min: string; max: string }) {
  const minBytes = parseSize(bounds.min) ?? 0;
  const maxBytes = parseSize(bounds.max) ?? Number.POSITIVE_INFINITY;
  const expected = 'expected a size such as 64KiB, 4MiB or a number of bytes';
  return z
    .union([z.string().meta({ pattern: SIZE_PATTERN }), z.int().min(0)], { error: expected })
    .transform((value, context) => {
      const bytes = typeof value === 'number' ? value : parseSize(value);
      if (bytes === undefined) return refuse(context, expected);
      if (bytes < minBytes || bytes > maxBytes)
        return refuse(context, `must be between ${bounds.min} and ${bounds.max}`);
      return bytes;
    })
    .meta({ 'x-unit': 'size', 'x-min': bounds.min, 'x-max': bounds.max });
}

/** A whole number within inclusive bounds. */
export function countSchema(bounds: { min: number; max: number }) {
  return z.int({ error: 'expected a whole number' }).min(bounds.min).max(bounds.max);
}

/** A path; `config` makes it absolute, starting from the file that names it. */
export function fileSchema() {
  return z.string().min(1).meta({ 'x-unit': 'file' });
}

/** @returns undefined when `text` is no absolute URL */
export function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** Adds one problem from within a transform and gives up on the value. */
export function refuse(context: z.core.$RefinementCtx, message: string, hint?: string): never {
  context.issues.push({ code: 'custom', message, input: context.value, params: hint === undefined ? {} : { hint } });
  return z.NEVER;
}
