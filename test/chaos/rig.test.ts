/** The rig itself, with one gateway that shares nothing: it is quiet while all is well, and sees what goes wrong. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { delay } from '../helpers/wait.js';
import { CALLS_PER_SECOND, Rig } from './rig.js';

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start({ name: 'rig', replicas: 1, withRedis: false, tools: ['echo'] });
});
afterEach(async () => {
  await rig.close();
});

test('a gateway that is left alone keeps every promise under load', async () => {
  const load = rig.startLoad({ callsPerSecond: CALLS_PER_SECOND, tool: 'echo' });
  await delay(3000);
  await load.stop();
  expect(rig.history.calls.length).toBeGreaterThan(100);
  expect(rig.violations()).toEqual([]);
});

test('a call that dies with its gateway is seen: closed at once, executed, never answered', async () => {
  const [client] = rig.clients;
  // Nobody is left to answer; the client waits a little for it all the same.
  const call = client?.call('echo', 10_000, 3000);
  await delay(500);
  const killedAtMs = rig.mark('kill');
  await rig.replica(0).kill();
  expect(await call).toBe(false);
  const [entry] = rig.history.calls;
  expect(rig.machine.workedMs(killedAtMs, entry?.closedAtMs ?? Infinity)).toBeLessThan(500);
  expect(rig.executions.get(entry?.nonce ?? '')).toBe(1);
  expect(rig.violations()).toEqual([expect.stringContaining('failed')]);
  expect(rig.violations({ mayFail: () => true })).toEqual([]);
});
