/** Limits that replicas share admit exactly what they say, whichever replica a call meets. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { delay } from '../helpers/wait.js';
import { isGood } from './history.js';
import { isFull, Rig } from './rig.js';

const LIMIT_PER_MINUTE = 60;
const LIMIT_PER_SECOND = 20;
const KEYS = isFull ? 20 : 6;
const WINDOWS = isFull ? 20 : 5;

const minuteTools = Array.from({ length: KEYS }, (_, index) => `minute_${index}`);

let rig: Rig;
beforeAll(async () => {
  const limits = [
    { name: 'minute', per: ['tool'], match: { tool: 'minute_*' }, limit: `${LIMIT_PER_MINUTE}/m` },
    { name: 'second', per: ['tool'], match: { tool: 'second' }, limit: `${LIMIT_PER_SECOND}/s` },
  ];
  rig = await Rig.start({
    name: 'limits',
    replicas: 3,
    tools: [...minuteTools, 'second'],
    config: { rateLimits: { onStoreFailure: 'deny', limits } },
  });
});
afterAll(async () => {
  // Refusals are what these tests are about; whatever else goes wrong is not allowed.
  const violations = rig.violations({ mayFail: ({ outcome }) => wasLimited(outcome) });
  await rig.report({}, violations);
  await rig.close();
  expect(violations).toEqual([]);
});

function wasLimited(outcome: { readonly kind: string; readonly reason?: string } | undefined): boolean {
  return outcome?.kind === 'error' && outcome.reason?.includes('rate_limited') === true;
}

describe('three replicas', () => {
  test.each(minuteTools)('admit exactly the limit of one window (%s)', async (tool) => {
    const { result: admitted, uncounted } = await rig.withUncounted(() => rig.burst(tool, 2 * LIMIT_PER_MINUTE));
    // What Redis does not count in time is denied.
    expect(admitted).toBeLessThanOrEqual(LIMIT_PER_MINUTE);
    expect(admitted).toBeGreaterThanOrEqual(LIMIT_PER_MINUTE - uncounted('minute'));
    expect(rig.executed(tool)).toBe(admitted);
    expect(admitted + (await rig.burst(tool, 10))).toBeLessThanOrEqual(LIMIT_PER_MINUTE);
  });

  test('admit exactly the limit again in each window that follows', async () => {
    const admitted: number[] = [];
    // A burst that takes longer than its window, or was not counted in time, says nothing; a machine that is always that slow fails here.
    for (let attempt = 0; attempt < 3 * WINDOWS && admitted.length < WINDOWS; attempt += 1) {
      await delay(1100);
      const startedAtMs = performance.now();
      const { result: count, uncounted } = await rig.withUncounted(() => rig.burst('second', 3 * LIMIT_PER_SECOND));
      if (performance.now() - startedAtMs < 1000 && uncounted('second') === 0) admitted.push(count);
    }
    expect(admitted).toEqual(Array.from({ length: WINDOWS }, () => LIMIT_PER_SECOND));
  });

  test('executed nothing that was refused', () => {
    for (const call of rig.history.calls) {
      expect(rig.executions.get(call.nonce) ?? 0).toBe(isGood(call) ? 1 : 0);
    }
  });
});
