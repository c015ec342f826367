import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Clock } from '../../../src/core/clock.js';
import { TimerWheel } from '../../../src/core/timer-wheel.js';

class TestClock implements Clock {
  nowMs = 1000;

  now(): number {
    return this.nowMs;
  }

  wallTimeMs(): number {
    return this.nowMs;
  }
}

const TICK_MS = 10;
const SLOTS = 8;

let clock: TestClock;
let wheel: TimerWheel;

beforeEach(() => {
  // The wheel's own interval never runs: the tests move time.
  vi.useFakeTimers();
  clock = new TestClock();
  wheel = new TimerWheel(TICK_MS, SLOTS, clock);
});

afterEach(() => {
  vi.useRealTimers();
});

function pass(ms: number): void {
  clock.nowMs += ms;
  wheel.advance();
}

describe('a timer', () => {
  test('fires once, not before its time and at most a tick after it', () => {
    const fired: number[] = [];
    wheel.schedule(35, () => fired.push(clock.nowMs));
    for (let ms = 0; ms < 300; ms += 1) pass(1);
    expect(fired.length).toBe(1);
    expect(fired[0]).toBeGreaterThanOrEqual(1035);
    expect(fired[0]).toBeLessThanOrEqual(1035 + TICK_MS);
  });

  test('that goes round the wheel more than once fires in its own round', () => {
    const fired: number[] = [];
    wheel.schedule(TICK_MS * SLOTS * 3 + 5, () => fired.push(clock.nowMs));
    for (let ms = 0; ms < TICK_MS * SLOTS * 4; ms += TICK_MS) pass(TICK_MS);
    expect(fired).toEqual([1000 + TICK_MS * SLOTS * 3 + TICK_MS]);
  });

  test('that was cancelled never fires, however often it was cancelled', () => {
    const timer = wheel.schedule(10, () => expect.unreachable());
    timer.cancel();
    timer.cancel();
    pass(100);
    expect(wheel.size).toBe(0);
  });

  test('may be cancelled by another of the same slot', () => {
    const fired: string[] = [];
    const timers = ['a', 'b', 'c', 'd'].map((name) =>
      wheel.schedule(10, () => {
        fired.push(name);
        for (const timer of timers) timer.cancel();
      }),
    );
    const bystander = wheel.schedule(10, () => fired.push('bystander'));
    pass(20);
    expect(fired.filter((name) => name !== 'bystander').length).toBe(1);
    expect(fired).toContain('bystander');
    bystander.cancel();
    expect(wheel.size).toBe(0);
  });

  test('may set another while it fires, which waits for its own time', () => {
    const fired: number[] = [];
    const again = () => {
      fired.push(clock.nowMs);
      if (fired.length < 3) wheel.schedule(20, again);
    };
    wheel.schedule(20, again);
    for (let ms = 0; ms < 200; ms += 5) pass(5);
    expect(fired.length).toBe(3);
    for (const [index, at] of fired.entries()) expect(at).toBeGreaterThanOrEqual(1000 + 20 * (index + 1));
  });

  test('fires when the process was late to look', () => {
    const fired: string[] = [];
    wheel.schedule(15, () => fired.push('early'));
    wheel.schedule(75, () => fired.push('late'));
    pass(10_000);
    expect(fired).toEqual(['early', 'late']);
  });
});

test('the interval runs only while something waits', () => {
  expect(vi.getTimerCount()).toBe(0);
  const timer = wheel.schedule(10, () => {});
  expect(vi.getTimerCount()).toBe(1);
  wheel.schedule(10, () => {});
  expect(vi.getTimerCount()).toBe(1);
  timer.cancel();
  pass(20);
  expect(vi.getTimerCount()).toBe(0);
  wheel.schedule(10, () => {});
  expect(vi.getTimerCount()).toBe(1);
});

test('whatever is set and cancelled, everything due has fired and nothing early', () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant('schedule' as const), delayMs: fc.integer({ min: 0, max: 500 }) }),
    fc.record({ kind: fc.constant('cancel' as const), index: fc.nat({ max: 20 }) }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 120 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const ownClock = new TestClock();
      const own = new TimerWheel(TICK_MS, SLOTS, ownClock);
      const timers: { dueMs: number; firedAtMs?: number; isCancelled: boolean; cancel(): void }[] = [];
      for (const each of actions) {
        if (each.kind === 'schedule') {
          const timer = { dueMs: ownClock.nowMs + each.delayMs, isCancelled: false, cancel: () => {} };
          const handle = own.schedule(each.delayMs, () => Object.assign(timer, { firedAtMs: ownClock.nowMs }));
          timer.cancel = () => handle.cancel();
          timers.push(timer);
        } else if (each.kind === 'cancel') {
          const timer = timers[each.index];
          if (timer !== undefined && timer.firedAtMs === undefined) timer.isCancelled = true;
          timer?.cancel();
        } else {
          ownClock.nowMs += each.ms;
          own.advance();
        }
        for (const timer of timers) {
          if (timer.isCancelled) expect(timer.firedAtMs).toBeUndefined();
          else if (timer.dueMs + TICK_MS <= ownClock.nowMs && each.kind === 'pass')
            expect(timer.firedAtMs).toBeDefined();
          if (timer.firedAtMs !== undefined) expect(timer.firedAtMs).toBeGreaterThanOrEqual(timer.dueMs);
        }
      }
      expect(own.size).toBe(timers.filter((timer) => !timer.isCancelled && timer.firedAtMs === undefined).length);
    }),
    { numRuns: 500 },
  );
});
