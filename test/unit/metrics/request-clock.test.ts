import { expect, test } from 'vitest';
import { RequestClock } from '../../../src/metrics/request-clock.js';

test('dates a request back by what its head had cost', () => {
  let nowMs = 100;
  const clock = new RequestClock({ now: () => nowMs, wallTimeMs: () => 0 });
  clock.bodyRead(4);
  nowMs = 130;
  expect(clock.arrivedAtMs).toBe(96);
  expect(clock.now()).toBe(130);
  clock.bodyRead(0);
  expect(clock.arrivedAtMs).toBe(130);
});
