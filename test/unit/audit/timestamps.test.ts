import { expect, test } from 'vitest';
import { Timestamps } from '../../../src/audit/timestamps.js';

test('writes what a date writes, over changes of second, day and century, back and forth', () => {
  const timestamps = new Timestamps();
  const times = [0, 999, 1000, 1_795_357_001_157, 1_795_357_001_009, 1_795_357_000_999, -1, -62_135_596_800_000];
  for (const timeMs of times) expect(timestamps.text(timeMs)).toBe(new Date(timeMs).toISOString());
});

test('leaves parts of a millisecond out', () => {
  expect(new Timestamps().text(1500.9)).toBe('1970-01-01T00:00:01.500Z');
});

test('refuses what is no date', () => {
  expect(() => new Timestamps().text(Number.NaN)).toThrow(RangeError);
});
