/** A replica that is killed takes with it no more than the calls it was working on. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { delay } from '../helpers/wait.js';
import { type Call, endOf, isGood } from './history.js';
import { CALLS_PER_SECOND, Rig, ROUNDS, summary } from './rig.js';

/** A call that the dead replica was working on. */
const IN_FLIGHT_ENDS_WITHIN_MS = 2000;
/** One that had not reached it may wait for the session to move, and be answered. */
const USABLE_WITHIN_MS = 5000;

/** Nobody takes a session before Redis has been there for so long. */
const REASSERT_MS = 5000;

interface Kill {
  /** Before the signal was sent, and after the process had ended. */
  readonly fromMs: number;
  readonly toMs: number;
}

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start({ name: 'kill', replicas: 3, tools: ['echo'] });
});
afterAll(async () => {
  await rig.close();
});

test('kill -9 of each replica in turn: nothing twice, calls in flight end, every session goes on', async () => {
  const kills: Kill[] = [];
  const load = rig.startLoad({ callsPerSecond: CALLS_PER_SECOND, tool: 'echo' });
  // Redis has just begun, and owners have so long to speak first.
  await delay(REASSERT_MS);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, replica] of rig.fleet.replicas.entries()) {
      await delay(2000);
      const fromMs = rig.mark(`kill ${index}`);
      await replica.kill();
      kills.push({ fromMs, toMs: rig.mark(`killed ${index}`) });
      await delay(USABLE_WITHIN_MS + 1000);
      await replica.restart();
      rig.mark(`restarted ${index}`);
    }
  }
  await delay(2000);
  await load.stop();

  const { calls } = rig.history;
  const inFlight = kills.flatMap((kill) =>
    calls.filter((call) => isInFlight(call, kill)).map((call) => ({ call, kill })),
  );
  const mayFail = new Set(inFlight.map(({ call }) => call));
  const violations = rig.violations({ mayFail: (call) => mayFail.has(call), mayRepeatAnswers: true });
  const late = inFlight.filter(({ call, kill }) => {
    const withinMs = isGood(call) ? USABLE_WITHIN_MS : IN_FLIGHT_ENDS_WITHIN_MS;
    return rig.machine.workedMs(kill.toMs, endOf(call) ?? Infinity) > withinMs;
  });
  const outages = kills.flatMap((kill) => rig.clients.map(({ name }) => usableAfterMs(calls, name, kill)));
  const figures = {
    inFlight: inFlight.length,
    inFlightFailed: inFlight.filter(({ call }) => !isGood(call)).length,
    failedLater: calls.filter((call) => !isGood(call) && !mayFail.has(call)).length,
    inFlightEndsAfterMs: summary(inFlight.map(({ call, kill }) => waitedMs(call, kill))),
    firstGoodCallAfterMs: summary(outages),
    ofSessionsThatNoticedMs: summary(outages.filter((ms) => ms > 1000)),
  };
  await rig.report(figures, violations);
  expect(inFlight.length).toBeGreaterThan(0);
  expect(violations).toEqual([]);
  expect(late.map(({ call }) => call)).toEqual([]);
  expect(outages.filter((ms) => ms > USABLE_WITHIN_MS)).toEqual([]);
});

function isInFlight({ sentAtMs, outcome }: Call, { fromMs, toMs }: Kill): boolean {
  return sentAtMs <= toMs && (outcome === undefined || outcome.atMs >= fromMs);
}

/** From the kill to the end of a call, without what the tool takes when the call is made after all. */
function waitedMs(call: Call, { toMs }: Kill): number {
  return rig.machine.workedMs(toMs, endOf(call) ?? Infinity) - (isGood(call) ? call.delayMs : 0);
}

/** From the kill to the end of the first good call that was made after it. */
function usableAfterMs(calls: readonly Call[], client: string, { toMs }: Kill): number {
  const good = calls.filter((call) => call.client === client && call.sentAtMs > toMs && isGood(call));
  return rig.machine.workedMs(toMs, Math.min(...good.map(({ outcome }) => outcome?.atMs ?? Infinity)));
}
