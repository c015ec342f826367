import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLOCK_SKEW_MS, ReplayGuard } from '../../../src/cluster/replay-guard.js';

const NOW = 1_800_000_000_000;

test('admits each nonce once', () => {
  const guard = new ReplayGuard();
  expect(guard.admit('a', NOW, NOW)).toBe(true);
  expect(guard.admit('b', NOW, NOW)).toBe(true);
  expect(guard.admit('a', NOW, NOW)).toBe(false);
  expect(guard.admit('a', NOW, NOW + CLOCK_SKEW_MS)).toBe(false);
});

test('admits what was made within 30 s before or after now', () => {
  const admits = (atMs: number): boolean => new ReplayGuard().admit('a', atMs, NOW);
  expect([-CLOCK_SKEW_MS, 0, CLOCK_SKEW_MS].map((offset) => admits(NOW + offset))).toEqual([true, true, true]);
  const odd = [NOW - CLOCK_SKEW_MS - 1, NOW + CLOCK_SKEW_MS + 1, Number.NaN, Number.POSITIVE_INFINITY, 0];
  expect(odd.map(admits)).toEqual(odd.map(() => false));
});

test('admits nothing twice, whatever the clocks do', () => {
  const step = fc.record({ nonce: fc.integer({ min: 0, max: 5 }), skewMs: fc.integer({ min: -35_000, max: 35_000 }) });
  const move = fc.integer({ min: -40_000, max: 40_000 });
  fc.assert(
    fc.property(fc.array(fc.tuple(step, move), { maxLength: 60 }), (steps) => {
      const guard = new ReplayGuard();
      const sent: (readonly [string, number])[] = [];
      const admitted = new Set<string>();
      let nowMs = NOW;
      for (const [{ nonce, skewMs }, moveMs] of steps) {
        nowMs += moveMs;
        sent.push([`${nonce}`, nowMs + skewMs]);
        // A request is known by its nonce and its time: both are under the MAC.
        for (const [text, atMs] of sent) {
          if (!guard.admit(text, atMs, nowMs)) continue;
          expect(admitted.has(`${text} ${atMs}`)).toBe(false);
          admitted.add(`${text} ${atMs}`);
        }
      }
    }),
  );
});

describe('memory', () => {
  test('holds what the window needs and forgets the rest', () => {
    const guard = new ReplayGuard();
    let largest = 0;
    for (let second = 0; second < 600; second += 1) {
      const nowMs = NOW + second * 1000;
      for (let index = 0; index < 10; index += 1) expect(guard.admit(`${second}.${index}`, nowMs, nowMs)).toBe(true);
      largest = Math.max(largest, guard.size);
    }
    expect(largest).toBeGreaterThanOrEqual(300);
    expect(largest).toBeLessThanOrEqual(610);
    guard.admit('later', NOW + 3_600_000, NOW + 3_600_000);
    expect(guard.size).toBe(1);
  });

  test('that is full refuses until there is room again', () => {
    const guard = new ReplayGuard(2);
    expect(['a', 'b', 'c'].map((nonce) => guard.admit(nonce, NOW, NOW))).toEqual([true, true, false]);
    expect(guard.admit('d', NOW + 90_000, NOW + 90_000)).toBe(true);
  });

  test('that was emptied is no reason to admit again when a clock is set back', () => {
    const guard = new ReplayGuard();
    expect(guard.admit('a', NOW, NOW)).toBe(true);
    expect(guard.admit('b', NOW + 3_600_000, NOW + 3_600_000)).toBe(true);
    expect(guard.admit('a', NOW, NOW)).toBe(false);
    expect(guard.admit('c', NOW + 1, NOW + 1)).toBe(true);
  });
});
