/** A replica that is asked to end is not missed by any client. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { delay } from '../helpers/wait.js';
import { CALLS_PER_SECOND, Rig, ROUNDS, summary } from './rig.js';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start({ name: 'sigterm', replicas: 3, tools: ['echo'] });
});
afterAll(async () => {
  await rig.close();
});

test('SIGTERM of each replica in turn: nothing lost, nothing twice, no error', async () => {
  const exitCodes: (number | null)[] = [];
  const drains: number[] = [];
  const load = rig.startLoad({ callsPerSecond: CALLS_PER_SECOND, tool: 'echo' });
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, replica] of rig.fleet.replicas.entries()) {
      await delay(1500);
      const sentAtMs = rig.mark(`SIGTERM ${index}`);
      exitCodes.push(await replica.terminate());
      drains.push(rig.mark(`ended ${index}`) - sentAtMs);
      await delay(1000);
      await replica.restart();
      rig.mark(`restarted ${index}`);
    }
  }
  await delay(1500);
  await load.stop();
  const violations = rig.violations();
  await rig.report({ drainMs: summary(drains), exitCodes }, violations);
  expect(exitCodes).toEqual(exitCodes.map(() => 0));
  expect(violations).toEqual([]);
});
