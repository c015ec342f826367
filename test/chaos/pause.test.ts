/** A replica that stands still for longer than its leases finds, when it goes on, that others have its sessions. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { delay } from '../helpers/wait.js';
import { type Call, isGood } from './history.js';
import { CALLS_PER_SECOND, Rig, ROUNDS, summary } from './rig.js';

const PAUSE_MS = 6000;
const USABLE_WITHIN_MS = 5000;

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start({ name: 'pause', replicas: 3, tools: ['echo'] });
});
afterAll(async () => {
  await rig.close();
});

test('SIGSTOP and SIGCONT of each replica in turn: no stale answer, nothing twice', async () => {
  const pauses: { readonly fromMs: number; readonly toMs: number }[] = [];
  const load = rig.startLoad({ callsPerSecond: CALLS_PER_SECOND, tool: 'echo' });
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, replica] of rig.fleet.replicas.entries()) {
      await delay(1000);
      const fromMs = rig.mark(`SIGSTOP ${index}`);
      replica.pause();
      await delay(PAUSE_MS);
      const toMs = rig.mark(`SIGCONT ${index}`);
      replica.resume();
      pauses.push({ fromMs, toMs });
      await delay(USABLE_WITHIN_MS);
    }
  }
  await load.stop();

  const { calls } = rig.history;
  // Whatever reached the replica while it stood still may have to be answered with "executed: unknown".
  const overlaps = ({ sentAtMs, outcome }: Call) =>
    pauses.some(({ fromMs, toMs }) => sentAtMs <= toMs && (outcome?.atMs ?? Infinity) >= fromMs);
  // Stopped between the last look at the clock and the write, a replica still writes what it was about to, and its successor cannot know.
  const violations = rig.violations({ mayFail: overlaps, mayRepeatAnswers: overlaps });
  const usableAfterMs = pauses.flatMap(({ toMs }) =>
    rig.clients.map(({ name }) => {
      const good = calls.filter((call) => call.client === name && call.sentAtMs > toMs && isGood(call));
      return rig.machine.workedMs(toMs, Math.min(...good.map(({ outcome }) => outcome?.atMs ?? Infinity)));
    }),
  );
  const failed = calls.filter((call) => !isGood(call)).length;
  await rig.report({ failed, firstGoodCallAfterMs: summary(usableAfterMs) }, violations);
  expect(violations).toEqual([]);
  expect(usableAfterMs.filter((ms) => ms > USABLE_WITHIN_MS)).toEqual([]);
});
