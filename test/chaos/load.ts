/** Calls at a steady pace, whatever becomes of them: a client that waits for answers would hide that nothing happens. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosClient } from './client.js';

export interface LoadOptions {
  readonly clients: readonly ChaosClient[];
  /** Of all clients together. */
  readonly callsPerSecond: number;
  readonly seed: number;
  readonly tool: string;
  /** Of the tool, per call. Default: mostly short, sometimes a second. */
  readonly delayMs?: (random: () => number) => number;
}

export interface Load {
  /** No new calls; resolves when all have ended. */
  stop(): Promise<void>;
}

export function startLoad({ clients, callsPerSecond, seed, tool, delayMs = mostlyShort }: LoadOptions): Load {
  const random = mulberry32(seed);
  const abort = new AbortController();
  setMaxListeners(clients.length, abort.signal);
  const pending = new Set<Promise<unknown>>();
  const pauseMs = (clients.length * 1000) / callsPerSecond;
  const run = async (client: ChaosClient) => {
    await pause(random() * pauseMs, abort.signal);
    while (!abort.signal.aborted) {
      const call = client.call(tool, delayMs(random)).finally(() => pending.delete(call));
      pending.add(call);
      await pause((0.5 + random()) * pauseMs, abort.signal);
    }
  };
  const runs = clients.map(run);
  return {
    stop: async () => {
      abort.abort();
      await Promise.all(runs);
      await Promise.all(pending);
    },
  };
}

function mostlyShort(random: () => number): number {
  const kind = random();
  if (kind < 0.7) return Math.floor(random() * 20);
  return kind < 0.95 ? 100 + Math.floor(random() * 200) : 1000;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

/** A small generator with a seed, so that a run can be repeated. */
export function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
