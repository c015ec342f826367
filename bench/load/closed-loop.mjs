/** Runs loops side by side: each starts its next unit of work when the one before has ended. */
import { Tally } from './tally.mjs';

/** How long what is under way at the end of the time may still take. Beyond it, it is lost. */
const GRACE_MS = 15_000;

/**
 * @param {((tally: Tally) => Promise<void>)[]} loops each runs one unit per call and throws when it is lost
 * @param {number} durationMs
 */
export async function closedLoop(loops, durationMs) {
  const tally = new Tally();
  const startedAtMs = performance.now();
  const endMs = startedAtMs + durationMs;
  let running = loops.length;
  const run = async (unit) => {
    while (performance.now() < endMs) {
      try {
        await unit(tally);
      } catch (error) {
        tally.onLost(error.message);
        break;
      }
    }
    running -= 1;
  };
  const isOver = await within(Promise.all(loops.map(run)), durationMs + GRACE_MS);
  if (!isOver) tally.onLost('no answer in time', running);
  return { ...tally.summary(), elapsedMs: performance.now() - startedAtMs };
}

/** @returns {Promise<boolean>} whether it ended in time */
async function within(promise, timeoutMs) {
  let timer;
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  const isOver = await Promise.race([promise.then(() => true), timeout]);
  clearTimeout(timer);
  return isOver;
}

/**
 * One unit: a call, its answer checked.
 *
 * @param {{ call: (call: any) => Promise<Buffer> }} client
 * @param {() => import('./calls.mjs').Call} newCall
 */
export function callUnit(client, newCall) {
  return async (tally) => {
    const call = newCall();
    const startedAtMs = performance.now();
    const message = await client.call(call);
    if (call.isRight(message)) tally.onRight(startedAtMs);
    else tally.onWrong(`not the answer to ${call.params.slice(0, 100)}: ${message.toString().slice(0, 200)}`);
  };
}

/**
 * Opens many, some at a time.
 *
 * @template T
 * @param {number} count
 * @param {(index: number) => Promise<T>} open
 * @param {number} concurrency
 * @returns {Promise<{ opened: T[], failures: string[] }>}
 */
export async function openMany(count, open, concurrency = 16) {
  const opened = [];
  const failures = [];
  let next = 0;
  const run = async () => {
    while (next < count) {
      next += 1;
      try {
        opened.push(await open(next));
      } catch (error) {
        failures.push(error.message);
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, run));
  return { opened, failures };
}
