import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Buckets } from '../../../src/metrics/buckets.js';

const BOUNDS_MS = [1, 10, 100];

test('counts a value under the first bound that it does not exceed', () => {
  const buckets = new Buckets(BOUNDS_MS);
  for (const valueMs of [0.5, 1, 1.0001, 100, 100.5]) buckets.observe(valueMs);
  expect(buckets.cumulative()).toEqual([2, 3, 4, 5]);
  expect(buckets.sumMs).toBeCloseTo(203.0001, 9);
});

test('takes less than nothing for nothing, so that a sum never falls', () => {
  const buckets = new Buckets(BOUNDS_MS);
  buckets.observe(3);
  buckets.observe(-2);
  expect(buckets.sumMs).toBe(3);
  expect(buckets.cumulative()).toEqual([1, 2, 2, 2]);
});

test('says for any values what counting them one by one says', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 200, noNaN: true })), (valuesMs) => {
      const buckets = new Buckets(BOUNDS_MS);
      for (const valueMs of valuesMs) buckets.observe(valueMs);
      const expected = [...BOUNDS_MS, Infinity].map((bound) => valuesMs.filter((value) => value <= bound).length);
      expect(buckets.cumulative()).toEqual(expected);
    }),
  );
});
