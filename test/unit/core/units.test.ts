import { describe, expect, test } from 'vitest';
import { parseDuration, parseSize } from '../../../src/core/units.js';

describe('parseDuration', () => {
  test.each([
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
    ['1.5s', 1500],
    ['0s', 0],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  test.each(['', '5', 's', '-1s', '1 s', '1S', '5min', '1e3s', '1s ', '.5s', '1h30m'])('%j is no duration', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );
});

describe('parseSize', () => {
  test.each([
    ['0', 0],
    ['512', 512],
    ['512B', 512],
    ['64KiB', 65_536],
    ['4MiB', 4_194_304],
    ['1GiB', 1_073_741_824],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each(['', 'KiB', '-1', '1KB', '1 MiB', '1.5MiB', '1kib', '0x10'])('%j is no size', (text) =>
    expect(parseSize(text)).toBeUndefined(),
  );
});
